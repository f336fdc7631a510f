"""Copies of secrets at custom paths: written beside their place, whole and with their final owner and mode."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from secretsmith.activation.folders import TEMPORARY, open_folder, remove_if_there, write_whole
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.mounts import Mount
from secretsmith.activation.places.placed import stamp_of
from secretsmith.errors import Code, SecretsmithError

_ACL = "system.posix_acl_access"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def temporary_name(name: str) -> str:
    """Return the name of what is written before it is renamed to ``name``."""
    return f".{name}{TEMPORARY}"


def refuse_disk(mount: Mount, path: str) -> None:
    """Raise PATH_UNSAFE if a copy at ``path`` could get to a disk, by lying on one or by swap."""
    if not mount.may_swap:
        return
    why = f"lies on {mount.kind}, which is no memory"
    if mount.is_memory:
        why = "lies in memory that the kernel may swap to a disk now"
    hints = (
        'leave out "method": "copy" (a link needs no second copy), or name a path on a filesystem in memory',
        'if the value may be on that disk: "plaintext_on_disk": true on this entry',
    )
    raise SecretsmithError(Code.PATH_UNSAFE, f"{path} {why}", hints=hints, path=path)


def write_copy(folder: int, name: str, file: InstalledFile, *, sync: bool) -> tuple[int, ...]:
    """Write the temporary copy of ``file`` for ``name`` into the open ``folder`` and return its stamp.

    ``sync``: the folder is on a disk, and the bytes are to be there before the name is.

    Raises:
        OSError: as the system says; nothing stays then.
    """
    temporary = temporary_name(name)
    remove_if_there(folder, temporary)
    # Created without any bit that it will not have in the end, and by name only if that is new: never somebody's file.
    made = os.open(temporary, _NEW_FILE, file.mode & 0o600, dir_fd=folder)
    try:
        try:
            write_whole(made, file.content.expose())
            # In this order: a chown after the chmod would clear bits again, and with the bits first another owner's file
            # would be open to the wrong group for an instant.
            os.fchown(made, file.ownership.uid, file.ownership.gid)
            _drop_acl(made)
            os.fchmod(made, file.mode)
            if sync:
                os.fsync(made)
            return stamp_of(os.fstat(made))
        finally:
            os.close(made)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_if_there(folder, temporary)
        raise


def is_same(folder: int, name: str, file: InstalledFile, found: os.stat_result) -> bool:
    """Whether the regular file ``name`` (which looked like ``found``) has already these bytes, owner and mode.

    Raises:
        OSError: as the system says.
    """
    wanted = (file.ownership.uid, file.ownership.gid, file.mode, len(file.content.expose()))
    if wanted != (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_size):
        return False
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except BlockingIOError:
        return False  # its owner holds a lease on it (fcntl(2)), and may change it
    try:
        if stamp_of(os.fstat(descriptor)) != stamp_of(found) or _has_acl(descriptor):
            return False
        data = b""
        # One byte more than wanted: it may be growing while it is read.
        while len(data) <= found.st_size and (part := os.read(descriptor, found.st_size + 1 - len(data))):
            data += part
    finally:
        os.close(descriptor)
    return data == file.content.expose()


def sync_folder(folder: int) -> None:
    """Make renames in a folder on a disk last (fsync); a folder that its user cannot list is left to the kernel."""
    with contextlib.suppress(OSError):
        descriptor = open_folder(folder, ".")
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _drop_acl(descriptor: int) -> None:
    # A folder with a default ACL gives its entries to each new file, and fchmod would let them in with the group's bits.
    try:
        os.removexattr(descriptor, _ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _has_acl(descriptor: int) -> bool:
    try:
        return _ACL in os.listxattr(descriptor)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        raise


__all__ = ["is_same", "refuse_disk", "sync_folder", "temporary_name", "write_copy"]
