{
  description = "secretsmith for NixOS and home-manager: declared secrets, checked by the build, installed in memory";

  # No inputs: nixpkgs is that of the system which the modules are part of, and the rest needs builtins alone.
  outputs =
    { self }:
    {
      nixosModules.default = import ./nix/nixos.nix;
      # age.secrets and sops.secrets, beside the default module
      nixosModules.compat = import ./nix/compat.nix;
      homeManagerModules.default = import ./nix/home-manager.nix;
      overlays.default = import ./nix/overlay.nix;
      lib = import ./nix/lib.nix;
    };
}
