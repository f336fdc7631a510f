"""What activation left at custom paths, and the record of it that outlives a reboot.

A link or copy is taken away or replaced only when it is still what is recorded here, so that nothing of anybody else is
ever lost. The record holds paths and numbers, nothing of a value.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import (
    TEMPORARY,
    failed,
    make_folder,
    open_folder,
    read_small,
    remove_if_there,
    replace_file,
    safe_folder,
)
from secretsmith.errors import Code, Conflict, SecretsmithError
from secretsmith.manifest.patterns import COMPILED
from secretsmith.record import record, replace

_VERSION = 1
_MAX_BYTES = 32 * 1024 * 1024
_STAMP_LENGTH = 6
_WAIT = 10.0  # seconds


@record
class PlacedPath:
    """What lies at a custom path: a link with ``text``, or a copy with ``stamp``; with neither, perhaps half a copy.

    ``earlier`` is what lay there before and still does if the run that wrote this was killed.
    """

    text: str | None = None
    stamp: tuple[int, ...] | None = None
    earlier: PlacedPath | None = None

    def alone(self) -> PlacedPath:
        """Return the same without what was before."""
        return self if self.earlier is None else replace(self, earlier=None)

    def variants(self) -> tuple[PlacedPath, ...]:
        """Return all that may lie there and is ours."""
        return (self,) if self.earlier is None else (self.alone(), self.earlier)


Placed = Mapping[str, PlacedPath]


def stamp_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what changes when anybody touches a copy, and stays over a rename and a reboot (as device and ctime do not)."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid, found.st_gid)


def merged(older: Placed, newer: Placed) -> Placed:
    """Return what both know; where they differ about a path, either may lie there."""
    found = {**older, **newer}
    for path in older.keys() & newer.keys():
        old, new = older[path].alone(), newer[path]
        if new == PlacedPath():  # perhaps half a copy: that says nothing of what lies there
            found[path] = older[path]
        elif new.earlier is None and new != old != PlacedPath():
            found[path] = replace(new, earlier=old)
    return found


def placed_tree(placed: Placed) -> dict[str, object]:
    """Return ``placed`` as JSON can hold it."""
    return {path: _item_tree(item) for path, item in placed.items()}


def placed_from_tree(tree: object) -> Placed:
    """Read what :func:`placed_tree` returned; raises TypeError, KeyError or ValueError for anything else."""
    if not isinstance(tree, dict):
        raise TypeError
    return {_path(path): _item(item) for path, item in tree.items()}


def load_placed(path: str, generations: str, caller: Caller) -> Placed:
    """Return what the record at ``path`` says of the activation with this folder of generations; empty without a record.

    Raises:
        SecretsmithError: STATE, if the record is damaged: activation goes on with what it knows else, and says so.
            PATH_UNSAFE, if others could have written it; ACCESS, IO.
    """
    try:
        with _folder_of(path, caller, create=False) as folder:
            return _read(folder, path).get(generations, {})
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise failed(error, path) from None


def save_placed(path: str, generations: str, placed: Placed, caller: Caller, *, merge: bool = False) -> None:
    """Make the record at ``path`` say this, by one rename and 0600; nothing is written where it says so already.

    ``merge``: keep what it says besides, for a caller that could not read it before.

    Raises:
        SecretsmithError: PATH_UNSAFE, ACCESS (a root that is still read-only), NOSPC, IO; Conflict LOCKED.
    """
    try:
        # A host without custom paths never gets this folder.
        with _folder_of(path, caller, create=bool(placed)) as folder:
            # Phases have locks of their own and may run at once; all of them write here.
            _lock(folder, path)
            remove_if_there(folder, f".{path.rpartition('/')[2]}{TEMPORARY}")  # of a run that was killed
            try:
                records, damaged = _read(folder, path), False
            except SecretsmithError:
                records, damaged = {}, True
            if merge:
                placed = merged(records.get(generations, {}), placed)
            if damaged or records.get(generations, {}) != placed:
                others = {name: item for name, item in records.items() if name != generations}
                _write(folder, path, {**others, generations: placed} if placed else others)
    except FileNotFoundError:
        if placed:
            raise
    except OSError as error:
        raise failed(error, path) from None


def make_record_folder(path: str, caller: Caller) -> None:
    """Make the folder that the record ``path`` lies in, unless it is there.

    Raises:
        SecretsmithError: it cannot be made, or is not safe.
    """
    try:
        with _folder_of(path, caller, create=True):
            pass
    except OSError as error:
        raise failed(error, path) from None


def _lock(folder: int, path: str) -> None:
    # Held for one small file's writing, so a long wait is for a process that hangs; the boot must not hang with it.
    end = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Conflict(Code.LOCKED, f"another activation is writing {path}", path=path) from None
            time.sleep(0.01)
        else:
            return


def _write(folder: int, path: str, records: Mapping[str, Placed]) -> None:
    tree = {
        "version": _VERSION,
        "paths": {generations: placed_tree(placed) for generations, placed in records.items()},
    }
    replace_file(folder, path.rpartition("/")[2], json.dumps(tree).encode(), mode=0o600, sync=True)


def _read(folder: int, path: str) -> dict[str, Placed]:
    data = read_small(folder, path.rpartition("/")[2], _MAX_BYTES)
    if data is None:
        return {}
    try:
        tree = json.loads(data)
        if tree["version"] != _VERSION:
            raise ValueError
        return {_path(name): placed_from_tree(placed) for name, placed in tree["paths"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = f"{path} is damaged: what was put at custom paths before this boot is not known"
        hint = "it is made anew; look for old links and copies where secrets had a path"
        raise SecretsmithError(Code.STATE, text, hints=(hint,), path=path) from None


@contextlib.contextmanager
def _folder_of(path: str, caller: Caller, *, create: bool) -> Iterator[int]:
    above, _, name = path.rpartition("/")[0].rpartition("/")
    where = f"{above}/{name}"
    try:
        with safe_folder(above or "/", caller.trusted, create=create) as parent:
            folder = _open(parent.fd, name, where, create=create)
    except SecretsmithError as error:
        if error.code is Code.NOT_FOUND:
            raise FileNotFoundError from None
        raise
    try:
        found = os.fstat(folder)
        # Whoever writes this record chooses which files are taken for ours; not even a sticky folder will do.
        if found.st_uid not in caller.trusted or found.st_mode & 0o022:
            why = f"belongs to user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}: others could forge it"
            raise SecretsmithError(Code.PATH_UNSAFE, f"{where} {why}", path=where)
        yield folder
    finally:
        os.close(folder)


def _open(parent: int, name: str, where: str, *, create: bool) -> int:
    try:
        return open_folder(parent, name)
    except FileNotFoundError:
        if not create:
            raise
    try:
        return make_folder(parent, name, where, 0o700)
    except FileExistsError:  # another phase was faster
        return open_folder(parent, name)


def _item_tree(item: PlacedPath) -> dict[str, object]:
    tree: dict[str, object] = {}
    if item.text is not None:
        tree["text"] = item.text
    if item.stamp is not None:
        tree["stamp"] = list(item.stamp)
    if item.earlier is not None:
        tree["earlier"] = _item_tree(item.earlier)
    return tree


def _item(tree: object, *, last: bool = False) -> PlacedPath:
    if not isinstance(tree, dict):
        raise TypeError
    stamp = tree.get("stamp")
    if stamp is not None and not (
        isinstance(stamp, list)
        and len(stamp) == _STAMP_LENGTH
        and all(type(number) is int for number in stamp)
    ):
        raise TypeError
    text = tree.get("text")
    return PlacedPath(
        None if text is None else _path(text),
        None if stamp is None else tuple(stamp),
        _item(tree["earlier"], last=True) if "earlier" in tree and not last else None,
    )


def _path(text: object) -> str:
    # By the manifest's own pattern, as only paths of manifests are ever recorded.
    if not isinstance(text, str) or not COMPILED["path"].match(text):
        raise TypeError
    text.encode()  # half characters of JSON escapes are no file name: ValueError
    return text


__all__ = [
    "Placed",
    "PlacedPath",
    "load_placed",
    "make_record_folder",
    "merged",
    "placed_from_tree",
    "placed_tree",
    "save_placed",
    "stamp_of",
]
