# Everything of secretsmith that needs no nixpkgs: declarations in, manifests and checks out. Builtins only.
#
#   (import ./lib.nix).mkManifest { host = "web1"; root = ./.; secrets.db.file = ./secrets/db.age; }
#
# manifest.nix says what `evaluate` takes and returns; mkManifest is its member `manifest`.
let
  manifest = import ./manifest.nix;
  placeholders = import ./placeholders.nix;
in
{
  inherit (manifest)
    evaluate
    mkManifest
    secretDefaults
    templateDefaults
    directoryOf
    placeOf
    ;
  # A secret's token for templates: placeholderToken FILTER NAME; `filters` are the names of filters.
  inherit (placeholders) filters;
  placeholderToken = placeholders.token;
  # A public key line → { fingerprint; ssh_tag or recipient; }, null if it is none.
  describeKey = (import ./keys.nix).describe;
  # The check and the units, as derivations; a host without NixOS.
  inherit (import ./derivations.nix) check units source;
  host = import ./host.nix;
}
