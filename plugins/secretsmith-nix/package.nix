# The programs. The repository is two folders above, as in a checkout or a flake of the whole of it.
{
  lib,
  python3Packages,
  src ? lib.cleanSource ../..,
}:
python3Packages.buildPythonApplication {
  pname = "secretsmith";
  # secretsmith/__init__.py says it, and nothing else does.
  version = builtins.head (
    builtins.match ".*__version__ = \"([0-9.a-z]+)\".*" (builtins.readFile ../../secretsmith/__init__.py)
  );
  pyproject = true;
  inherit src;
  build-system = [ python3Packages.hatchling ];
  dependencies = with python3Packages; [
    bcrypt
    cryptography
    keyring
    pynacl
    pyrage
    ruamel-yaml
    tomlkit
    typer
  ];
  # The tests are the repository's own (.ci/run); they need programs and rights that a sandbox has not.
  doCheck = false;
  pythonImportsCheck = [
    "secretsmith.cli.activate"
    "secretsmith.cli.door"
  ];
  meta = {
    description = "Secrets in git for people with their own servers";
    license = lib.licenses.mit;
    mainProgram = "secretsmith";
    platforms = lib.platforms.linux;
  };
}
