"""Reading regular files, and nothing else: a link, FIFO, device or folder in a repository is refused, never waited for."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.store.failures import translated

CHUNK: Final = 1 << 20
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def not_regular(mode: int, shown: str) -> RefusedInput:
    """Return the error that says what the file ``shown`` is instead of a regular one (``mode`` as in st_mode)."""
    kind = next((name for test, name in _KINDS if test(mode)), "something else")
    return RefusedInput(Code.NOT_REGULAR, f"{shown}: {kind}, not a regular file", path=shown)


def open_regular(name: str, shown: str, *, folder: int | None = None, follow: bool = False) -> int:
    """Open the regular file ``name`` (below the descriptor ``folder``) for reading; ``shown`` is what errors call it.

    ``follow`` allows the name itself to be a symbolic link, for files outside a repository such as ``~/.ssh/id_ed25519``.

    Raises:
        NotFound: NOT_FOUND.
        RefusedInput: NOT_REGULAR (a link, FIFO, device, folder, socket); SYMLINK for a loop of links.
        SecretsmithError: ACCESS, IO.
    """
    # O_NONBLOCK: a FIFO without a writer, or a tape, must not hold us; it means nothing for regular files.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow and not _is_loop(name, folder):
            raise not_regular(stat.S_IFLNK, shown) from error
        raise translated(error, shown) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise not_regular(mode, shown)
    return descriptor


def _is_loop(name: str, folder: int | None) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def read_all(descriptor: int, shown: str, limit: int) -> bytes:
    """Return all bytes of an open file of at most ``limit`` bytes; TOO_BIG before more than that is read."""
    chunks: list[bytes] = []
    left = limit + 1
    try:
        if os.fstat(descriptor).st_size > limit:
            left = 0
        while left > 0 and (chunk := os.read(descriptor, min(left, CHUNK))):
            chunks.append(chunk)
            left -= len(chunk)
    except OSError as error:
        raise translated(error, shown) from error
    if left <= 0:
        raise RefusedInput(Code.TOO_BIG, f"{shown}: larger than {limit} bytes", path=shown)
    return b"".join(chunks)


def digest_open(descriptor: int, shown: str) -> str:
    """Return the sha256, in hex, of what follows in an open file."""
    import hashlib  # loads OpenSSL, which commands that only stat files do not need

    state = hashlib.sha256()
    try:
        while chunk := os.read(descriptor, CHUNK):
            state.update(chunk)
    except OSError as error:
        raise translated(error, shown) from error
    return state.hexdigest()


def digest_file(folder: int, name: str, shown: str) -> str | None:
    """Return the sha256 of the regular file ``name`` below ``folder``, None when there is none; raises as open_regular."""
    try:
        descriptor = open_regular(name, shown, folder=folder)
    except NotFound:
        return None
    try:
        return digest_open(descriptor, shown)
    finally:
        os.close(descriptor)


__all__ = ["digest_file", "digest_open", "not_regular", "open_regular", "read_all"]
