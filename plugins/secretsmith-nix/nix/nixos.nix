# secretsmith for NixOS: options, assertions, manifest, check and activation.
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
    scope = "system";
  };
  entries = lib.attrValues cfg.secrets ++ lib.attrValues cfg.templates;
  isUsed = entries != [ ];
  ofUsers = entry: entry.phase == "users";
  hasUsers = lib.any ofUsers entries;

  # What runs during the build, on the machine that builds.
  python = lib.getExe pkgs.buildPackages.python3;
  inherit (pkgs.stdenv.buildPlatform) system;
  plainFile = pkgs.writeText "secretsmith-${cfg.host}.json" (builtins.toJSON evaluated.manifest);
  check = lib'.check {
    inherit evaluated python system;
    manifestFile = plainFile;
  };
  # The checked one, so that a system with secrets that its host could not open is never built.
  manifest = if cfg.check.enable then "${check}/manifest.json" else "${plainFile}";
  program = lib.getExe' cfg.package "secretsmith-activate";

  ed25519 = lib.filter (key: key.type == "ed25519") config.services.openssh.hostKeys;
  others = lib.filter (key: key.type != "ed25519") config.services.openssh.hostKeys;

  # At boot there is no systemd yet that could be told; what runs `switch` restarts units itself, after activation.
  install = phase: ''
    if [ "''${NIXOS_ACTION-}" = dry-activate ]; then
      ${program} --dry-run --units nixos ${phase}${manifest}
    elif [ -n "''${NIXOS_ACTION-}" ]; then
      ${program} --units nixos ${phase}${manifest}
    elif [ -d /run/systemd/system ]; then
      ${program} ${phase}${manifest}
    else
      ${program} --units none ${phase}${manifest}
    fi
  '';

  units = lib'.units {
    inherit python system program;
    name = cfg.host;
    manifestFile = plainFile;
    place = manifest;
    folder = "lib/systemd/system";
    # With activation scripts, only what hands credentials to units.
    only = if cfg.useSystemd then "all" else "dropins";
  };
  hasCredentials = lib.any (entry: entry.credentials != [ ]) entries;
  # Not requiredBy: nothing has to fail because a secret does. sysinit-reactivation: the part of a switch where sysinit units
  # are started anew, before other services.
  atBoot = {
    wantedBy = [
      "sysinit.target"
      "sysinit-reactivation.target"
    ];
    before = [ "sysinit-reactivation.target" ];
    overrideStrategy = "asDropin";
    # The units call systemctl by its name, and systemd's own search path has no such folder here.
    serviceConfig.ExecSearchPath = "${config.systemd.package}/bin";
  };

  # What activation scripts cannot see yet when the machine boots: file systems that are mounted by systemd later.
  late =
    path:
    let
      mounts = lib.filter (
        mount: mount != "/" && (path == mount || lib.hasPrefix "${mount}/" path)
      ) (lib.attrNames config.fileSystems);
      nearest = lib.last (lib.sort (one: two: lib.stringLength one < lib.stringLength two) mounts);
      early = [ "/nix" "/nix/store" "/var" "/var/log" "/var/lib" "/var/lib/nixos" "/etc" "/usr" ];
    in
    if mounts == [ ] || lib.elem nearest early || config.fileSystems.${nearest}.neededForBoot or false then null else nearest;
in
{
  options.secretsmith =
    import ./options.nix {
      inherit lib config;
      scope = "system";
      defaultPath = entry: lib'.placeOf cfg.directory entry.phase entry.name;
    }
    // {
      package = mkOption {
        type = types.package;
        default = pkgs.secretsmith or (pkgs.callPackage ../package.nix { });
        defaultText = lib.literalExpression "pkgs.secretsmith";
        description = "The programs that the host runs.";
      };
      useSystemd = mkOption {
        type = types.bool;
        default =
          (config.systemd.sysusers.enable or false)
          || (config.services.userborn.enable or false)
          # Before systemd runs, there is neither systemd-creds nor all of the disk.
          || (cfg.credentialKey != null && !hasUsers);
        defaultText = lib.literalMD ''
          whether systemd makes the users (`systemd.sysusers` or `services.userborn`), or there is a `credentialKey` and no secret
          is needed for users
        '';
        description = "Install secrets by systemd units instead of activation scripts.";
      };
    };

  config = lib.mkMerge [
    {
      secretsmith = {
        inherit evaluated;
        host = lib.mkDefault config.networking.hostName;
        identityPaths = lib.mkDefault (
          lib.optionals config.services.openssh.enable (map (key: key.path) ed25519)
        );
      };
    }
    (mkIf isUsed {
      assertions =
        map (message: {
          assertion = false;
          inherit message;
        }) evaluated.problems
        ++ [
          {
            assertion = cfg.identityPaths != [ ] || others == [ ] || !config.services.openssh.enable;
            message = "services.openssh.hostKeys has no ed25519 key, only ${
              lib.concatMapStringsSep ", " (key: key.type) others
            }: add { type = \"ed25519\"; path = \"/etc/ssh/ssh_host_ed25519_key\"; }";
          }
        ];
      warnings = lib.optionals (!cfg.useSystemd) (
        lib.concatMap (
          path:
          lib.optional (late path != null)
            "secretsmith.identityPaths: ${path} is on ${late path}, which is not mounted yet when secrets are installed at boot: set fileSystems.\"${late path}\".neededForBoot = true"
        ) (map toString cfg.identityPaths)
        ++ lib.optional (cfg.credentialKey != null)
          "secretsmith.credentialKey: activation scripts install the secrets, and at boot they cannot run systemd-creds: set systemd.sysusers.enable = true, or leave it out"
      );
      system.build = {
        secretsmithManifest = plainFile;
        secretsmithCheck = check;
      };
      # A deploy runs its own program there, with a python3 of the host.
      environment.systemPackages = [
        cfg.package
      ]
      ++ lib.optional (lib.any (secret: secret.live) (lib.attrValues cfg.secrets)) pkgs.python3;
    })
    (mkIf (isUsed && !cfg.useSystemd) {
      system.activationScripts = {
        secretsmith = {
          # All phases, that of users too: what could not be done early is then done late, and what is gone is removed.
          text = install "";
          deps = [
            "specialfs"
            "users"
            "groups"
          ];
          supportsDryActivation = true;
        };
      }
      // lib.optionalAttrs hasUsers {
        secretsmithUsers = {
          text = install "--phase users ";
          deps = [ "specialfs" ];
          supportsDryActivation = true;
        };
        users.deps = [ "secretsmithUsers" ];
      };
    })
    (mkIf (isUsed && (cfg.useSystemd || hasCredentials)) {
      systemd.packages = [ units ];
    })
    (mkIf (isUsed && cfg.useSystemd) {
      systemd.services = {
        secretsmith-activate = atBoot // {
          after = [ "userborn.service" ];
        };
      }
      // lib.optionalAttrs hasUsers {
        secretsmith-users = atBoot // {
          before = atBoot.before ++ [ "userborn.service" ];
        };
      };
      systemd.paths.secretsmith-identity = {
        wantedBy = [ "paths.target" ];
        overrideStrategy = "asDropin";
      };
      # A dry run alone: switching restarts the units, since their manifest is another one.
      system.activationScripts.secretsmith = {
        text = ''
          if [ "''${NIXOS_ACTION-}" = dry-activate ]; then
            ${program} --dry-run --units nixos ${manifest}
          fi
        '';
        supportsDryActivation = true;
      };
    })
  ];
}
