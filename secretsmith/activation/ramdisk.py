"""The folder of generations: a filesystem in memory that never swaps, mounted here or found and verified."""

from __future__ import annotations

import errno
import os
import stat
from enum import Enum
from shlex import quote

from secretsmith.activation import kernel
from secretsmith.activation.folders import failed, make_folder, open_folder
from secretsmith.activation.mounts import Mount, mount_of
from secretsmith.errors import Code, SecretsmithError

# A quarter of the memory, and room for three generations of the most secrets that a manifest may have.
_SIZE = "size=25%,nr_inodes=400k"
FOLDER_MODE = 0o751  # services pass through to the files they may read; only root lists names
_NEEDED = ("nosuid", "nodev", "noexec")
_MAGIC = {"tmpfs": kernel.TMPFS_MAGIC, "ramfs": kernel.RAMFS_MAGIC}


class Memory(Enum):
    """What to do about the filesystem behind the generations."""

    MOUNT = "mount it when it is not mounted"
    VERIFY = "it must be mounted already"
    USER = "a folder on the user's own filesystem in memory"
    PLAIN_FOLDER = "any folder will do: a demo, not RAM"


class Condition(Enum):
    """What the folder of generations is before anything is done."""

    ABSENT = "absent"
    EMPTY = "an empty folder on another filesystem"
    FILLED = "a folder with something in it"
    MOUNTED = "a filesystem in memory with all options"


def inspect(parent: int, name: str, path: str, caller: int) -> Condition:
    """Look at the folder ``name`` in ``parent`` (its whole path is ``path``); nothing is changed.

    Raises:
        SecretsmithError: TARGET, for anything that is not ours to use: a symlink, a file, a foreign or unsafe mount,
            a folder that belongs to somebody else.
    """
    try:
        folder = open_folder(parent, name)
    except FileNotFoundError:
        return Condition.ABSENT
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise _target(path, "is not a folder") from None
        raise failed(error, path) from None
    try:
        found = os.fstat(folder)
        if found.st_uid != caller or found.st_mode & 0o022:
            mode = stat.S_IMODE(found.st_mode)
            raise _target(path, f"belongs to user {found.st_uid}, mode {mode:04o}: others could change it")
        mount = mount_of(folder)
        if mount.point == path:
            _check_options(folder, path, mount)
            return Condition.MOUNTED
        return Condition.FILLED if os.listdir(folder) else Condition.EMPTY
    finally:
        os.close(folder)


def refuse_unusable(condition: Condition, memory: Memory, parent: int, path: str) -> None:
    """Raise what stands against using the folder (below ``parent``) in this condition, before anything is written.

    Raises:
        SecretsmithError: TARGET, NO_TMPFS.
    """
    if memory is Memory.VERIFY and condition is not Condition.MOUNTED:
        hint = "leave out --no-mount, or mount it before (tmpfs: noswap,nosuid,nodev,noexec,mode=0751)"
        raise SecretsmithError(
            Code.NO_TMPFS, f"{path} is not a filesystem in memory", hints=(hint,), path=path
        )
    if memory is Memory.USER and kernel.filesystem_magic(parent) not in _MAGIC.values():
        hint = "$XDG_RUNTIME_DIR is one where systemd-logind (pam_systemd) made the session"
        raise SecretsmithError(
            Code.NO_TMPFS, f"{path} is not on a filesystem in memory", hints=(hint,), path=path
        )
    if memory is Memory.MOUNT and condition is Condition.FILLED:
        # Mounting would hide these files, whatever they are: perhaps the manifest names /etc.
        hint = "empty the folder, or choose another one as generations"
        raise _target(path, "is a folder with files in it and no filesystem in memory", hint)


def prepare(parent: int, name: str, path: str, condition: Condition, memory: Memory) -> int:
    """Make the folder usable (mkdir, mount) and return a descriptor of it, verified again.

    Raises:
        SecretsmithError: TARGET, NO_TMPFS, or what the system said.
    """
    try:
        if condition is Condition.ABSENT:
            os.close(make_folder(parent, name, path, FOLDER_MODE))
        if condition is not Condition.MOUNTED and memory is Memory.MOUNT:
            _mount(parent, name, path)
        folder = open_folder(parent, name)
    except OSError as error:
        raise failed(error, path) from None
    try:
        if memory is Memory.USER and kernel.filesystem_magic(folder) not in _MAGIC.values():
            raise _target(path, "is not on a filesystem in memory")
        if memory in (Memory.MOUNT, Memory.VERIFY):
            mount = mount_of(folder)
            if mount.point != path:
                raise _target(path, "is not the filesystem in memory that was to be there")
            _check_options(folder, path, mount)
            if kernel.filesystem_magic(folder) != _MAGIC[mount.kind]:
                raise _target(path, "is not the filesystem that /proc says it is")
    except OSError as error:
        os.close(folder)
        raise failed(error, path) from None
    except BaseException:
        os.close(folder)
        raise
    return folder


def _mount(parent: int, name: str, path: str) -> None:
    below = open_folder(parent, name)
    mode = f"mode={FOLDER_MODE:04o}"
    try:
        try:
            kernel.mount_memory("tmpfs", below, f"noswap,{mode},{_SIZE}")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # No noswap: a kernel before 6.4, or a user namespace, where it is not allowed. ramfs never swaps.
            kernel.mount_memory("ramfs", below, mode)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise failed(error, path) from None
        hints = (
            "run as root, or in a namespace of your own: unshare -Urm secretsmith-activate …",
            "for a demo without either: --plain-folder, which is not RAM",
        )
        raise SecretsmithError(
            Code.NO_TMPFS, f"{path}: mounting is not allowed here", hints=hints, path=path
        ) from None
    finally:
        os.close(below)


def _check_options(folder: int, path: str, mount: Mount) -> None:
    if mount.kind not in _MAGIC:
        raise _target(path, f"is a {mount.kind} mount, not tmpfs or ramfs")
    needed = (*_NEEDED, "noswap") if mount.kind == "tmpfs" else _NEEDED
    missing = [option for option in needed if option not in mount.options]
    if missing:
        hints = (f"umount {quote(path)}", "the next activation mounts it as it should be")
        raise _target(path, f"is mounted without {','.join(missing)}", *hints)
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        raise _target(path, "is mounted read-only")


def _target(path: str, why: str, *hints: str) -> SecretsmithError:
    return SecretsmithError(Code.TARGET, f"{path} {why}", hints=hints, path=path)


__all__ = ["FOLDER_MODE", "Condition", "Memory", "inspect", "prepare", "refuse_unusable"]
