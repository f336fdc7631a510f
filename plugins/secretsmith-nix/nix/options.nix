# The options that NixOS and home-manager share. scope: "system" or "user"; defaultPath: config of an entry → where it is read.
{
  lib,
  config,
  scope,
  defaultPath,
}:
let
  inherit (lib) mkOption types;
  cfg = config.secretsmith;
  manifests = import ./manifest.nix;
  maybe = type: types.nullOr type;
  option =
    type: default: description:
    mkOption { inherit type default description; };

  # No patterns as types: what is wrong is told with all the rest, and with what to do about it (problems.nix).
  common = section: { name, config, ... }: {
    options = {
      name = option types.str name "Relative path below the directory of secrets.";
      owner = option types.str "root" "User whose file it is.";
      group = option types.str "root" "Group of the file.";
      uid = option (maybe types.ints.unsigned) null "Number of the owner, instead of a name.";
      gid = option (maybe types.ints.unsigned) null "Number of the group, instead of a name.";
      mode = option types.str "0400" "Permissions, three octal digits.";
      path = mkOption {
        type = types.str;
        default = defaultPath config;
        defaultText = lib.literalExpression ''"/run/secrets/''${name}"'';
        description = ''
          Where the program reads it. Use this elsewhere in the configuration: `config.secretsmith.${section}.NAME.path`. Another
          path becomes a link, or a copy with `method = "copy"`.
        '';
      };
      method = option (types.enum [
        "link"
        "copy"
      ]) "link" "What is put at a path of its own.";
      phase = mkOption {
        type = types.enum [
          "users"
          "services"
          "initrd"
        ];
        default = if config.neededForUsers then "users" else "services";
        defaultText = lib.literalExpression ''"services"'';
        description = "When it is needed: before users are made, for services, or for an initial RAM disk.";
      };
      neededForUsers = option types.bool false "The same as `phase = \"users\"`: for password hashes.";
      required = option types.bool true "Whether its failure is a failure of the activation.";
      plaintextOnDisk = option types.bool false "Allow a copy on a disk.";
      restartUnits = option (types.listOf types.str) [ ] "Units to restart when it changes.";
      reloadUnits = option (types.listOf types.str) [ ] "Units to reload when it changes.";
      credentials = option (types.listOf types.str) [ ] ''
        Units that are handed the value as a credential, and its name there: `"web.service:db"` is `$CREDENTIALS_DIRECTORY/db` in
        web.service. List the unit in `restartUnits` too, if it shall hear of a change.
      '';
      called = mkOption {
        type = types.attrsOf types.str;
        internal = true;
        default = { };
        description = "What messages call its fields, where another module declares it.";
      };
      option = mkOption {
        type = types.str;
        internal = true;
        default = "secretsmith.${section}.${lib.strings.escapeNixIdentifier name}";
        description = "What messages call it.";
      };
    };
  };

  secret = types.submodule [
    (common "secrets")
    {
      options = {
        file = option (maybe (types.either types.path types.str)) null "The encrypted file, as a path; null with a `source`: `secrets/HOST/NAME.age` below the root.";
        format = option (maybe (
          types.enum [
            "age"
            "yaml"
            "json"
            "dotenv"
            "ini"
            "binary"
          ]
        )) null "Format of the file; null: what its suffix says.";
        key = option (maybe types.str) null "Slash path into a document, such as `mail/smtp`; null: the whole.";
        output = option (types.enum [
          "value"
          "json"
          "yaml"
        ]) "value" "How what is at the key is written.";
        maxStale = option (maybe types.str) null "How long a last good value may stay, such as `30d`.";
        source = option (maybe types.str) null "Where `secretsmith sync` has the value from, such as `pass:web/db`.";
        live = option types.bool false ''
          Keep the value out of the repository: `secretsmith deploy` fetches it from `source` and brings it to the host, encrypted for the
          host alone.
        '';
      };
    }
  ];

  template = types.submodule [
    (common "templates")
    (
      { config, ... }:
      {
        options = {
          file = option (maybe types.path) null "A file with the content, not encrypted.";
          content = mkOption {
            type = types.lines;
            default = if config.file == null then "" else builtins.readFile config.file;
            defaultText = lib.literalExpression "builtins.readFile file";
            description = "The text; `config.secretsmith.placeholder.NAME` stands for the value of a secret.";
          };
          format = option (types.enum [
            "raw"
            "json"
            "yaml"
            "toml"
            "dotenv"
            "ini"
          ]) "raw" "What it must still be valid as when values are in it.";
        };
      }
    )
  ];

  readOnly =
    description: value:
    mkOption {
      type = types.unspecified;
      readOnly = true;
      inherit description;
      default = value;
      defaultText = lib.literalMD "made from the other options";
    };
in
{
  secrets = option (types.attrsOf secret) { } "Secrets of this ${if scope == "user" then "user" else "host"}.";
  templates = option (types.attrsOf template) { } "Files made of a text and values of secrets.";
  root = option (maybe types.path) null ''
    The repository, such as `./.`: files are named from here. Its `secretsmith.toml` and `secretsmith.lock` are taken if it has
    them. null: the folder of the registry.
  '';
  registry = option (maybe types.path) null "`secretsmith.toml`, if it is not in the root.";
  lock = option (maybe types.path) null "`secretsmith.lock`, if it is not in the root.";
  identityPaths = mkOption {
    type = types.listOf (types.either types.str types.path);
    description = "Private keys on the host that open the secrets, as texts: nothing that is in the Nix store.";
  };
  keep = option (types.ints.between 1 100) 2 "How many generations of secrets stay, the live one included.";
  credentialKey = option (maybe (
    types.enum [
      "host"
      "tpm2"
      "host+tpm2"
    ]
  )) null ''
    Keep credentials on the disk, encrypted with this key of the machine (systemd-creds), so that units have them before the
    secrets are installed; null: they are read from memory.
  '';
  directory =
    option types.str (manifests.directoryOf scope)
      "The link that programs read through; the files are in DIRECTORY.d.";
  checkFiles = option types.bool true "Refuse secrets whose file is not in this repository.";
  check = {
    enable = mkOption {
      type = types.bool;
      default = if scope == "system" then cfg.evaluated.registry != null else cfg.evaluated.registered != null;
      defaultText = lib.literalMD "whether there is a registry; for a user: whether it has that user";
      description = ''
        Have the build run `secretsmith build check`: every file exists, has the key, and opens for the host's registered key. It
        needs no key. Where it fails, so does the build of the system.
      '';
    };
  };
  host = mkOption {
    type = types.str;
    description = "The name in the registry.";
  };

  placeholder = readOnly ''
    Tokens for templates: `placeholder.NAME` stands for the value as it is, `placeholder.json.NAME` for the value quoted for a
    JSON string; likewise yaml, toml, shell, env, url, ini and systemd.
  '' cfg.evaluated.placeholder;
  manifest = readOnly "The activation manifest, as a value." cfg.evaluated.manifest;
  declaration = readOnly "What is declared, without a look at any file: for `secretsmith build`." cfg.evaluated.declaration;
  evaluated = mkOption {
    type = types.unspecified;
    internal = true;
    readOnly = true;
    description = "What manifest.nix made of all this.";
  };
}
