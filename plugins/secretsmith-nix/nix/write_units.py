"""The units of a manifest: ``write_units.py SOURCE OUT FOLDER MANIFEST PLACE PROGRAM ONLY`` writes them to FOLDER below OUT.

The same text that ``secretsmith-activate --write-units`` writes. PLACE is where the host finds the manifest;
ONLY is ``all``, or ``dropins`` for the drop-ins that hand credentials to units of others.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Write the units; raises what secretsmith says of a manifest or path that it cannot take."""
    source, out, folder, manifest, place, program, only = sys.argv[1:]
    sys.dont_write_bytecode = True
    sys.path.insert(0, source)
    from secretsmith.activation.units.files import unit_files
    from secretsmith.manifest import parse_manifest

    with open(manifest, "rb") as opened:
        made = unit_files(parse_manifest(opened.read()), place, program)
    target = os.path.join(out, folder)
    os.makedirs(target)
    for name, text in made.items():
        if only == "dropins" and "/" not in name:
            continue
        # A drop-in has a folder of its own.
        os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
        with open(os.path.join(target, name), "w", encoding="utf-8") as written:
            written.write(text)


if __name__ == "__main__":
    main()
