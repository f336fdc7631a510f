"""A private folder in memory for the plaintext of an edit, and nowhere else.

tmpfs may still be swapped out; what this promises is that no file of a disk ever holds the plaintext (SECURITY.md).
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, SecretsmithError
from secretsmith.store.atomic import write_new
from secretsmith.store.failures import naming, translated

PREFIX: Final = "secretsmith."
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (checked to be tmpfs; our folder in it is private)
# statfs(2), linux/magic.h: filesystems that live in memory.
TMPFS_MAGIC: Final = 0x01021994
RAMFS_MAGIC: Final = 0x858458F6
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS: Final = 8
# struct statfs is at most 120 bytes on 64-bit Linux; its first field is a long with the type.
_STATFS_BYTES: Final = 512


@contextmanager
def scratch_folder(environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Give a new folder, mode 0700, on tmpfs or ramfs; everything in it is removed at the end.

    It lies in $XDG_RUNTIME_DIR when that is ours and in memory, else in /dev/shm. Folders that a killed process left are
    removed first: each is locked with flock as long as its process lives, which holds across pid namespaces too.

    Raises:
        SecretsmithError: NO_TMPFS, there is no such place; NOSPC, ACCESS, IO.
    """
    base = memory_base(environ)
    sweep(base)
    path, descriptor = _make(base)
    try:
        yield path
    finally:
        try:
            with naming(path):
                _empty(descriptor)
                os.rmdir(path)
        finally:
            os.close(descriptor)


def write_private(folder: Path, name: str, data: bytes) -> Path:
    """Create the file ``name`` (mode 0600) with ``data`` in a scratch folder; return its path.

    Raises:
        SecretsmithError: NOSPC, ACCESS, IO, or it exists already.
    """
    path = folder / name
    with naming(path):
        descriptor = os.open(folder, _FOLDER_FLAGS)
        try:
            write_new(descriptor, name, data, old=None, mode=0o600, sync=False)
        finally:
            os.close(descriptor)
    return path


def in_memory(descriptor: int) -> bool:
    """Say whether the open file or folder lies on tmpfs or ramfs, by fstatfs(2)."""
    import ctypes  # Python's statvfs has no filesystem type; only edit pays for the import

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.fstatfs(descriptor, buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    kind = int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF
    return kind in (TMPFS_MAGIC, RAMFS_MAGIC)


def sweep(base: Path) -> None:
    """Remove our scratch folders below ``base`` whose process is gone; what cannot be removed is left for next time."""
    with suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    _sweep_one(base / entry.name)


def _sweep_one(path: Path) -> None:
    descriptor = os.open(path, _FOLDER_FLAGS)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
        _empty(descriptor)
        os.rmdir(path)
    finally:
        os.close(descriptor)


def memory_base(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in memory that private folders are made in: $XDG_RUNTIME_DIR, else /dev/shm; or raise NO_TMPFS."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    candidates = [Path(runtime)] if runtime.startswith("/") else []
    for base in (*candidates, SHARED_MEMORY):
        if _usable(base):
            return base
    raise SecretsmithError(
        Code.NO_TMPFS,
        "no private folder in memory: plaintext is never put on a disk",
        hints=(
            "log in so that XDG_RUNTIME_DIR is set, or mount a tmpfs on /dev/shm",
            "secretsmith set needs no such folder",
        ),
    )


def _usable(base: Path) -> bool:
    try:
        descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        # Others may write there only when they cannot rename what is ours (sticky), as in /dev/shm.
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        trusted = status.st_uid in (0, os.geteuid()) and (not shared or status.st_mode & stat.S_ISVTX)
        return bool(trusted) and os.access(base, os.W_OK | os.X_OK) and in_memory(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _make(base: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        path = base / f"{PREFIX}{os.getpid()}.{os.urandom(8).hex()}"
        with naming(path):
            os.mkdir(path, 0o700)
        made = _claim(path)
        if made is not None:
            return path, made
    raise SecretsmithError(Code.IO, f"{base}: no folder of our own can be made there", path=str(base))


def _claim(path: Path) -> int | None:
    """Lock the new folder; None when another process took it for an orphan before we could."""
    descriptor: int | None = None
    try:
        descriptor = os.open(path, _FOLDER_FLAGS)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if status.st_nlink > 0 and status.st_uid == os.geteuid() and os.path.samestat(status, os.lstat(path)):
            claimed, descriptor = descriptor, None
            return claimed
        return None
    except (FileNotFoundError, BlockingIOError):
        return None
    except OSError as error:
        raise translated(error, path) from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _empty(descriptor: int) -> None:
    """Remove everything below an open folder, following no link."""
    os.fchmod(descriptor, 0o700)  # an editor may have left a folder that we cannot write
    with os.scandir(descriptor) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, folder in names:
        if not folder:
            with suppress(FileNotFoundError):  # an editor's own clean-up
                os.unlink(name, dir_fd=descriptor)
            continue
        inner = os.open(name, _FOLDER_FLAGS, dir_fd=descriptor)
        try:
            _empty(inner)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=descriptor)


__all__ = ["in_memory", "memory_base", "scratch_folder", "sweep", "write_private"]
