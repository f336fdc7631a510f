"""``secretsmith-activate --write-units FOLDER MANIFEST``: the units of a manifest as files."""

from __future__ import annotations

import os
import shutil
import sys
from shlex import quote

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import failed, read_small, remove_if_there, replace_file, safe_folder
from secretsmith.activation.places.placed import load_placed
from secretsmith.activation.scope import surroundings
from secretsmith.activation.units.files import UNIT_HEADER, UNIT_NAMES, unit_files
from secretsmith.cli.render import PROGRAM, printable
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, Phase, Scope, parse_manifest

_PROGRAM = "secretsmith-activate"
_MAX_UNIT = 1024 * 1024


def write_units(data: bytes, manifest_path: str, folder: str) -> list[str]:
    """Write the units of the manifest ``data`` into ``folder``; return lines that say what was done and what to do next.

    Raises:
        SecretsmithError: the manifest is refused, or the folder cannot be written.
    """
    manifest = parse_manifest(data)
    files = unit_files(manifest, os.path.abspath(manifest_path), _program(), placed=_placed(manifest))
    where = os.path.realpath(folder)
    if not os.path.lexists(where):
        hint = f"mkdir -p {quote(where)}"
        raise SecretsmithError(
            Code.NOT_FOUND, f"the folder {where} does not exist", hints=(hint,), path=where
        )
    with safe_folder(where, Caller.current().trusted) as opened:
        for name, text in files.items():
            try:
                replace_file(opened.fd, name, text.encode(), mode=0o644)
            except OSError as error:
                raise failed(error, f"{where}/{name}") from None
        gone = [name for name in UNIT_NAMES if name not in files and _is_ours(opened.fd, name)]
        for name in gone:
            remove_if_there(opened.fd, name)
    user = " --user" if manifest.scope is Scope.USER else ""
    starts = [name for name, text in files.items() if "[Install]" in text and "@" not in name]
    return [
        *(f"{PROGRAM}: wrote {printable(f'{where}/{name}')}" for name in files),
        *(f"{PROGRAM}: removed {printable(f'{where}/{name}')}" for name in gone),
        f"{PROGRAM}: next: systemctl{user} daemon-reload && systemctl{user} enable --now {' '.join(map(quote, starts))}",
    ]


def _is_ours(folder: int, name: str) -> bool:
    """Whether an earlier manifest's unit lies there, which this one has no use for."""
    data = read_small(folder, name, _MAX_UNIT)
    return data is not None and data.startswith(UNIT_HEADER.encode())


def _placed(manifest: Manifest) -> set[str]:
    """Return the custom paths that earlier manifests had, where the unit still has to remove something."""
    caller = Caller.current()
    record = surroundings(manifest.scope, {}, caller).paths
    if record is None:
        return set()
    views = [manifest.for_phase(phase) for phase in Phase]
    try:
        return {path for view in views for path in load_placed(record, view.generations, caller)}
    except SecretsmithError:  # damaged: the next activation says so
        return set()


def _program() -> str:
    """Return the absolute path of this program, as a unit's ExecStart= wants it."""
    beside = os.path.join(os.path.dirname(sys.executable), _PROGRAM)
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which(_PROGRAM)
    if found is None:
        raise RefusedInput(
            Code.NOT_FOUND,
            f"the program {_PROGRAM} is not installed beside {sys.executable}",
            hints=("install secretsmith with pip, so that the program has a path of its own",),
        )
    return os.path.abspath(found)


__all__ = ["write_units"]
