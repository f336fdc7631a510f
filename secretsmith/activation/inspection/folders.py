"""The folder of generations of one phase: its filesystem, and what lies in it that should not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from shlex import quote

from secretsmith.activation.generations import Generations, Reader
from secretsmith.activation.inspection.facts import Filesystem, activation, finding, listed
from secretsmith.activation.mounts import IN_MEMORY, mount_of, swap_is_active
from secretsmith.activation.state import STATE_FILE, HostState
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, Scope

_DRAFT = re.compile(r"[1-9][0-9]{0,17}\.tmp\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
_SHOWN = ("nosuid", "nodev", "noexec", "noswap", "size", "mode", "nr_inodes")
_OUTSIDE = slice(4, 7)  # of a stamp: owner, group, mode
_SCARCE = 20  # less than one part in so many left


def filesystem_of(folder: int, generations: str) -> Filesystem:
    """Describe the filesystem of the open ``folder`` at ``generations``.

    Raises:
        OSError: as the system says.
    """
    mount, room = mount_of(folder), os.fstatvfs(folder)
    options = sorted(option for option in mount.options if option.partition("=")[0] in _SHOWN)
    size, free = room.f_blocks * room.f_frsize, room.f_bfree * room.f_frsize
    return Filesystem(mount.kind, tuple(options), size, size - free, mount.point == generations)


def filesystem_findings(folder: int, found: Filesystem, manifest: Manifest) -> Iterator[Finding]:
    """Say what is off about the filesystem; options that are missing from a mount stop the look at the phase before.

    Raises:
        OSError: as the system says.
    """
    path = manifest.generations
    if found.kind not in IN_MEMORY:
        text = f"lies on {found.kind}, which is no memory: the values are on a disk in clear"
        hint = f"remove what is there (rm -r {quote(path)}), then activate without --plain-folder"
        yield finding(Code.NO_TMPFS, "error", path, text, hint)
    elif not found.mounted and manifest.scope is Scope.SYSTEM:
        text = f"is a plain folder on a {found.kind}, not a filesystem of its own with noswap,nosuid,nodev,noexec"
        hint = f"remove what is there (rm -r {quote(path)}), then activate without --plain-folder"
        yield finding(Code.NO_TMPFS, "warning", path, text, hint)
    if found.kind == "tmpfs" and "noswap" not in found.options and swap_is_active():
        text = "lies in memory that the kernel may move to swap, and swap is active"
        yield finding(
            Code.NO_TMPFS, "warning", path, text, "swapoff -a, or swap on an encrypted device or in zram"
        )
    room = os.fstatvfs(folder)
    if room.f_blocks and (room.f_bfree * _SCARCE < room.f_blocks or room.f_ffree * _SCARCE < room.f_files):
        text = f"is nearly full: {room.f_bfree * room.f_frsize} bytes and {room.f_ffree} files left"
        yield finding(Code.NOSPC, "warning", path, text, f"mount -o remount,size=25% {quote(path)}")


def leftovers(
    folder: int, live: int | None, manifest: Manifest, state: HostState, source: str | None
) -> Iterator[Finding]:
    """Say what lies beside the live generation and has no use there, or is not as it was when it was live.

    Raises:
        OSError: as the system says.
    """
    path, command = manifest.generations, activation(source)
    numbers = Generations(folder).numbers()
    names = sorted(os.listdir(folder))
    late = [str(number) for number in numbers if live is None or number > live]
    drafts = [name for name in names if _DRAFT.match(name)]
    temporary = [name for name in names if name.startswith(f".{STATE_FILE}.")]
    if left := [*drafts, *late, *temporary]:
        text = f"an interrupted activation left something with secrets in it: {listed(left)}"
        yield finding(Code.STATE, "warning", path, text, command)
    old = [number for number in numbers if live is not None and number <= live]
    if extra := old[: -manifest.keep]:
        text = f"{len(extra)} generations more than the manifest keeps: {listed(map(str, extra))}"
        yield finding(Code.STATE, "warning", path, text, command)
    for number in old[-manifest.keep :]:
        if number != live and (changed := sorted(_changed(folder, number, state))):
            text = f"generation {number}, which is kept, was changed by hand: {listed(changed)}"
            yield finding(Code.CHANGED, "warning", path, text, f"rm -r {quote(f'{path}/{number}')}")
    known = {STATE_FILE, *drafts, *temporary}
    if foreign := [name for name in names if name not in known and not _NUMBER.match(name)]:
        text = f"activation did not put this here: {listed(foreign)}"
        hint = f"look at it, then: rm -r {' '.join(quote(f'{path}/{name}') for name in foreign)}"
        yield finding(Code.UNDECLARED, "warning", path, text, hint)


def _changed(folder: int, number: int, state: HostState) -> Iterator[str]:
    """Give the files of an earlier generation whose owner or mode is another now, or that were added.

    No program is sent there, but who knows the path reads what the mode allows.
    """
    record = state.records.get(number)
    if record is None:
        return
    reader = Reader(folder, number)
    for name in reader.names():
        item, stamp = record.files.get(name), reader.stamp(name)
        if item is None or (stamp is not None and stamp[_OUTSIDE] != item.stamp[_OUTSIDE]):
            yield name


__all__ = ["filesystem_findings", "filesystem_of", "leftovers"]
