"""What was deployed, as numbered trees: the link ``current`` leads to one, which remembers the one before it.

``trees/N`` is written to the end before the link is turned, so at any moment, and after a loss of power at any moment, ``current``
leads to all of the old tree or all of the new one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from secretsmith.operations.deploy.remote.channel import Refused
from secretsmith.operations.deploy.remote.folders import (
    link_target,
    locked,
    nobody_else_s,
    open_folder,
    replace_link,
    write_below,
)

BASE = "/var/lib/secretsmith"
MANIFEST = "manifest.json"
LIVE_RECORD = "live.json"
_PREVIOUS = "previous"
_TREES = "trees"
_CURRENT = "current"
_TARGET = re.compile(rf"{_TREES}/([1-9][0-9]{{0,8}})")
_LIVE = re.compile(r"live/[0-9a-f]{32}\.age")
_MAX_RECORD = 512 * 1024
_MAX_TREE = 512 * 1024 * 1024
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def tree_place(number: int) -> str:
    """Return the folder of a tree, for manifests that are made before it is there."""
    return f"{BASE}/{_TREES}/{number}"


def tree_digest(files: Mapping[str, bytes], number: int) -> str:
    """Return what tells the contents of a tree from others; its number, which stands in its manifest, does not count.

    Nor do the files of live values, which are not at hand where the tree is made: their digests stand in the record.
    """
    own, any_tree = f"{tree_place(number)}/".encode(), f"{tree_place(0)}/".encode()
    digest = sha256()
    for path, data in sorted(files.items()):
        if path != _PREVIOUS and not _LIVE.fullmatch(path):
            digest.update(sha256(path.encode()).digest() + sha256(data.replace(own, any_tree)).digest())
    return digest.hexdigest()


def digest_of(base: str, number: int) -> str | None:
    """Return the digest of a tree as it is on the disk now, None when no deploy left it so.

    This is asked before anything was refused, so what others left there must neither be waited for nor read without end.
    """
    top = f"{base}/{_TREES}/{number}"
    files: dict[str, bytes] = {}
    left = _MAX_TREE
    if not nobody_else_s(top):
        return None
    try:
        for folder, _, names in os.walk(top):
            for name in names:
                path = f"{folder}/{name}"
                data = _read_regular(path, left)
                left -= len(data)
                files[os.path.relpath(path, top)] = data
    except OSError:
        return None
    return tree_digest(files, number)


def live_of(base: str, number: int) -> dict[str, Any]:
    """Return the record of the live values in a tree, of those whose files are as they were sent."""
    top = f"{base}/{_TREES}/{number}"
    found: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        if nobody_else_s(top):
            for path, record in json.loads(_read_regular(f"{top}/{LIVE_RECORD}", _MAX_RECORD)).items():
                with suppress(OSError, TypeError, KeyError):
                    _read_live(top, path, record["sha256"])
                    found[path] = record
    return found


def _read_live(top: str, path: str, digest: str) -> bytes:
    if not _LIVE.fullmatch(path):
        raise OSError(errno.EINVAL, "no file of a live value")
    data = _read_regular(f"{top}/{path}", _MAX_TREE)
    if sha256(data).hexdigest() != digest:
        raise OSError(errno.EINVAL, "not as it was sent")
    return data


def _read_regular(path: str, limit: int) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as read:
        found = os.fstat(read.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise OSError(errno.EINVAL, "not written by a deploy")
        return read.read(limit)


def glance(base: str) -> tuple[int | None, int]:
    """Return the current tree's number, and the number that the next one gets. Makes nothing, trusts nothing."""
    current, names = None, list[str]()
    with suppress(OSError):
        found = _TARGET.fullmatch(os.readlink(f"{base}/{_CURRENT}"))
        current = int(found[1]) if found else None
    with suppress(OSError):
        names = os.listdir(f"{base}/{_TREES}")
    following = (current or 0) + 1
    while str(following) in names:
        following += 1
    return current, following


class Trees:
    """The trees of a host, held alone."""

    def __init__(self, base: str, base_folder: int, folder: int) -> None:
        self._base = base
        self._base_folder = base_folder
        self._folder = folder

    @property
    def current(self) -> int | None:
        """The number of the tree in use."""
        target = link_target(self._base_folder, _CURRENT)
        if target is None:
            return None
        found = _TARGET.fullmatch(target)
        if found is None:
            raise Refused(
                "E_PATH_UNSAFE", f"{self._base}/{_CURRENT} leads to {target!a}, which no deploy made"
            )
        return int(found[1])

    def previous(self, number: int) -> int | None:
        """Return the tree that was in use before ``number``, if it is still there."""
        with suppress(OSError, ValueError):
            path = f"{self._base}/{_TREES}/{number}/{_PREVIOUS}"
            with open(path, encoding="ascii") as read:
                before = int(read.read(16))
            if before in self._numbers():
                return before
        return None

    def manifest(self, number: int | None = None) -> str:
        """Return the path of a tree's manifest; of the one in use, by way of the link, without a number."""
        return f"{self._base}/{_CURRENT if number is None else f'{_TREES}/{number}'}/{MANIFEST}"

    def check_seen(self, seen: int | None) -> None:
        """Refuse an order that was made for another tree in use than there is now."""
        if seen != self.current:
            raise Refused("E_LOCKED", "somebody else has deployed in between", "deploy again")

    def stage(
        self,
        number: int,
        seen: int | None,
        files: Iterable[tuple[str, bytes]],
        kept: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Write a tree that nothing leads to yet. ``seen`` is the tree in use when the number was asked for.

        ``kept`` are live values that are taken from there: path and digest.

        Raises:
            Refused: somebody else has deployed since then.
        """
        self.check_seen(seen)
        if number in self._numbers():
            raise Refused("E_LOCKED", "somebody else has deployed in between", "deploy again")
        tree = open_folder(f"{self._base}/{_TREES}/{number}", 0o700, within=self._folder)
        try:
            for path, data in files:
                write_below(tree, path, data, 0o600)
            for path, digest in kept:
                write_below(tree, path, self._live(seen, path, digest), 0o600)
            write_below(tree, _PREVIOUS, str(self.current or 0).encode(), 0o600)
        finally:
            os.close(tree)
        os.fsync(self._folder)

    def _live(self, seen: int | None, path: str, digest: str) -> bytes:
        try:
            return _read_live(f"{self._base}/{_TREES}/{seen}", path, digest)
        except OSError:
            raise Refused("E_LOCKED", f"{path} was changed in between", "deploy again") from None

    def switch(self, number: int) -> None:
        """Turn the link to a tree."""
        replace_link(self._base_folder, _CURRENT, f"{_TREES}/{number}")

    def sweep(self) -> None:
        """Remove all trees but the one in use and the one before it: what a killed deploy left, and what is too old."""
        current = self.current
        kept = set() if current is None else {current, self.previous(current)}
        for number in self._numbers() - kept:
            self.remove(number)

    def remove(self, number: int) -> None:
        """Remove a tree."""
        shutil.rmtree(str(number), dir_fd=self._folder)

    def _numbers(self) -> set[int]:
        return {int(name) for name in os.listdir(self._folder) if _NUMBER.fullmatch(name)}


@contextmanager
def held_trees(base: str = BASE) -> Iterator[Trees]:
    """Give the trees of ``base``, held alone. Folders that are made for it and are empty in the end are removed again.

    Raises:
        Refused: a place that others could have prepared, or another deploy at work.
    """
    base_folder = open_folder(base, 0o700)
    try:
        folder = open_folder(f"{base}/{_TREES}", 0o700, within=base_folder)
        try:
            # Not the folder above: activation holds that while it writes its record there.
            with locked(folder, base):
                yield Trees(base, base_folder, folder)
        finally:
            os.close(folder)
            with suppress(OSError):  # not empty: there is a deploy
                os.rmdir(_TREES, dir_fd=base_folder)
                os.rmdir(base)
    finally:
        os.close(base_folder)


__all__ = [
    "BASE",
    "LIVE_RECORD",
    "MANIFEST",
    "Trees",
    "digest_of",
    "glance",
    "held_trees",
    "live_of",
    "tree_digest",
    "tree_place",
]
