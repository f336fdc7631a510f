# From options to what manifest.nix takes, for NixOS and home-manager.
{
  lib,
  config,
  options,
  scope,
}:
let
  cfg = config.secretsmith;
  manifests = import ./manifest.nix;
  fields = defaults: entry: builtins.intersectAttrs (defaults // { name = null; option = null; }) entry;
  folder = if cfg.root == null then "" else "${builtins.unsafeDiscardStringContext (toString cfg.root)}/";

  # Where a secret is declared: FILE:LINE below the root, for messages. The last definition counts, as for people.
  definitions =
    section: map (definition: definition.value) options.secretsmith.${section}.definitionsWithLocations;
  originOf =
    section: name:
    let
      places = lib.concatMap (
        value:
        let
          place = builtins.unsafeGetAttrPos name value;
        in
        lib.optional (builtins.isAttrs value && value ? ${name} && place != null) place
      ) (definitions section);
      place = lib.last places;
    in
    if places == [ ] || folder == "" || !lib.hasPrefix folder place.file then
      null
    else
      "${lib.removePrefix folder place.file}:${toString place.line}";
in
manifests.evaluate {
  inherit scope originOf;
  inherit (cfg)
    host
    root
    registry
    lock
    directory
    keep
    credentialKey
    identityPaths
    checkFiles
    ;
  secrets = lib.mapAttrs (_: fields manifests.secretDefaults) cfg.secrets;
  templates = lib.mapAttrs (_: fields manifests.templateDefaults) cfg.templates;
}
