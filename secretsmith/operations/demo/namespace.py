"""Where the demo's hosts get their RAM filesystems without touching the machine they run on.

The process leaves for a mount namespace of its own: as root directly, otherwise inside a user namespace in which it is
root. Every mount made there is gone when the demo ends, however it ends.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

# linux/sched.h and linux/mount.h
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_MNT_DETACH = 2


class Place(Enum):
    """How real the hosts of the demo are."""

    ROOT = "root"  # mounts and owners
    NAMESPACE = "namespace"  # mounts, but every file belongs to us
    FOLDER = "folder"  # neither: a plain folder


def enter_namespace() -> Place:
    """Move this process (and what it starts) into a mount namespace; say how far that went."""
    as_root = os.geteuid() == 0
    if as_root and _unshare(_CLONE_NEWNS) and _make_private():
        return Place.ROOT
    uid, gid = os.geteuid(), os.getegid()
    if not as_root and _unshare(_CLONE_NEWUSER | _CLONE_NEWNS) and _map_to_root(uid, gid) and _make_private():
        return Place.NAMESPACE
    return Place.FOLDER


def unmount_below(folder: Path) -> None:
    """Undo every mount below ``folder``, so that it can be removed."""
    import ctypes  # as below

    libc = ctypes.CDLL(None)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        points = [line.split(" ")[4] for line in mounts]  # proc_pid_mountinfo(5), field 5
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            libc.umount2(os.fsencode(point), _MNT_DETACH)


def _unshare(flags: int) -> bool:
    import ctypes  # the only caller of libc here; os.unshare needs Python 3.12

    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def _make_private() -> bool:
    import ctypes

    return bool(ctypes.CDLL(None).mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0)


def _map_to_root(uid: int, gid: int) -> bool:
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
    except OSError:
        return False
    return True


__all__ = ["Place", "enter_namespace", "unmount_below"]
