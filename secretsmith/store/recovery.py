"""Finishing or taking back a change, from its records alone; used by the commit itself and by whoever comes after a kill."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, Conflict, NotFound, SecretsmithError
from secretsmith.store.atomic import is_temp_name
from secretsmith.store.durable import BATCH, sync_filesystems, sync_folders
from secretsmith.store.failures import naming, translated
from secretsmith.store.journal import (
    Entry,
    drop_journal,
    drop_records,
    is_record_temp,
    read_journal,
    read_staging,
    records_exist,
)
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.paths import RepoPath, opened_parent
from secretsmith.store.regular import digest_file

# Caches of the state folder are written without the lock; a temporary file of theirs this old has no writer any more.
_STALE_SECONDS: Final = 3600
_FOLDER_STAYS: Final = frozenset(
    {
        errno.ENOTEMPTY,
        errno.EEXIST,
        errno.EBUSY,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
    }
)


def recover(root: Path, state_dir: Path) -> list[str]:
    """Bring the repository at ``root`` to rest after a run that was killed; costs a look into the state folder when there was none.

    A change whose journal was written is finished; any other is taken back. Harmless at any time and any number of times:
    it takes the repository's lock, so it never touches a change that is under way. A file that somebody changed after the
    kill is left as it is.

    Returns:
        The paths that were finished now, in order; empty when there was nothing to finish.

    Raises:
        Conflict: LOCKED; CHANGED, files were changed after the kill and were left so (everything else is done, and the
            next call is clean).
        SecretsmithError: STATE, a damaged record; NOSPC, ACCESS, IO: the records stay, the next call goes on.
    """
    if not records_exist(state_dir):
        return []
    with repository_lock(state_dir):
        sweep(state_dir)
        entries = read_journal(state_dir)
        if entries is None:
            discard(root, state_dir)
            return []
        left = [entry for entry in entries if not _may_finish(root, entry)]
        done: list[str] = []
        finish(root, state_dir, [entry for entry in entries if entry not in left], done)
    if left:
        raise _left_alone(left)
    return done


def finish(root: Path, state_dir: Path, entries: Sequence[Entry], done: list[str]) -> None:
    """Carry out ``entries``, make them durable and drop the records; steps that were done already are skipped.

    Each path that changes is appended to ``done`` at once, so that a caller knows how far an error let it come.
    """
    for entry in entries:
        if _step(root, entry):
            done.append(entry.path)
    folders = {entry.path.rpartition("/")[0] for entry in entries}
    for entry in entries:
        if entry.temp is None and entry.prune is not None:
            folders.update(_prune(root, entry.path, entry.prune))
    (sync_filesystems if len(folders) > BATCH else sync_folders)(root, folders)
    drop_records(state_dir)


def discard(root: Path, state_dir: Path) -> None:
    """Take back a change that renamed nothing: temporary files, folders made for it, and the records.

    Raises:
        SecretsmithError: something could not be removed; its record stays, and the next call tries again.
    """
    drop_journal(state_dir)
    staging = read_staging(state_dir)
    if staging is not None:
        for temp in staging.temps:
            _unlink(root, temp)
        for folder in reversed(staging.folders):
            _rmdir(root, folder)
        sync_folders(root, _parents((*staging.temps, *staging.folders)))
    drop_records(state_dir)


def _step(root: Path, entry: Entry) -> bool:
    try:
        with opened_parent(root, entry.path) as (folder, name), naming(entry.path):
            if entry.temp is None:
                os.unlink(name, dir_fd=folder)
            else:
                os.rename(entry.temp, name, src_dir_fd=folder, dst_dir_fd=folder)
            return True
    except (FileNotFoundError, NotFound):
        # Done before the kill (the temporary file has its final name, the file is removed), or the folder went since.
        return False


def _may_finish(root: Path, entry: Entry) -> bool:
    """Say whether nobody touched ``entry`` since the journal was written; drops its temporary file otherwise."""
    try:
        with opened_parent(root, entry.path) as (folder, name):
            if entry.temp is not None and digest_file(folder, entry.temp, entry.path) is None:
                return True  # renamed before the kill; what happened to the file since is not our business
            now = digest_file(folder, name, entry.path)
            if entry.temp is None:
                return now in (None, entry.old)
            # A damaged temporary file (a failing disk) must not replace a good one either.
            if now == entry.old and digest_file(folder, entry.temp, entry.path) == entry.new:
                return True
            with naming(entry.path), suppress(FileNotFoundError):
                os.unlink(entry.temp, dir_fd=folder)
            return False
    except NotFound:
        return True


def _left_alone(left: Iterable[Entry]) -> Conflict:
    names = [entry.path for entry in left]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return Conflict(
        Code.CHANGED,
        f"{names[0]}{more}: changed after an interrupted run, and left as it is; the rest of that run is finished",
        hints=("secretsmith check", "then run the command again"),
        path=names[0],
    )


def _unlink(root: Path, path: RepoPath) -> None:
    with suppress(NotFound), opened_parent(root, path) as (folder, name), naming(path):
        os.unlink(name, dir_fd=folder)


def _rmdir(root: Path, path: RepoPath) -> bool:
    """Remove an empty folder; say whether it went. One that is in use, or that we may not remove, stays."""
    try:
        with opened_parent(root, path) as (folder, name):
            os.rmdir(name, dir_fd=folder)
    except NotFound:
        return False
    except OSError as error:
        if error.errno in _FOLDER_STAYS:
            return False
        raise translated(error, path) from error
    return True


def _prune(root: Path, path: RepoPath, below: RepoPath) -> list[str]:
    """Remove the folders of ``path`` that are empty and lie below ``below``; return the folders that lost a name."""
    changed: list[str] = []
    folder = path.rpartition("/")[0]
    while folder.startswith(f"{below}/") and _rmdir(root, RepoPath(folder)):
        folder = folder.rpartition("/")[0]
        changed.append(folder)
    return changed


def _parents(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def sweep(state_dir: Path) -> None:
    """Remove temporary files that a kill left in the state folder itself; the lock is held."""
    horizon = time.time() - _STALE_SECONDS
    with naming(state_dir), os.scandir(state_dir) as entries:
        for entry in entries:
            if not is_temp_name(entry.name):
                continue
            if is_record_temp(entry.name) or entry.stat(follow_symlinks=False).st_mtime < horizon:
                with suppress(FileNotFoundError):
                    os.unlink(state_dir / entry.name)


def error_after_commit(error: SecretsmithError) -> SecretsmithError:
    """Return ``error``, met when the journal was written, with what it means for the user."""
    return SecretsmithError(
        error.code,
        f"{error.message}; the change is recorded, and the next secretsmith command that writes finishes it",
        path=error.path,
    )


__all__ = ["discard", "error_after_commit", "finish", "recover", "sweep"]
