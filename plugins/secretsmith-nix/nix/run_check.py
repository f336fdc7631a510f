"""The check of a build: ``run_check.py SOURCE OUT MANIFEST OPTION…``, where SOURCE is the folder of the package secretsmith.

Runs ``secretsmith build check`` with nothing but the standard library, and writes the checked manifest into the new folder
OUT, with what Nix cannot work out: the age1… forms of ssh keys. All of that ends up in the Nix store, which everybody can read: there are no keys here, and no values.
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> int:
    """Return the exit code of the check; OUT is made only if that is 0."""
    source, out, manifest, *options = sys.argv[1:]
    sys.dont_write_bytecode = True
    sys.path.insert(0, source)
    sys.argv = ["secretsmith", "--manifest", manifest, *options]
    try:
        runpy.run_module("secretsmith.cli.buildcheck", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if code == 0:
        os.mkdir(out)
        with open(f"{out}/manifest.json", "wb") as written:
            written.write(completed(manifest, options))
    return code


def completed(manifest: str, options: list[str]) -> bytes:
    """Return the manifest with what the registry says of the keys in it."""
    from pathlib import Path

    from secretsmith.manifest import dump_manifest
    from secretsmith.operations.buildcheck import read_inputs
    from secretsmith.operations.buildcompletion import completed_principals

    given = read_inputs(Path(manifest), Path(options[options.index("--registry") + 1]), None)
    return dump_manifest(completed_principals(given.manifest, given.registry))


if __name__ == "__main__":
    sys.exit(main())
