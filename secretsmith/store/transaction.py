"""Many files changed as one: all staged, read back and verified before the first takes its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, TypeAlias

from secretsmith.errors import Code, Conflict, NotFound, RefusedInput, SecretsmithError
from secretsmith.store.atomic import copy_attributes, make_folder, regular_status, temp_name, write_new
from secretsmith.store.durable import BATCH, sync_filesystems, sync_folders
from secretsmith.store.failures import naming
from secretsmith.store.journal import Entry, Staging, write_journal, write_staging
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.paths import RepoPath, missing_folders, opened_parent, relative
from secretsmith.store.recovery import discard, error_after_commit, finish, recover
from secretsmith.store.regular import digest_file, open_regular, read_all

Verify: TypeAlias = Callable[[str, bytes], None]
"""Sees a path and the bytes that the disk holds for it; raises to stop the commit."""


_AHEAD: Final = 64  # files that the disk is asked for at once


class _Unchecked(Enum):
    ANY = "any"


ANY: Final = _Unchecked.ANY
"""The expectation that does not care what a file holds, or whether it exists."""

Expectation: TypeAlias = str | Literal[_Unchecked.ANY] | None
"""The sha256 (hex) that a file must have when it is replaced; None: it must not exist."""


class _Change(NamedTuple):
    data: bytes | None  # None: the file is removed
    expect: Expectation
    prune: RepoPath | None


class _Planned(NamedTuple):
    path: RepoPath
    temp: str | None
    data: bytes | None
    expect: Expectation
    prune: RepoPath | None

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


class Transaction:
    """A set of changes to files below ``root``; nothing is on the disk before :meth:`commit`.

    ``state_dir`` is the clone's state folder, where the journal lives. A second change of a path replaces the first one
    but for what is expected of the disk.
    """

    def __init__(self, root: Path, state_dir: Path) -> None:
        self._root = root
        self._state = state_dir
        self._changes: dict[RepoPath, _Change] = {}

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __bool__(self) -> bool:
        return bool(self._changes)

    def stage(self, rel: str, data: bytes, *, expect: Expectation) -> None:
        """Plan to make ``data`` (ciphertext or configuration, never plaintext) the content of ``rel``.

        Raises:
            RefusedInput: NAME, ``rel`` is no path inside the repository.
        """
        self._add(rel, _Change(data, expect, None))

    def remove(self, rel: str, *, expect: Expectation, prune_below: str | None = None) -> None:
        """Plan to remove ``rel``; folders left empty below ``prune_below`` go with it, others stay.

        Raises:
            RefusedInput: NAME, ``rel`` is no path inside the repository.
        """
        prune = None if prune_below is None else relative(prune_below)
        self._add(rel, _Change(None, expect, prune))

    def _add(self, rel: str, change: _Change) -> None:
        path = relative(rel)
        before = self._changes.get(path)
        if before is not None and before.expect is not ANY:
            # Nothing was written yet: what the first change expects of the disk is still what must be there.
            change = change._replace(expect=before.expect)
        self._changes[path] = change

    def close(self) -> None:
        """Drop what was planned and not committed."""
        self._changes.clear()

    def commit(self, verify: Verify | None = None) -> None:
        """Carry out all changes, or none.

        Takes the repository's lock (a holder may hold it already) and finishes what an interrupted run left. ``verify``
        is called for each staged file with the bytes read back from the disk, before anything takes its place; what it
        raises stops the commit. An error before the journal is written leaves no trace. One after it is retried, and
        if it stays, the next command that writes finishes the change.

        Raises:
            Conflict: CHANGED, a file does not have the expected content; LOCKED.
            RefusedInput: NAME_CLASH, NOT_REGULAR, SYMLINK: a target cannot be a file.
            SecretsmithError: NOSPC, ACCESS, IO.
        """
        if not self._changes:
            return
        with repository_lock(self._state):
            recover(self._root, self._state)
            self._refuse_clashes()
            plan = self._plan()
            try:
                self._write(plan)
                self._read_back(plan, verify)
                entries = self._checked(plan)
                write_journal(self._state, entries)
            except BaseException:
                self._take_back()
                raise
            self._finish(entries)
        self._changes.clear()

    def _refuse_clashes(self) -> None:
        staged = {path for path, change in self._changes.items() if change.data is not None}
        for path in staged:
            folder = path.rpartition("/")[0]
            while folder:
                if folder in staged:
                    raise RefusedInput(
                        Code.NAME_CLASH, f"{folder}: a file and the folder of {path} at once", path=folder
                    )
                folder = folder.rpartition("/")[0]

    def _plan(self) -> list[_Planned]:
        return [
            _Planned(path, None if change.data is None else temp_name(path.rpartition("/")[2]), *change)
            for path, change in self._changes.items()
        ]

    def _write(self, plan: list[_Planned]) -> None:
        staged = [item for item in plan if item.temp is not None]
        if not staged:
            return
        folders: dict[RepoPath, None] = {}
        for item in staged:
            folders.update(dict.fromkeys(missing_folders(self._root, item.path)))
        temps = tuple(RepoPath(f"{item.folder}/{item.temp}".lstrip("/")) for item in staged)
        write_staging(self._state, Staging(temps, tuple(folders)))
        for folder in folders:
            with opened_parent(self._root, folder) as (descriptor, name), naming(folder):
                make_folder(descriptor, name, 0o755)
        batch = len(staged) > BATCH
        for item in staged:
            self._write_temp(item, sync=not batch)
        # The names too: a journal that outlives a power cut must find the temporary files it speaks of.
        touched = {item.folder for item in staged} | {folder.rpartition("/")[0] for folder in folders}
        (sync_filesystems if batch else sync_folders)(self._root, touched)

    def _write_temp(self, item: _Planned, *, sync: bool) -> None:
        if item.temp is None or item.data is None:
            return
        with opened_parent(self._root, item.path) as (folder, name), naming(item.path):
            old = regular_status(folder, name, item.path)
            write_new(folder, item.temp, item.data, old=old, sync=sync)
            if old is not None:
                copy_attributes(folder, name, item.temp)

    def _read_back(self, plan: list[_Planned], verify: Verify | None) -> None:
        for place, item in enumerate(plan):
            if place % _AHEAD == 0:
                self._send_for(plan[place : place + _AHEAD])
            if item.temp is None or item.data is None:
                continue
            with opened_parent(self._root, item.path) as (folder, _):
                found = _read_from_disk(folder, item.temp, item.path)
            if found != item.data:
                raise SecretsmithError(
                    Code.IO, f"{item.path}: the disk gave back other bytes than were written", path=item.path
                )
            if verify is not None:
                verify(item.path, found)

    def _send_for(self, plan: list[_Planned]) -> None:
        """Let the disk begin to read several files at once; each alone would be waited for."""
        for item in plan:
            if item.temp is None:
                continue
            with opened_parent(self._root, item.path) as (folder, _):
                descriptor = open_regular(item.temp, item.path, folder=folder)
                try:
                    with naming(item.path):
                        # Clean pages leave the cache, so that the read sees what the disk holds and not what was sent there.
                        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(descriptor)

    def _checked(self, plan: list[_Planned]) -> list[Entry]:
        """Return the journal's entries, having seen that every target is still what its caller thinks it is."""
        import hashlib  # loads OpenSSL, which commands that only read do not need

        entries: list[Entry] = []
        for item in plan:
            now = self._current(item.path)
            if item.expect is not ANY and now != item.expect:
                raise _changed(item.path, now, item.expect)
            new = None if item.data is None else hashlib.sha256(item.data).hexdigest()
            entries.append(Entry(item.path, item.temp, new, now, item.prune))
        return entries

    def _current(self, path: RepoPath) -> str | None:
        try:
            with opened_parent(self._root, path) as (folder, name):
                return digest_file(folder, name, path)
        except NotFound:
            return None

    def _take_back(self) -> None:
        try:
            discard(self._root, self._state)
        except SecretsmithError:
            # The disk refuses even that. The staging record stays for the next run; the first error is the one to tell.
            return

    def _finish(self, entries: list[Entry]) -> None:
        done: list[str] = []
        try:
            finish(self._root, self._state, entries, done)
        except SecretsmithError as error:
            if not done:
                self._take_back()
                raise
            self._finish_again(entries, done, error)
        except BaseException:
            # Ctrl-C between two renames: the change is decided, so it is completed first.
            self._finish_again(entries, done, None)
            raise
        written = set(done)
        for entry in entries:
            if entry.temp is not None and entry.path not in written:
                raise SecretsmithError(
                    Code.IO,
                    f"{entry.path}: its temporary file vanished; the old file is still there",
                    path=entry.path,
                )

    def _finish_again(self, entries: list[Entry], done: list[str], first: SecretsmithError | None) -> None:
        try:
            finish(self._root, self._state, entries, done)
        except SecretsmithError as error:
            raise error_after_commit(first or error) from error


def _read_from_disk(folder: int, temp: str, shown: str) -> bytes:
    descriptor = open_regular(temp, shown, folder=folder)
    try:
        return read_all(descriptor, shown, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _changed(path: str, now: str | None, expect: Expectation) -> Conflict:
    reason = "was changed meanwhile"
    if now is None:
        reason = "was removed meanwhile"
    elif expect is None:
        reason = "exists by now"
    return Conflict(
        Code.CHANGED, f"{path}: {reason}; nothing was written", hints=("run the command again",), path=path
    )


__all__ = ["ANY", "Expectation", "Transaction", "Verify", "recover"]
