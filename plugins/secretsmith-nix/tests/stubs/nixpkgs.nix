# What the modules need of nixpkgs, with the real library (NIXPKGS_LIB) and stubs of the NixOS options that they touch.
{
  nixpkgsLib,
  python,
  program ? "/opt/secretsmith",
}:
let
  # The one builtin of newer Nix that the library wants and nix 2.8 has not.
  readFileType = path: (builtins.readDir (dirOf path)).${baseNameOf path};
  lib =
    if builtins ? readFileType then
      import nixpkgsLib
    else
      builtins.scopedImport shimmed nixpkgsLib;
  shimmed = {
    builtins = builtins // {
      inherit readFileType;
    };
    import = builtins.scopedImport shimmed;
  };
  system = builtins.currentSystem or "x86_64-linux";
  script =
    name: text:
    derivation {
      inherit name system text;
      builder = "/bin/sh";
      args = [ "-c" "printf %s \"$text\" > $out" ];
    };
  pkgs = {
    stdenv.buildPlatform = { inherit system; };
    buildPackages.python3 = {
      type = "derivation";
      name = "python3";
      outPath = builtins.dirOf (builtins.dirOf python);
      meta.mainProgram = builtins.baseNameOf python;
    };
    python3 = {
      type = "derivation";
      name = "python3";
      outPath = "/python3";
    };
    writeText = script;
    secretsmith = {
      type = "derivation";
      name = "secretsmith";
      outPath = program;
      bin = { outPath = program; };
      meta.mainProgram = "secretsmith";
    };
  };
  any = lib.mkOption {
    type = lib.types.anything;
    default = { };
  };
  list = any // {
    type = lib.types.listOf lib.types.unspecified;
    default = [ ];
  };
  hostKeys = any // {
    type = lib.types.listOf (lib.types.attrsOf lib.types.unspecified);
    default = [
      { type = "rsa"; path = "/etc/ssh/ssh_host_rsa_key"; }
      { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; }
    ];
  };
  flag = lib.mkOption {
    type = lib.types.bool;
    default = false;
  };
  stubs = {
    options = {
      assertions = list;
      warnings = list;
      networking.hostName = lib.mkOption { type = lib.types.str; default = "web1"; };
      services.openssh = { enable = flag; inherit hostKeys; };
      services.userborn.enable = flag;
      systemd = { sysusers.enable = flag; packages = list; services = any; paths = any; package = any // { default = "/systemd"; }; };
      environment.systemPackages = list;
      fileSystems = any;
      system.build = any;
      system.activationScripts = any;
      users.users = any;
    };
  };
  homeStubs = {
    options = {
      assertions = list;
      warnings = list;
      home = { username = any // { default = "alice"; }; packages = list; homeDirectory = any // { default = "/home/alice"; }; };
      xdg = { configHome = any // { default = "/home/alice/.config"; }; configFile = any; };
    };
  };
  evaluate =
    first: modules:
    lib.evalModules {
      modules = [ first { _module.args.pkgs = pkgs; } ] ++ modules;
    };
in
{
  inherit lib pkgs;
  nixos = modules: evaluate stubs ([ (import ../../nix/nixos.nix) ] ++ modules);
  home = modules: evaluate homeStubs ([ (import ../../nix/home-manager.nix) ] ++ modules);
}
