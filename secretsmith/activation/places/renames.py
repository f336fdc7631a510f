"""Renames inside one open folder that never lose what they did not expect to find (renameat2(2))."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_NOREPLACE, _EXCHANGE = 1, 2  # linux/fs.h
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # a filesystem or C library without it


def move_new(folder: int, source: str, target: str) -> None:
    """Rename ``source`` to ``target``, which must not exist.

    Not "look, then rename over it": what appears in between would be lost.

    Raises:
        OSError: FileExistsError if there is something, or as the system says; ``source`` is still there then.
    """
    try:
        _renameat2(folder, source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(source, dir_fd=folder)


def move_over(folder: int, source: str, target: str, is_expected: Callable[[str], bool]) -> bool:
    """Put ``source`` in the place of ``target`` if that is what was expected, and remove what was there.

    Both are exchanged first, so that ``target`` is never missing, and what came out is looked at where nobody else puts
    things. False: it was something else, and everything is as before (``source`` is still there).

    Raises:
        OSError: as the system says; ``source`` is still there then.
    """
    try:
        _renameat2(folder, source, target, _EXCHANGE)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        if not is_expected(target):
            return False
        os.rename(source, target, src_dir_fd=folder, dst_dir_fd=folder)
        return True
    if is_expected(source):
        os.unlink(source, dir_fd=folder)
        return True
    _renameat2(folder, source, target, _EXCHANGE)
    return False


def _renameat2(folder: int, source: str, target: str, flags: int) -> None:
    # Imported here: an unchanged run, which renames nothing, must not pay for it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if libc.renameat2(folder, os.fsencode(source), folder, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


__all__ = ["move_new", "move_over"]
