"""What the numbers were measured with: the machine, without its name, and the versions."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Final

from benchmarks import agenix
from benchmarks.programs import version_of
from benchmarks.workshop import Workshop
from secretsmith import __version__

_PACKAGES: Final = ("cryptography", "PyNaCl", "pyrage", "ruamel.yaml", "secretsmith-keyring")
_NUMBER: Final = re.compile(r"\d+(\.\d+)+")
_PROGRAMS: Final = ("age", "sops", "nix-instantiate", "jq", "gpg", "bash")


def machine(shop: Workshop) -> dict[str, str]:
    """Describe the machine."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": f"{_processor()}, {cores} core{'s' * (cores > 1)}, {memory:.0f} GiB",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "system": f"{_distribution()}, Linux {platform.release().split('-')[0]}",
        "files on": _filesystem(shop.folder),
        "values installed on": "a tmpfs or ramfs of their own (mount namespace)"
        if shop.mounts
        else "a plain folder: this was not run by root, or mounting is forbidden",
    }


def versions(shop: Workshop) -> dict[str, str]:
    """Give the versions of all that was run."""
    found = {
        "secretsmith": __version__,
        platform.python_implementation(): platform.python_version(),
        "agenix's scripts": agenix.COMMIT,
    }
    found |= {name: version for name in _PACKAGES if (version := version_of(name))}
    for name in _PROGRAMS:
        if not shop.missing([name]):
            done = subprocess.run(
                [name, "--version"], env=shop.env, capture_output=True, text=True, check=False
            )
            number = _NUMBER.search(done.stdout)
            found[name] = number[0] if number else "?"
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def _filesystem(folder: Path) -> str:
    """Give the type of the filesystem that ``folder`` lies on: the longest mount point above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [
        (point, kind) for point, kind in mounts if folder == Path(point) or Path(point) in folder.parents
    ]
    return max(above, key=lambda mount: len(mount[0]), default=("", "?"))[1]


__all__ = ["machine", "versions"]
