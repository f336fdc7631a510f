"""What the machine is: who runs this, what its kernel can do, where memory may end up, which versions are installed."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from secretsmith import __version__
from secretsmith.activation.accounts import Caller
from secretsmith.activation.doctor.facts import Fact, Said
from secretsmith.activation.inspection.facts import finding, listed
from secretsmith.errors import Code
from secretsmith.manifest import Scope

_NOSWAP = (6, 4)  # Linux: tmpfs learned the option in 6.4
_LIBRARIES = ("cryptography", "pyrage", "PyNaCl", "ruamel.yaml")
_NO_DISK = re.compile(r"/dev/zram\d+\Z")


def host_facts(
    caller: Caller, scope: Scope, *, proc: str = "/proc", release: str | None = None
) -> Iterator[Said]:
    """Describe the machine; ``proc`` is where its /proc is, ``release`` the kernel's."""
    yield from _user(caller, scope)
    yield from _memory(proc, os.uname().release if release is None else release)
    yield from _cores(proc)
    yield Fact("versions", ", ".join(_versions()))


def _user(caller: Caller, scope: Scope) -> Iterator[Said]:
    if caller.is_machine_root:
        yield Fact("user", "root")
        return
    where = "root of a user namespace" if caller.uid == 0 else f"user {caller.uid}"
    yield Fact("user", where)
    if scope is Scope.SYSTEM:
        text = f"this is {where}, so that what only root can see is not known; activation needs root as well"
        yield finding(Code.ACCESS, "warning", "", text, "sudo secretsmith doctor")


def _memory(proc: str, release: str) -> Iterator[Said]:
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    knows = numbers >= _NOSWAP
    swaps = _swaps(proc)
    kind = "tmpfs with noswap" if knows else "ramfs, as this kernel has no noswap"
    yield Fact("memory", f"Linux {release}: {kind}; {f'swap on {listed(swaps)}' if swaps else 'no swap'}")
    if not knows:
        text = f"Linux {release} is older than 6.4, so that secrets lie in a ramfs, which never swaps and has no limit"
        yield finding(Code.UNSUPPORTED, "info", "", text)
    if disks := [name for name in swaps if not _NO_DISK.match(name)]:
        text = (
            f"swap is active on {listed(disks)}: secrets never go there, but what services read of them may"
        )
        yield finding(
            Code.NO_TMPFS, "info", "", text, "MemorySwapMax=0 in such a unit, or swap on an encrypted device"
        )


def _swaps(proc: str) -> list[str]:
    try:
        lines = Path(proc, "swaps").read_text(errors="replace").split("\n")[1:]
    except OSError:
        return []
    return [line.split()[0] for line in lines if line.strip()]


def _cores(proc: str) -> Iterator[Said]:
    try:
        pattern = Path(proc, "sys/kernel/core_pattern").read_text(errors="replace").strip()
    except OSError:
        return
    where = (
        f"to the program {pattern[1:].split(' ')[0]}" if pattern.startswith("|") else f"to a file ({pattern})"
    )
    yield Fact("core dumps", f"{where}; activation never dumps")
    if pattern.startswith("|"):
        text = f"services that crash are dumped {where}, with the secrets that they had read"
        yield finding(
            Code.PLAINTEXT, "info", "", text, "LimitCORE=0 in such a unit (and CoredumpFilter= for more)"
        )


def _versions() -> Iterator[str]:
    yield f"secretsmith {__version__}"
    yield f"Python {platform.python_version()}"
    for name in _LIBRARIES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} (version not known)"


__all__ = ["host_facts"]
