# Declarations → activation manifest (docs/reference/manifest.md). Builtins only.
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    concatStringsSep
    filter
    foldl'
    hashString
    isPath
    listToAttrs
    map
    mapAttrs
    match
    pathExists
    storeDir
    substring
    unsafeDiscardStringContext
    ;
  files = import ./files.nix;
  placeholders = import ./placeholders.nix;
  registries = import ./registry.nix;
  problemsOf = import ./problems.nix;

  entryDefaults = {
    owner = "root";
    group = "root";
    uid = null;
    gid = null;
    mode = "0400";
    path = null;
    method = "link";
    phase = "services";
    neededForUsers = false;
    required = true;
    plaintextOnDisk = false;
    restartUnits = [ ];
    reloadUnits = [ ];
    credentials = [ ];
    # field → what the option is called, where another module declares it
    called = { };
  };
  secretDefaults = entryDefaults // {
    file = null;
    format = null;
    key = null;
    output = "value";
    maxStale = null;
    source = null;
    live = false;
  };
  templateDefaults = entryDefaults // {
    content = "";
    format = "raw";
  };

  suffixes = {
    services = "";
    users = "-for-users";
    initrd = "-for-initrd";
  };
  directories = {
    system = "/run/secrets";
    user = "$XDG_RUNTIME_DIR/secrets";
  };

  # What a manifest leaves out.
  unless = default: name: value: if value == default then { } else { ${name} = value; };
  all = foldl' (sum: part: sum // part) { };
  bare = name: match "[A-Za-z_][A-Za-z0-9_'-]*" name != null;
  path = value: if value == null || isPath value then value else /. + unsafeDiscardStringContext (toString value);
in
rec {
  inherit secretDefaults templateDefaults;

  # DIRECTORY of a scope, phase and name → where a program reads the secret.
  directoryOf = scope: directories.${scope};
  placeOf = directory: phase: name: "${directory}${suffixes.${phase}}/${name}";

  # Returns, all of it lazily:
  #   manifest      the manifest; throws all problems at once
  #   manifestAt R  the same for files that lie below the folder R of the host, which need no Nix store; those outside of the
  #                 repository stay where they are
  #   problems      what is wrong, one text each
  #   declaration   what the host wants, without a look at any file: for `secretsmith build`
  #   secrets, templates   completed, by their attribute names, with .path and .placeholder
  #   placeholder   tokens for templates
  evaluate =
    {
      # the name in the registry
      host,
      # the repository; its secretsmith.toml and secretsmith.lock are taken if it has them
      root ? null,
      registry ? null,
      lock ? null,
      scope ? "system",
      directory ? directories.${scope},
      keep ? 2,
      # what credentials are encrypted with on the host: "host", "tpm2", "host+tpm2"; null: they are read from memory
      credentialKey ? null,
      identityPaths ? (if scope == "system" then [ "/etc/ssh/ssh_host_ed25519_key" ] else [ ]),
      # path → "rsa" …, where something knows
      identityTypes ? { },
      identityOption ? "secretsmith.identityPaths",
      secrets ? { },
      templates ? { },
      # false: files may be named that are on the host alone
      checkFiles ? true,
      # section ("secrets", "templates") and attribute name → FILE:LINE, or null
      originOf ? (_: _: null),
    }:
    let
      given =
        value: name:
        if value != null then
          path value
        else if root != null && pathExists (path root + "/${name}") then
          path root + "/${name}"
        else
          null;
      registryPath = given registry "secretsmith.toml";
      lockPath = given lock "secretsmith.lock";
      # Without a root, files are named from the folder of the registry, unless that is a store object of its own.
      rootPath =
        if root != null then
          root
        else if registryPath == null || toString (dirOf registryPath) == storeDir then
          null
        else
          dirOf registryPath;
      known = registries.read {
        registry = registryPath;
        lock = lockPath;
      };
      registered = known.host host;

      entry =
        section: defaults: attribute: declared:
        let
          full = defaults // declared;
          name = full.name or attribute;
          phase = if full.neededForUsers then "users" else full.phase;
          place = placeOf directory phase name;
          wantsPath = full.path != null && full.path != place;
        in
        full
        // {
          inherit name phase;
          option =
            full.option or "secretsmith.${section}.${if bare attribute then attribute else "\"${attribute}\""}";
          origin = originOf section attribute;
          givenOwner = full.owner;
          givenGroup = full.group;
          owner = if full.uid != null then toString full.uid else full.owner;
          group = if full.gid != null then toString full.gid else full.group;
          customPath = if wantsPath then full.path else null;
          path = if wantsPath then full.path else place;
        };
      secret =
        attribute: declared:
        let
          asked = entry "secrets" secretDefaults attribute declared;
          # Where `secretsmith sync --build` puts a value that only says its source.
          ownFile = rootPath + "/${known.folder}/${host}/${asked.name}.age";
          made =
            if asked.file == null && asked.source != null && rootPath != null && !asked.live then
              asked // { file = ownFile; }
            else
              asked;
          located = files.locate rootPath made.file;
        in
        made
        // {
          inherit located;
          format =
            if made.format != null then
              made.format
            else if made.live then
              "age"
            else if made.file == null then
              null
            else
              files.formatOf located.text;
          placeholder = tokens.raw.${made.name};
        };
      template =
        attribute: declared:
        let
          made = entry "templates" templateDefaults attribute declared;
        in
        made // placeholders.occurring digests made.content;

      completed = mapAttrs secret secrets;
      completedTemplates = mapAttrs template templates;
      secretList = attrValues completed;
      templateList = attrValues completedTemplates;
      names = map (made: made.name) secretList;
      tokens = placeholders.tokens names;
      digests = placeholders.digests names;

      # Many secrets have one file: its readers are looked up once.
      readers = listToAttrs (
        map (made: {
          name = made.located.text;
          value = if made.located.inRoot then known.readers made.located.id made.located.path else null;
        }) (filter (made: made.file != null) secretList)
      );
      sources = listToAttrs (
        map (made: {
          name = made.located.text;
          value = made.located.source;
        }) (filter (made: made.file != null) secretList)
      );
      # Everybody whose key this host may meet in a file, and its own former keys.
      principals = all (
        (
          if registered == null then
            [ ]
          else
            [
              registered.former
              registered.keys
            ]
        )
        ++ map (who: if who == null then { } else removeAttrs who (filter (key: who.${key} == null) (attrNames who))) (
          attrValues readers
        )
      );

      common =
        made:
        {
          inherit (made) name;
        }
        // unless "root" "owner" made.owner
        // unless "root" "group" made.group
        // unless "0400" "mode" made.mode
        // unless null "path" made.customPath
        // unless "link" "method" made.method
        // unless "services" "phase" made.phase
        // unless true "required" made.required
        // unless false "plaintext_on_disk" made.plaintextOnDisk
        // unless [ ] "restart_units" made.restartUnits
        // unless [ ] "reload_units" made.reloadUnits
        // unless [ ] "credentials" made.credentials;
      # What a deploy fetches lies in its tree on the host (LIVE_ROOT and live_path of secretsmith/manifest/model.py).
      liveSecret =
        made:
        common made
        // {
          inherit (made) format;
          id = made.source;
          live = made.source;
          source = "/var/lib/secretsmith/current/live/${substring 0 32 (hashString "sha256" made.source)}.age";
        }
        // unless null "max_stale" made.maxStale;
      plainSecret =
        sourceOf: made:
        let
          who = readers.${made.located.text};
        in
        if made.live then
          liveSecret made
        else
        common made
        // {
          inherit (made) format;
          inherit (made.located) id;
          source = sourceOf made.located;
        }
        // unless null "key" made.key
        // unless "value" "output" made.output
        // unless null "max_stale" made.maxStale
        // unless null "readers" (if who == null then null else attrNames who);
      plainTemplate =
        made:
        common made
        // {
          inherit (made) content;
        }
        // unless "raw" "format" made.format
        // unless { } "placeholders" made.found;

      unchecked =
        sourceOf:
        {
          version = 1;
          inherit host directory;
          generations = "${directory}.d";
          identities = map toString identityPaths;
          secrets = map (plainSecret sourceOf) secretList;
        }
        // unless "system" "scope" scope
        // unless 2 "keep" keep
        // unless null "credential_key" credentialKey
        // unless { } "principals" principals
        // unless null "host_key" (if registered == null then null else registered.first)
        // unless [ ] "templates" (map plainTemplate templateList);

      problems = problemsOf {
        inherit
          host
          scope
          directory
          identityTypes
          identityOption
          credentialKey
          root
          checkFiles
          ;
        identities = map (item: unsafeDiscardStringContext (toString item)) identityPaths;
        places = concatMap (suffix: [
          "${directory}${suffix}"
          "${directory}${suffix}.d"
        ]) (attrValues suffixes);
        secrets = secretList;
        templates = templateList;
      };
      checked =
        result:
        if problems == [ ] then
          result
        else
          throw "secretsmith: host ${host}:\n${concatStringsSep "\n" (map (text: "- ${text}") problems)}";
    in
    {
      inherit problems;
      manifest = checked (unchecked (located: sources.${located.text}));
      manifestAt =
        folder:
        checked (
          unchecked (located: if files.startsWith "/" located.id then located.text else "${folder}/${located.id}")
        );
      placeholder = tokens;
      secrets = completed;
      templates = completedTemplates;
      root = rootPath;
      registry = registryPath;
      lock = lockPath;
      inherit registered;
      declaration = {
        name = host;
        secrets = map (made: {
          inherit (made) name format key source live owner group mode origin option;
          file = if made.file == null then null else made.located.id;
          units = attrNames (
            listToAttrs (
              map (name: {
                inherit name;
                value = null;
              }) (made.restartUnits ++ made.reloadUnits)
            )
          );
        }) secretList;
      };
    };

  mkManifest = declared: (evaluate declared).manifest;
}
