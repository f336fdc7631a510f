"""The few Linux calls that Python's os module lacks. ctypes is imported when one is needed: it costs start-up time."""

from __future__ import annotations

import os

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8  # linux/mount.h
PR_SET_DUMPABLE = 4  # linux/prctl.h
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # asm-generic/mman.h; on fault: only what is really used
_CAP_IPC_LOCK = 14  # linux/capability.h
TMPFS_MAGIC, RAMFS_MAGIC = 0x01021994, 0x858458F6  # linux/magic.h


def mount_memory(kind: str, folder: int, options: str) -> None:
    """Mount a tmpfs or ramfs, nosuid,nodev,noexec, over the folder behind the descriptor ``folder``.

    The descriptor names exactly the folder that was checked; a path could have been swapped since.

    Raises:
        OSError: EINVAL for an option that this kernel does not know, EPERM where mounting is not allowed.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    target = f"/proc/self/fd/{folder}"
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    if libc.mount(b"secretsmith", target.encode(), kind.encode(), flags, options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def filesystem_magic(descriptor: int) -> int:
    """Return the type number of the filesystem behind a descriptor (fstatfs, field f_type)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_long * 32)()  # struct statfs is 120 bytes here; f_type comes first
    if libc.fstatfs(descriptor, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(buffer[0]) & 0xFFFF_FFFF


def forbid_dumps() -> None:
    """Make this process non-dumpable: no core, no ptrace and no /proc/PID/mem by the same user (prctl(2))."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> None:
    """Keep this process out of swap (mlockall(2)), if it may without a limit: below one, a later malloc would fail."""
    import ctypes
    import resource

    if _has(_CAP_IPC_LOCK) or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)


def _has(capability: int) -> bool:
    descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as lines:
        effective = next((int(line.split()[1], 16) for line in lines if line.startswith(b"CapEff:")), 0)
    return bool(effective >> capability & 1)


__all__ = ["RAMFS_MAGIC", "TMPFS_MAGIC", "filesystem_magic", "forbid_dumps", "lock_memory", "mount_memory"]
