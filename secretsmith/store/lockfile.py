"""One writer at a time in a clone: flock(2) on a file of the state folder, which the kernel drops with the process."""

from __future__ import annotations

import fcntl
import os
import time
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, Conflict
from secretsmith.store.atomic import opened_outside, own_like_folder
from secretsmith.store.failures import naming

LOCK_FILE: Final = "lock"
_POLL_SECONDS: Final = 0.02
# Locks of this process: a second flock on another descriptor would wait for ourselves. Keyed by process and thread, so
# that neither a forked child nor another thread takes itself for the holder.
_held: set[tuple[int, int, str]] = set()


@contextmanager
def repository_lock(state_dir: Path, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock of the clone whose state folder is ``state_dir``; a holder may take it again.

    Waits up to ``timeout`` seconds for another process.

    Raises:
        Conflict: LOCKED, another process kept it; the message names its number.
        SecretsmithError: ACCESS, the state folder cannot be written.
    """
    path = state_dir / LOCK_FILE
    key = (os.getpid(), get_ident(), os.path.realpath(path))
    if key in _held:
        yield
        return
    with naming(path), opened_outside(state_dir) as folder:
        descriptor = os.open(
            LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        own_like_folder(descriptor, folder)
    try:
        _wait(descriptor, path, timeout)
        _held.add(key)
        try:
            # Only for the message of whoever waits; a full disk must not make a lock fail.
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            _held.discard(key)
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not _try(descriptor, path):
        if time.monotonic() >= deadline:
            raise _locked(descriptor)
        time.sleep(_POLL_SECONDS)


def _try(descriptor: int, path: Path) -> bool:
    with naming(path):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _locked(descriptor: int) -> Conflict:
    holder = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
    who = f"process {holder}" if holder.isdecimal() else "another process"
    return Conflict(
        Code.LOCKED,
        f"{who} is changing this repository",
        hints=("wait until it is done and run the command again",),
    )


__all__ = ["repository_lock"]
