# What agenix and sops-nix call a secret → what secretsmith calls one (secretDefaults of manifest.nix). Builtins only.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    hashString
    isList
    listToAttrs
    map
    match
    replaceStrings
    split
    ;
  inherit (import ./placeholders.nix) token;

  # They write root as 0, or leave it out.
  root = name: if name == "0" || name == null then "root" else name;
  # A number counts where there is no name; 0 is root. Both are passed on, so that the contradiction is reported.
  numbered =
    { owner, uid, group, gid, ... }:
    let
      number = value: if value == 0 then null else value;
    in
    {
      owner = root owner;
      uid = number uid;
      group = root group;
      gid = number gid;
    };
  isRsa = path: match ".*/(ssh_host_|id_)rsa(_key)?" path != null;
in
rec {
  # early: whether a user's password is read from it. agenix decrypts everything before there are users; secretsmith what is
  # needed then.
  fromAgenix =
    { secret, early }:
    {
      inherit (secret) name file mode path;
      format = "age";
      owner = root secret.owner;
      group = root secret.group;
      phase = if early then "users" else "services";
    }
    // (
      if secret.symlink then
        { }
      else
        {
          method = "copy";
          # agenix puts it anywhere.
          plaintextOnDisk = true;
        }
    );

  fromSops =
    secret:
    numbered secret
    // {
      inherit (secret) name format mode path restartUnits reloadUnits;
      file = secret.sopsFile;
      # Of these sops-nix installs the whole document, whatever the key says.
      key = if secret.key == "" || elem secret.format [ "binary" "dotenv" "ini" ] then null else secret.key;
      phase = if secret.neededForUsers then "users" else "services";
    };

  # placeholders: the texts that stand for secrets → names of secrets
  fromSopsTemplate =
    placeholders: template:
    numbered template
    // {
      name = "rendered/${template.name}";
      inherit (template) mode path restartUnits reloadUnits;
      content = translate placeholders template.content;
    };

  # What sops-nix writes for the secret that is declared as `attribute`.
  sopsPlaceholder = attribute: "<SOPS:${hashString "sha256" attribute}:PLACEHOLDER>";

  # Cuts a text at its marks once, however many secrets there are: replaceStrings tries all of them at every character.
  marks =
    text: concatMap (part: if isList part then [ (elemAt part 0) ] else [ ]) (split "(<SOPS:[0-9a-f]{64}:PLACEHOLDER>)" text);
  unique =
    list:
    attrNames (
      listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) list
      )
    );
  translate =
    placeholders: text:
    let
      own = filter (mark: marks mark == [ ]) (attrNames placeholders);
      found = filter (mark: placeholders ? ${mark}) (unique (marks text)) ++ own;
    in
    if found == [ ] then text else replaceStrings found (map (mark: token "raw" placeholders.${mark}) found) text;

  # Marks of secrets that nobody declares.
  unknownMarks = placeholders: text: filter (mark: !(placeholders ? ${mark})) (unique (marks text));

  # Both take RSA host keys by default; no secret opens with one here. What is left if there is nothing else is refused by name.
  openable =
    rsaPaths: paths:
    let
      texts = map toString paths;
      others = filter (path: !(elem path rsaPaths || isRsa path)) texts;
    in
    if others == [ ] then texts else others;
}
