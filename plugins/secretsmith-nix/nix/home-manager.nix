# secretsmith for home-manager: secrets of a user's session, below $XDG_RUNTIME_DIR, installed by units of systemctl --user.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.secretsmith;
  lib' = import ./lib.nix;
  evaluated = import ./common.nix {
    inherit lib config options;
    scope = "user";
  };
  isUsed = cfg.secrets != { } || cfg.templates != { };

  # What runs during the build, on the machine that builds.
  python = lib.getExe pkgs.buildPackages.python3;
  inherit (pkgs.stdenv.buildPlatform) system;
  plainFile = pkgs.writeText "secretsmith-${cfg.host}.json" (builtins.toJSON evaluated.manifest);
  check = lib'.check {
    inherit evaluated python system;
    manifestFile = plainFile;
  };
  manifest = if cfg.check.enable then "${check}/manifest.json" else "${plainFile}";
  units = lib'.units {
    inherit python system;
    name = cfg.host;
    manifestFile = plainFile;
    place = manifest;
    program = lib.getExe' cfg.package "secretsmith-activate";
    folder = "units";
  };
  # The unit's text has the manifest's place, so that home-manager restarts it when that changes.
  link = wanted: name: {
    name = "systemd/user/${wanted}${name}";
    value.source = "${units}/units/${name}";
  };
  # What hands credentials to units of the user.
  dropins = lib.unique (
    lib.concatMap (
      entry: map (text: "${lib.head (builtins.match "(.*):[^:]*" text)}.d/50-secretsmith.conf") entry.credentials
    ) (lib.attrValues cfg.secrets ++ lib.attrValues cfg.templates)
  );
in
{
  options.secretsmith =
    import ./options.nix {
      inherit lib config;
      scope = "user";
      defaultPath = entry: "${cfg.links}/${entry.name}";
    }
    // {
      package = mkOption {
        type = types.package;
        default = pkgs.secretsmith or (pkgs.callPackage ../package.nix { });
        defaultText = lib.literalExpression "pkgs.secretsmith";
        description = "The programs.";
      };
      links = mkOption {
        type = types.str;
        default = "${config.xdg.configHome}/secretsmith";
        defaultText = lib.literalExpression ''"''${config.xdg.configHome}/secretsmith"'';
        description = ''
          Where each secret without a path of its own is linked: $XDG_RUNTIME_DIR is not known before the user logs in, so a
          configuration cannot name it.
        '';
      };
    };

  config = lib.mkMerge [
    {
      secretsmith = {
        inherit evaluated;
        host = lib.mkDefault config.home.username;
        identityPaths = lib.mkDefault [ ];
      };
    }
    (mkIf isUsed {
      assertions = map (message: {
        assertion = false;
        inherit message;
      }) evaluated.problems;
      home.packages = [ cfg.package ];
      xdg.configFile = lib.listToAttrs (
        map (link "") [
          "secretsmith-activate.service"
          "secretsmith-identity.path"
          "secretsmith-retry.timer"
          "secretsmith-secret@.target"
        ]
        ++ map (link "") dropins
        ++ [
          (link "default.target.wants/" "secretsmith-activate.service")
          (link "paths.target.wants/" "secretsmith-identity.path")
        ]
      );
    })
  ];
}
