"""``secretsmith-activate --write-units FOLDER MANIFEST``: the units of a manifest as files."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from shlex import quote

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import (
    failed,
    make_folder,
    open_folder,
    read_small,
    remove_if_there,
    replace_file,
    safe_folder,
)
from secretsmith.activation.places.placed import load_placed
from secretsmith.activation.scope import surroundings
from secretsmith.activation.units.credentials import DROPIN
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
            _write(opened.fd, where, name, text)
        gone = [name for name in UNIT_NAMES if name not in files and _is_ours(opened.fd, name)]
        for name in gone:
            remove_if_there(opened.fd, name)
        gone += _remove_dropins(opened.fd, where, files)
    user = " --user" if manifest.scope is Scope.USER else ""
    starts = [name for name, text in files.items() if "[Install]" in text and "@" not in name]
    return [
        *(f"{PROGRAM}: wrote {printable(f'{where}/{name}')}{_note(name)}" for name in files),
        *(f"{PROGRAM}: removed {printable(f'{where}/{name}')}" for name in gone),
        f"{PROGRAM}: next: systemctl{user} daemon-reload && systemctl{user} enable --now {' '.join(map(quote, starts))}",
    ]


def _note(name: str) -> str:
    """Return what is worth saying of a drop-in: it is not ours alone, and nothing restarts the unit for it."""
    unit = name.rpartition("/")[0].removesuffix(".d")
    return f" (credentials of {printable(unit)}, from its next start on)" if unit else ""


def _write(folder: int, where: str, name: str, text: str) -> None:
    """Write a unit, or a drop-in into a folder of its own."""
    beside, slash, last = name.rpartition("/")
    try:
        with contextlib.ExitStack() as stack:
            if slash:
                folder = stack.enter_context(_dropin_folder(folder, where, beside, create=True))
            replace_file(folder, last, text.encode(), mode=0o644)
    except OSError as error:
        raise failed(error, f"{where}/{name}") from None


def _remove_dropins(folder: int, where: str, files: Mapping[str, str]) -> list[str]:
    """Remove drop-ins that earlier manifests had, and their folders if nothing else is in them."""
    gone = []
    listed = open_folder(folder, ".")
    try:
        names = sorted(name for name in os.listdir(listed) if name.endswith(".d"))
    finally:
        os.close(listed)
    for beside in names:
        name = f"{beside}/{DROPIN}"
        # What is no folder, or a link to one, is none of ours: --write-units makes no such thing.
        with contextlib.suppress(OSError), _dropin_folder(folder, where, beside, create=False) as opened:
            if name not in files and _is_ours(opened, DROPIN):
                remove_if_there(opened, DROPIN)
                gone.append(name)
                with contextlib.suppress(OSError):  # somebody else's drop-ins stay
                    os.rmdir(beside, dir_fd=folder)
    return gone


@contextlib.contextmanager
def _dropin_folder(folder: int, where: str, name: str, *, create: bool) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        if create:
            os.close(make_folder(folder, name, f"{where}/{name}"))
    opened = open_folder(folder, name)
    try:
        found = os.fstat(opened)
        if found.st_uid not in Caller.current().trusted or found.st_mode & 0o022:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        yield opened
    finally:
        os.close(opened)


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
