# For those without flakes: imports = [ (import ./plugins/secretsmith-nix { }).nixosModules.default ];
{
  pkgs ? null,
}:
{
  nixosModules.default = import ./nix/nixos.nix;
  # age.secrets and sops.secrets, beside the default module
  nixosModules.compat = import ./nix/compat.nix;
  homeManagerModules.default = import ./nix/home-manager.nix;
  overlays.default = import ./nix/overlay.nix;
  lib = import ./nix/lib.nix;
}
// (if pkgs == null then { } else { secretsmith = pkgs.callPackage ./package.nix { }; })
