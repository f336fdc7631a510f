"""What the operating system says, as our errors: one place, so that one cause has one code everywhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError

_CODES: Final = {
    errno.ENOSPC: Code.NOSPC,
    errno.EDQUOT: Code.NOSPC,
    errno.EACCES: Code.ACCESS,
    errno.EPERM: Code.ACCESS,
    errno.EROFS: Code.ACCESS,
    errno.ENOENT: Code.NOT_FOUND,
    errno.ELOOP: Code.SYMLINK,
    errno.ENOTDIR: Code.NAME_CLASH,
    errno.EISDIR: Code.NOT_REGULAR,
    # open(2) of a socket, and of a device without a driver: neither is a file to read.
    errno.ENXIO: Code.NOT_REGULAR,
    errno.ENODEV: Code.NOT_REGULAR,
    errno.ENAMETOOLONG: Code.NAME,
}
_REFUSED: Final = frozenset({Code.SYMLINK, Code.NAME_CLASH, Code.NOT_REGULAR, Code.NAME})
_WORDS: Final = {
    Code.NOSPC: "no space left on the device",
    Code.NOT_FOUND: "no such file",
    Code.SYMLINK: "a symbolic link is on the way",
    Code.NAME_CLASH: "a part of the path is a file, not a folder",
    Code.NOT_REGULAR: "not a regular file",
}
_HINTS: Final = {
    Code.NOSPC: ("free some space (or raise the quota) and run the command again",),
    Code.IO: ("the system's log (dmesg) says what is wrong with the disk; then run the command again",),
    Code.SYMLINK: ("secretsmith follows no links inside a repository; put the file itself there",),
}


def translated(error: OSError, path: str | os.PathLike[str]) -> SecretsmithError:
    """Return the error that tells a user what ``error`` means for the file ``path``."""
    name = os.fspath(path)
    code = _CODES.get(error.errno or 0, Code.IO)
    reason = _WORDS.get(code) or (error.strerror or "input/output error").lower()
    kind: type[SecretsmithError] = SecretsmithError
    if code is Code.NOT_FOUND:
        kind = NotFound
    elif code in _REFUSED:
        kind = RefusedInput
    return kind(code, f"{name}: {reason}", hints=_HINTS.get(code, ()), path=name)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError of the block into the error that names ``path``."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


__all__ = ["naming", "translated"]
