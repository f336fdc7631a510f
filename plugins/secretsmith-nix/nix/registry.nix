# The registry and the lock, as far as a manifest needs them: a host's key, and who may read which file. Builtins only.
# Whether they are sound is for `secretsmith check` to say; what makes no sense here is left out.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    filter
    foldl'
    fromJSON
    fromTOML
    genList
    genericClosure
    hashFile
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    pathExists
    readFile
    replaceStrings
    split
    stringLength
    substring
    ;
  keys = import ./keys.nix;

  # docs/reference/registry.md: a pattern is anchored; * and ? stay in a segment, ** crosses, and is any folders as a whole one.
  regexOf =
    pattern:
    let
      segments = filter isString (split "/" pattern);
      last = length segments - 1;
      text =
        replaceStrings
          [ "**" "*" "?" "." "+" "(" ")" "|" "^" "$" ]
          [ ".*" "[^/]*" "[^/]" "\\." "\\+" "\\(" "\\)" "\\|" "\\^" "\\$" ];
      segment =
        at:
        let
          this = builtins.elemAt segments at;
        in
        if at == last then text this else if this == "**" then "(.+/)?" else text this + "/";
    in
    concatStringsSep "" (genList segment (last + 1));
in
{
  inherit regexOf;

  # registry, lock: paths, or null. Returns
  #   host NAME              { status; first; keys; former } of a host or a user; null if the registry has none
  #   folder                 where the registry says that secrets lie
  #   readers FILE DIGESTED  who reads a path from the root; null where nobody can say. DIGESTED is the file itself.
  # Keys are attrsets: fingerprint → what a manifest says of it. Only keys that somebody asks for are hashed.
  read =
    { registry, lock }:
    let
      tree = if registry == null then { } else fromTOML (readFile registry);
      locked = if lock == null || !pathExists lock then { } else (fromJSON (readFile lock)).files or { };
      users = tree.users or { };
      groups = tree.groups or { };
      everyone = users // (tree.hosts or { });

      described =
        name: lines:
        listToAttrs (
          map (key: {
            name = key.fingerprint;
            value = { inherit name; } // removeAttrs key [ "fingerprint" ];
          }) (filter (key: key != null) (map keys.describe lines))
        );
      principals = mapAttrs (
        name: who:
        let
          reads = elem (who.status or "active") [ "active" "pending" ];
          now = described name (who.keys or [ ]);
          before = described name (map (old: old.key) (who.retired or [ ]));
        in
        {
          status = who.status or "active";
          # The fingerprint of the first: the key that the host has, where one is being replaced.
          first =
            let
              key = if reads && who.keys or [ ] != [ ] then keys.describe (builtins.head who.keys) else null;
            in
            if key == null then null else key.fingerprint;
          keys = if reads then now else { };
          former = if reads then before else before // now;
        }
      ) everyone;

      # Words of a rule → the keys that they mean; groups may contain groups.
      keysOf =
        words:
        let
          found = genericClosure {
            startSet = map (key: { inherit key; }) words;
            operator =
              { key }:
              if substring 0 1 key != "@" then
                [ ]
              else
                map (key: { inherit key; }) (groups.${substring 1 (stringLength key) key} or [ ]);
          };
        in
        foldl' (sum: { key }: sum // (principals.${key}.keys or { })) { } found;

      admins = keysOf (filter (name: users.${name}.admin or false) (attrNames users));
      rules = map (rule: {
        regex = regexOf rule.path;
        readers = keysOf (rule.readers or [ ]);
      }) (tree.rules or [ ]);

      # An active use of a key wins over a former one.
      owners = foldl' (sum: name: principals.${name}.former // sum // principals.${name}.keys) { } (
        attrNames everyone
      );
    in
    {
      host = name: principals.${name} or null;
      # The folder of the secrets, as part of a path from the root.
      folder =
        let
          given = tree.secretsmith.secrets or "secrets";
        in
        if given == "." then "secrets" else given;

      # The lock's answer counts where no rule speaks, and only for the very file that it knows.
      readers =
        file: digested:
        let
          matching = filter (rule: match rule.regex file != null) rules;
          entry = locked.${file} or { };
        in
        if matching != [ ] then
          foldl' (sum: rule: sum // rule.readers) admins matching
        else if entry.recipients or [ ] != [ ] && hashFile "sha256" digested == entry.sha256 then
          listToAttrs (
            map (name: {
              inherit name;
              value = owners.${name} or null;
            }) entry.recipients
          )
        else
          null;
    };
}
