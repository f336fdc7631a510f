# What is built of a manifest: the check, and systemd's units. Needs a Python and nothing else: no key, no other package.
let
  inherit (builtins)
    derivation
    match
    placeholder
    replaceStrings
    toFile
    toJSON
    ;

  # The package as source. The folder is two above the plugin, as in a checkout or a flake of the whole repository.
  source =
    let
      root = ../../..;
      prefix = "${toString root}/";
      from = builtins.stringLength prefix;
    in
    builtins.path {
      path = root;
      name = "secretsmith-source";
      filter =
        path: type:
        match "secretsmith(/.*)?" (builtins.substring from (builtins.stringLength path) path) != null
        && (type == "regular" && match ".*\\.py" path != null || type == "directory" && baseNameOf path != "__pycache__");
    };

  # A file into the store by itself, rather than with the repository that it is in.
  alone =
    name: path:
    builtins.path {
      inherit name path;
    };
  given = option: name: path: if path == null then [ ] else [ option (alone name path) ];
in
{
  inherit source;

  # evaluated: what `evaluate` returns; manifestFile: made by the caller where its texts depend on derivations.
  # The result is a folder with the checked manifest.json.
  check =
    {
      evaluated,
      python,
      system,
      manifestFile ? toFile "secretsmith-${evaluated.manifest.host}.json" (toJSON evaluated.manifest),
    }:
    derivation {
      name = "secretsmith-${evaluated.declaration.name}";
      inherit system;
      builder = python;
      args = [
        "-I"
        "-S"
        ./run_check.py
        source
        (placeholder "out")
        manifestFile
      ]
      ++ given "--registry" "secretsmith.toml" evaluated.registry
      ++ given "--lock" "secretsmith.lock" evaluated.lock;
      preferLocalBuild = true;
      allowSubstitutes = false;
    };

  # place: where the host finds the manifest; program: its secretsmith-activate; folder: "lib/systemd/system" …; only: "all", or
  # "dropins" for those of credentials alone
  units =
    {
      name,
      manifestFile,
      place,
      program,
      folder,
      python,
      system,
      only ? "all",
    }:
    derivation {
      name = "secretsmith-units-${replaceStrings [ "/" ] [ "-" ] name}";
      inherit system;
      builder = python;
      args = [
        "-I"
        "-S"
        ./write_units.py
        source
        (placeholder "out")
        folder
        manifestFile
        place
        program
        only
      ];
      preferLocalBuild = true;
      allowSubstitutes = false;
    };
}
