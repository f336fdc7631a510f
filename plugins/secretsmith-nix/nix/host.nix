# A host without NixOS, declared like one: what the NixOS module gives of `config`, by builtins alone. See examples/flake.
{
  # the name in the registry
  host,
  # the repository
  root,
  # plain attrsets { secretsmith = { … }; }, or files with one, or functions of { config } to one
  modules,
  # what builds the check: a Python ≥ 3.11 and its system
  python ? "/usr/bin/python3",
  system ? "x86_64-linux",
}:
let
  inherit (builtins)
    concatMap
    foldl'
    isAttrs
    isFunction
    isPath
    mapAttrs
    ;
  manifests = import ./manifest.nix;
  derivations = import ./derivations.nix;

  # Like NixOS modules, as far as plain declarations go: files, functions, imports.
  load =
    module:
    if isPath module then
      load (import module)
    else if isFunction module then
      load (module { inherit config; })
    else
      concatMap load (module.imports or [ ]) ++ [ (module.secretsmith or { }) ];
  # Tables merge, so that several modules may declare secrets; of anything else the last counts.
  merge =
    one: two:
    one
    // mapAttrs (name: value: if isAttrs value && isAttrs (one.${name} or null) then one.${name} // value else value) two;
  declared = foldl' merge { } (concatMap load modules);

  evaluated = manifests.evaluate (
    {
      inherit host root;
      originOf =
        section: name:
        let
          found = builtins.unsafeGetAttrPos name (declared.${section} or { });
          prefix = "${toString root}/";
          from = builtins.stringLength prefix;
        in
        if found == null || builtins.substring 0 from found.file != prefix then
          null
        else
          "${builtins.substring from (builtins.stringLength found.file) found.file}:${toString found.line}";
    }
    // declared
  );
  check = derivations.check { inherit evaluated python system; };
  config = {
    secretsmith = declared // {
      inherit (evaluated)
        manifest
        declaration
        placeholder
        secrets
        templates
        ;
      inherit evaluated;
    };
    system.build = {
      secretsmithManifest = builtins.toFile "secretsmith-${host}.json" (builtins.toJSON evaluated.manifest);
      secretsmithCheck = check;
      # What is built for such a host: its manifest, checked.
      toplevel = check;
    };
  };
in
{
  inherit config;
}
