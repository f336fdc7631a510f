"""What kind of filesystem is behind a descriptor, by the kernel's own list, and whether it can reach a disk."""

from __future__ import annotations

import os

from secretsmith.record import record

IN_MEMORY = ("tmpfs", "ramfs")


@record
class Mount:
    """One mount: where, of which type, with the options of the mount and of the filesystem."""

    point: str
    kind: str
    options: frozenset[str]

    @property
    def is_memory(self) -> bool:
        """Whether nothing of it outlives the machine's next start."""
        return self.kind in IN_MEMORY

    @property
    def may_swap(self) -> bool:
        """Whether the kernel may move its pages to a disk; true for whatever is no filesystem in memory."""
        if self.kind == "ramfs" or (self.kind == "tmpfs" and "noswap" in self.options):
            return False
        return self.kind != "tmpfs" or swap_is_active()


def mount_of(descriptor: int) -> Mount:
    """Return the mount that a descriptor leads to; of kind "unknown" if the kernel does not list it.

    Raises:
        OSError: /proc is not readable.
    """
    # The kernel's own answer for this descriptor; a path in /proc/mounts may be hidden below another mount.
    number = next(
        line.split()[1] for line in _lines(f"/proc/self/fdinfo/{descriptor}") if line.startswith("mnt_id:")
    )
    for line in _lines("/proc/self/mountinfo"):
        # proc(5): id parent device root point options … - kind source options
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if fields[0] == number:
            options = frozenset((*fields[5].split(","), *kinds[-1].split(",")))
            return Mount(_unescape(fields[4]), kinds[0], options)
    return Mount("", "unknown", frozenset())


def swap_is_active() -> bool:
    """Whether anything can be swapped out now; raises OSError if /proc is not readable."""
    try:
        lines = _lines("/proc/swaps")
    except FileNotFoundError:
        return False  # a kernel without swap
    return any(line.strip() for line in lines[1:])


def _lines(path: str) -> list[str]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        # Split at newlines only: any user can mount (FUSE) on a folder whose name has what Python also calls a line end,
        # and would add lines of his own.
        return os.fsdecode(file.read()).split("\n")


def _unescape(text: str) -> str:
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, char)
    return text


__all__ = ["IN_MEMORY", "Mount", "mount_of", "swap_is_active"]
