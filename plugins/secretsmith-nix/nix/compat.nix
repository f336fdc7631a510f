# age.secrets of agenix, sops.secrets and sops.templates of sops-nix: the same options, installed by secretsmith. Imported beside
# nixos.nix, instead of the modules of agenix or sops-nix.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    mapAttrs
    mapAttrs'
    mkDefault
    mkIf
    mkOption
    nameValuePair
    types
    ;
  foreign = import ./foreign.nix;
  inherit (config) age sops;
  inherit (config.users) users;
  option =
    type: default: description:
    mkOption { inherit type default description; };
  # Stronger than the defaults of nixos.nix, weaker than what anybody writes.
  preferred = lib.mkOverride 900;
  isGiven = declared: declared.highestPrio < (lib.mkOptionDefault null).priority;
  hostKeys =
    kinds:
    lib.optionals config.services.openssh.enable (
      map (key: key.path) (lib.filter (key: lib.elem key.type kinds) config.services.openssh.hostKeys)
    );
  rsaPaths = map (key: toString key.path) (lib.filter (key: key.type == "rsa") config.services.openssh.hostKeys);
  quoted = lib.strings.escapeNixIdentifier;

  # Everything by default, so that `secretsmith.secrets."age.NAME".restartUnits` and the like can be added.
  declare =
    prefix: section: called: made: attribute: entry:
    nameValuePair "${prefix}.${attribute}" (
      mapAttrs (_: mkDefault) (
        made entry
        // {
          inherit called;
          option = "${prefix}.${section}.${quoted attribute}";
        }
      )
    );
  # What messages are about is named as it was written.
  sopsNames = {
    file = "sopsFile";
    phase = "neededForUsers";
  };

  passwords = lib.listToAttrs (
    map (user: nameValuePair user.hashedPasswordFile true) (
      lib.filter (user: user.hashedPasswordFile or null != null) (lib.attrValues users)
    )
  );

  ageSecret =
    { config, ... }:
    {
      options = {
        name = option types.str config._module.args.name "Name of the file in `age.secretsDir`.";
        file = mkOption {
          type = types.path;
          description = "The age file.";
        };
        path = option types.str "${age.secretsDir}/${config.name}" "Where the program reads it.";
        mode = option types.str "0400" "Permissions.";
        owner = option types.str "0" "User.";
        group = option types.str (users.${config.owner}.group or "0") "Group; that of the owner.";
        symlink = option types.bool true "A link at `path`; false: a copy.";
      };
    };

  # What secrets and templates of sops-nix share.
  sopsEntry = scalar: { config, ... }: {
    options = {
      name = option scalar config._module.args.name "Name of the file.";
      mode = option scalar "0400" "Permissions.";
      owner = option (types.nullOr scalar) null "User.";
      uid = option (types.nullOr types.int) 0 "Number of the user, where there is no owner.";
      group = option (types.nullOr scalar) (
        if config.owner != null then users.${config.owner}.group else null
      ) "Group; that of the owner.";
      gid = option (types.nullOr types.int) 0 "Number of the group, where there is no group.";
      restartUnits = option (types.listOf types.str) [ ] "Units to restart when it changes.";
      reloadUnits = option (types.listOf types.str) [ ] "Units to reload when it changes.";
    };
  };
  sopsSecret =
    { config, ... }:
    {
      options = {
        key = option types.str (
          if sops.defaultSopsKey != null then sops.defaultSopsKey else config._module.args.name
        ) "Slash path into the document; \"\": all of it.";
        path = option types.str (
          if config.neededForUsers then "/run/secrets-for-users/${config.name}" else "/run/secrets/${config.name}"
        ) "Where the program reads it.";
        format = option (types.enum [
          "yaml"
          "json"
          "binary"
          "dotenv"
          "ini"
        ]) sops.defaultSopsFormat "Format of the file.";
        sopsFile = option types.path sops.defaultSopsFile "The encrypted file.";
        sopsFileHash = mkOption {
          type = types.str;
          readOnly = true;
          default = lib.optionalString sops.validateSopsFiles (builtins.hashFile "sha256" config.sopsFile);
          description = "Digest of the file.";
        };
        neededForUsers = option types.bool false "Install it before users are made.";
      };
    };
  sopsTemplate =
    { config, options, ... }:
    {
      options = {
        path = option types.singleLineStr "/run/secrets/rendered/${config.name}" "Where the program reads it.";
        content = option types.lines "" "The text.";
        file = option types.path (pkgs.writeText config.name config.content) "A file with the text; it goes before `content`.";
        text = mkOption {
          type = types.str;
          internal = true;
          readOnly = true;
          description = "The text of either.";
          default = if isGiven options.file then builtins.readFile config.file else config.content;
        };
      };
    };

  placeholders = lib.listToAttrs (
    map (attribute: nameValuePair (toString sops.placeholder.${attribute}) sops.secrets.${attribute}.name) (
      lib.filter (attribute: sops.placeholder ? ${attribute}) (lib.attrNames sops.secrets)
    )
  );
  hasAge = age.secrets != { };
  hasSops = sops.secrets != { };

  without =
    what: declared: neutral: why:
    lib.optional (isGiven declared && declared.value != neutral) "${what} has no effect with secretsmith: ${why}";
  nothing = "leave it out";
  onlyAge = "documents are opened with the host's age or ed25519 key alone, which has to be among their recipients";

  # Scripts that agenix and sops-nix have. Others may name them as what comes before, and what they shall come after themselves
  # is then what installing comes after.
  early = lib.any (entry: entry.phase == "users") (
    lib.attrValues config.secretsmith.secrets ++ lib.attrValues config.secretsmith.templates
  );
  after = script: {
    text = "";
    deps = [ script ];
    supportsDryActivation = true;
  };
  # Reads only .deps of scripts that are made here, so that it is no circle.
  earlier =
    names:
    lib.subtractLists [ "secretsmith" "secretsmithUsers" ] (
      lib.concatMap (name: config.system.activationScripts.${name}.deps) names
    );
  ageFirst = lib.optionals hasAge [ "agenixNewGeneration" "agenixInstall" ];
  # agenix's own link is where secretsmith makes a folder, and through a link it puts nothing. Only this one is removed: what is in
  # folders of others is not for a script of root to delete.
  takeOver = ''
    if [ -L ${lib.escapeShellArg age.secretsDir} ]; then
      case "$(readlink ${lib.escapeShellArg age.secretsDir})" in
        ${lib.escapeShellArg age.secretsMountPoint}/*) rm ${lib.escapeShellArg age.secretsDir} ;;
      esac
    fi
  '';
  takenOver = lib.optional hasAge "secretsmithAfterAgenix";
  sopsFirst = lib.optional hasSops "setupSecrets";
  sopsUsersFirst = lib.optional (hasSops && early) "setupSecretsForUsers";
in
{
  imports = [
    (lib.mkRenamedOptionModule [ "age" "sshKeyPaths" ] [ "age" "identityPaths" ])
    (lib.mkRenamedOptionModule [ "sops" "gnupgHome" ] [ "sops" "gnupg" "home" ])
    (lib.mkRenamedOptionModule [ "sops" "sshKeyPaths" ] [ "sops" "gnupg" "sshKeyPaths" ])
  ];

  options.age = {
    secrets = option (types.attrsOf (types.submodule ageSecret)) { } "Secrets as agenix declares them.";
    identityPaths = option (types.listOf types.path) (hostKeys [
      "rsa"
      "ed25519"
    ]) "Private keys on the host. RSA keys open nothing.";
    secretsDir = option types.path "/run/agenix" "Folder of the links to secrets.";
    secretsMountPoint = option types.str "/run/agenix.d" "Where agenix had them.";
    ageBin = option types.str "${pkgs.age}/bin/age" "Without effect.";
  };

  options.sops = {
    secrets = option (types.attrsOf (
      types.submodule [
        (sopsEntry types.str)
        sopsSecret
      ]
    )) { } "Secrets as sops-nix declares them.";
    templates = option (types.attrsOf (
      types.submodule [
        (sopsEntry types.singleLineStr)
        sopsTemplate
      ]
    )) { } "Templates as sops-nix declares them.";
    placeholder = option (types.attrsOf types.unspecified) { } "Texts for templates.";
    defaultSopsFile = mkOption {
      type = types.path;
      description = "The file of secrets that name none.";
    };
    defaultSopsFormat = option types.str "yaml" "Its format.";
    defaultSopsKey = option (types.nullOr types.str) null "The key of secrets that name none; null: their name.";
    validateSopsFiles = option types.bool true "Refuse secrets whose file is not in this repository.";
    keepGenerations = option types.ints.unsigned 1 "How many generations stay; 0: as many as possible.";
    useSystemdActivation = option types.bool (
      (config.systemd.sysusers.enable or false) || (config.services.userborn.enable or false)
    ) "Install secrets by systemd units instead of activation scripts.";
    age = {
      sshKeyPaths = option (types.listOf types.path) (lib.filter (path: !lib.hasPrefix "/run/secrets" (toString path)) (
        hostKeys [ "ed25519" ]
      )) "ed25519 host keys that open documents.";
      keyFile = option (types.nullOr types.path) null "A file with an age key.";
      generateKey = option types.bool false "Without effect.";
      plugins = option (types.listOf types.unspecified) [ ] "Without effect.";
    };
    gnupg = {
      home = option (types.nullOr types.str) null "Without effect.";
      sshKeyPaths = option (types.listOf types.path) (hostKeys [ "rsa" ]) "Without effect.";
      package = option types.unspecified null "Without effect.";
    };
    package = option types.unspecified null "Without effect.";
    validationPackage = option types.unspecified null "Without effect.";
    log = option (types.listOf types.str) [ ] "Without effect.";
    environment = option (types.attrsOf types.unspecified) { } "Without effect.";
    useTmpfs = option types.bool false "Without effect.";
  };

  config = lib.mkMerge [
    {
      secretsmith.secrets =
        mapAttrs' (declare "age" "secrets" { method = "symlink"; } (
          secret:
          foreign.fromAgenix {
            inherit secret;
            early = passwords ? ${secret.path};
          }
        )) age.secrets
        // mapAttrs' (declare "sops" "secrets" sopsNames foreign.fromSops) sops.secrets;
      secretsmith.templates = mapAttrs' (declare "sops" "templates" { } (
        template: foreign.fromSopsTemplate placeholders (template // { content = template.text; })
      )) sops.templates;
      sops.placeholder = mkIf (sops.templates != { }) (
        mapAttrs (attribute: _: mkDefault (foreign.sopsPlaceholder attribute)) sops.secrets
      );
    }
    (mkIf (hasAge || hasSops) {
      secretsmith.identityPaths = preferred (
        lib.unique (
          lib.optionals hasAge (foreign.openable rsaPaths age.identityPaths)
          ++ lib.optionals hasSops (
            map toString (sops.age.sshKeyPaths ++ lib.optional (sops.age.keyFile != null) sops.age.keyFile)
          )
        )
      );
    })
    (mkIf hasAge {
      warnings = without "age.ageBin" options.age.ageBin null nothing
        ++ without "age.secretsMountPoint" options.age.secretsMountPoint "/run/agenix.d" nothing;
    })
    (mkIf hasSops {
      secretsmith = {
        useSystemd = preferred sops.useSystemdActivation;
        checkFiles = mkIf (!sops.validateSopsFiles) (preferred false);
        keep = mkIf (isGiven options.sops.keepGenerations) (
          preferred (if sops.keepGenerations == 0 then 100 else lib.min 100 sops.keepGenerations)
        );
      };
      assertions = lib.concatMap (
        attribute:
        map (mark: {
          assertion = false;
          message =
            "sops.templates.${quoted attribute}.content: ${mark} stands for no secret that is declared here: "
            + "write \${config.sops.placeholder.NAME}";
        }) (foreign.unknownMarks placeholders sops.templates.${attribute}.text)
      ) (lib.attrNames sops.templates);
      warnings =
        without "sops.gnupg.home" options.sops.gnupg.home null onlyAge
        ++ without "sops.gnupg.sshKeyPaths" options.sops.gnupg.sshKeyPaths [ ] onlyAge
        ++ without "sops.age.plugins" options.sops.age.plugins [ ] onlyAge
        ++ without "sops.age.generateKey" options.sops.age.generateKey false
          "if the key of sops.age.keyFile is not there yet, make it with age-keygen"
        ++ without "sops.environment" options.sops.environment { } nothing
        ++ without "sops.package" options.sops.package null nothing
        ++ without "sops.validationPackage" options.sops.validationPackage null nothing
        ++ without "sops.log" options.sops.log [ ] nothing
        ++ without "sops.useTmpfs" options.sops.useTmpfs false nothing;
    })
    (mkIf ((hasAge || hasSops) && !config.secretsmith.useSystemd) {
      system.activationScripts =
        lib.optionalAttrs hasAge (
          lib.genAttrs [ "agenixNewGeneration" "agenixInstall" "agenixChown" "agenix" ] (_: after "secretsmith")
          // {
            secretsmithAfterAgenix = {
              text = takeOver;
              deps = [ "specialfs" ];
            };
          }
        )
        // lib.genAttrs sopsFirst (_: after "secretsmith")
        // lib.genAttrs sopsUsersFirst (_: after "secretsmithUsers")
        // {
          secretsmith.deps = takenOver ++ earlier (ageFirst ++ sopsFirst);
        }
        // lib.optionalAttrs early {
          secretsmithUsers.deps = takenOver ++ earlier (ageFirst ++ sopsUsersFirst);
        };
    })
  ];
}
