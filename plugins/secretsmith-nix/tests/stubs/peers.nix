# One configuration, evaluated with the modules of agenix or sops-nix, or with secretsmith's in their place. The options of NixOS
# that they touch are stubs; everything else that a configuration sets is taken as it is.
{
  nixpkgsLib,
  python,
}:
let
  inherit (import ./nixpkgs.nix { inherit nixpkgsLib python; }) lib pkgs;
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  flag = option types.bool false;
  list = option (types.listOf types.unspecified) [ ];
  free = types.lazyAttrsOf types.anything;
  account =
    { name, config, ... }:
    {
      freeformType = free;
      options = {
        name = option types.str name;
        isNormalUser = flag;
        group = option types.str (if config.isNormalUser then "users" else "");
        uid = option (types.nullOr types.int) null;
        gid = option (types.nullOr types.int) null;
        hashedPasswordFile = option (types.nullOr types.str) null;
      };
    };
  script.options = {
    text = option types.lines "";
    deps = option (types.listOf types.str) [ ];
    supportsDryActivation = flag;
  };
  hostKeys = [
    { type = "rsa"; path = "/etc/ssh/ssh_host_rsa_key"; }
    { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; }
  ];
  stubs = {
    options = {
      assertions = list;
      warnings = list;
      networking.hostName = option types.str "web1";
      services.openssh = {
        enable = flag;
        hostKeys = option (types.listOf (types.attrsOf types.unspecified)) hostKeys;
      };
      services.userborn.enable = flag;
      systemd = {
        sysusers.enable = flag;
        packages = list;
        package = option types.unspecified "/systemd";
        services = option (types.attrsOf free) { };
        paths = option (types.attrsOf free) { };
      };
      environment.systemPackages = list;
      fileSystems = option free { };
      system.build = option free { };
      system.activationScripts = option (types.attrsOf (types.submodule script)) { };
      users = {
        mutableUsers = option types.bool true;
        users = option (types.attrsOf (types.submodule account)) { };
        groups = option (types.attrsOf (types.submodule account)) { };
      };
    };
    config = {
      _module.freeformType = free;
      _module.args.pkgs = peers;
      users.users.root = {
        uid = 0;
        group = "root";
      };
      users.groups = {
        root.gid = 0;
        users.gid = 100;
      };
    };
  };
  program = name: {
    type = "derivation";
    inherit name;
    outPath = "/opt/${name}";
    meta.mainProgram = name;
  };
  # What the peers and their tests ask of pkgs.
  peers = pkgs // {
    inherit lib;
    age = program "age";
    gnupg = program "gnupg";
    mount = program "mount";
    stdenv = pkgs.stdenv // { hostPlatform = pkgs.stdenv.buildPlatform; };
    writeTextFile = given: given;
    writeShellScript = pkgs.writeText;
    callPackage =
      file: given:
      let
        function = import file;
        wanted = builtins.functionArgs function;
      in
      function (builtins.intersectAttrs wanted peers // given);
    sops-install-secrets = program "sops-install-secrets";
    nixosTest = test: test;
    testers.runNixOSTest = test: test;
  };
in
rec {
  inherit lib;
  pkgs = peers;
  evaluate =
    modules:
    lib.evalModules {
      modules = [ stubs ] ++ modules;
    };
  # Configurations of a test of NixOS, as that calls them: name → configuration
  nodes = test: more: builtins.mapAttrs (_: node: evaluate ([ node ] ++ more)) test.nodes;
}
