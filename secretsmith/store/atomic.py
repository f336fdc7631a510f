"""One file, read safely or replaced as a whole: temporary file beside it, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from secretsmith.store.failures import naming
from secretsmith.store.paths import MAX_NAME_BYTES
from secretsmith.store.regular import not_regular, open_regular, read_all

# Ciphertext and configuration are public by design; the umask still applies.
NEW_FILE_MODE: Final = 0o644
_TAG: Final = ".ss"
_RANDOM_BYTES: Final = 6
_COPIED_ATTRIBUTES: Final = ("user.", "system.posix_acl_access")


def read_file(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes.

    ``follow`` allows ``path`` to be a symbolic link; never set it for a file of a repository.

    Raises:
        NotFound: NOT_FOUND.
        RefusedInput: NOT_REGULAR (a link, FIFO, device, folder), SYMLINK (a loop of links), TOO_BIG.
        SecretsmithError: ACCESS, IO.
    """
    descriptor = open_regular(os.fspath(path), str(path), follow=follow)
    try:
        return read_all(descriptor, str(path), limit)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Write ``data`` to ``path`` so that every reader, at any moment, sees the old file or the new one.

    Mode, owner (when root), ACL and user attributes of an existing file are kept; a new file gets ``mode``, or 0644 and
    the umask. ``durable=False`` leaves out the fsyncs, for caches. For files of a repository use a Transaction, which also
    survives a kill without leaving a temporary file.

    Raises:
        RefusedInput: NOT_REGULAR, ``path`` is a link, folder, …
        NotFound: its folder does not exist.
        SecretsmithError: NOSPC, ACCESS, IO; the temporary file is gone and ``path`` is what it was.
    """
    name = path.name
    with naming(path), opened_outside(path.parent) as folder:
        old = regular_status(folder, name, str(path))
        temp = temp_name(name)
        try:
            write_new(folder, temp, data, old=old, mode=mode, sync=durable)
            os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temp, dir_fd=folder)
            raise
        if durable:
            os.fsync(folder)


@contextmanager
def opened_outside(folder: Path) -> Iterator[int]:
    """Open a folder that is no part of a work tree, following links; OSError is left to the caller."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def temp_name(name: str) -> str:
    """Return a fresh name ``.NAME.ssXXXXXXXXXXXX`` for a temporary file beside ``name``, at most 255 bytes long."""
    tail = _TAG + os.urandom(_RANDOM_BYTES).hex()
    room = MAX_NAME_BYTES - len(tail) - 1
    while len(os.fsencode(name)) > room:
        name = name[:-1]
    return f".{name}{tail}"


def is_temp_name(name: str) -> bool:
    """Say whether ``name`` has the form that :func:`temp_name` gives."""
    head, tag, tail = name.rpartition(_TAG)
    return (
        tag != ""
        and head.startswith(".")
        and len(tail) == 2 * _RANDOM_BYTES
        and not tail.strip("0123456789abcdef")
    )


def regular_status(folder: int, name: str, shown: str) -> os.stat_result | None:
    """Return the status of ``name`` below ``folder``, None when it does not exist; NOT_REGULAR unless a regular file."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise not_regular(status.st_mode, shown)
    return status


def write_new(
    folder: int,
    name: str,
    data: bytes,
    *,
    old: os.stat_result | None,
    mode: int | None = None,
    sync: bool = True,
) -> int:
    """Create ``name`` below ``folder`` with ``data``, ready to take the place of a file whose status was ``old``.

    Returns the device number of its filesystem. OSError is left to the caller, and so is a half-written file.
    """
    if mode is None:
        mode = NEW_FILE_MODE if old is None else stat.S_IMODE(old.st_mode) & 0o777
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # A mode that comes from an old file is set below, after the owner: never wider than wanted, even for an instant.
    descriptor = os.open(name, flags, mode if old is None else 0o600, dir_fd=folder)
    try:
        _write_all(descriptor, data)
        if old is None:
            own_like_folder(descriptor, folder)
        else:
            _take_after(descriptor, old)
            os.fchmod(descriptor, mode)
        if sync:
            os.fsync(descriptor)
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def copy_attributes(folder: int, source: str, target: str) -> None:
    """Copy ACL and ``user.`` attributes between files below ``folder``, where the filesystem has them."""
    with suppress(OSError):
        before = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            names = [name for name in os.listxattr(before) if name.startswith(_COPIED_ATTRIBUTES)]
            if names:
                _set_attributes(folder, target, {name: os.getxattr(before, name) for name in names})
        finally:
            os.close(before)


def _set_attributes(folder: int, target: str, values: dict[str, bytes]) -> None:
    descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for name, value in values.items():
            os.setxattr(descriptor, name, value)
    finally:
        os.close(descriptor)


def make_folder(folder: int, name: str, mode: int) -> None:
    """Make the folder ``name`` below ``folder``; one that exists already is left as it is. OSError is left to the caller."""
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=folder)
        if os.geteuid() == 0:
            descriptor = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
            )
            try:
                own_like_folder(descriptor, folder)
            finally:
                os.close(descriptor)


def own_like_folder(descriptor: int, folder: int) -> None:
    """Give a new file to the owner of its folder when root made it: ``sudo`` in a user's repository must not lock him out."""
    if os.geteuid() == 0:
        owner = os.fstat(folder)
        if (owner.st_uid, owner.st_gid) != (0, 0):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if written == 0:  # not promised by POSIX to be impossible; a loop would never end
            raise OSError(errno.EIO, "nothing written")
        view = view[written:]


def _take_after(descriptor: int, old: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)
    elif old.st_gid != os.getegid():
        with suppress(PermissionError):  # a group we are not in: the file then is ours alone
            os.fchown(descriptor, -1, old.st_gid)


__all__ = [
    "NEW_FILE_MODE",
    "copy_attributes",
    "is_temp_name",
    "make_folder",
    "opened_outside",
    "own_like_folder",
    "read_file",
    "regular_status",
    "temp_name",
    "write_atomic",
    "write_new",
]
