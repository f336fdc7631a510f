"""Death and failing disks for the real program: strace injects them at system calls that write."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fchmod,fchown,"
    "ftruncate,link,linkat,syncfs"
)


class Point(NamedTuple):
    """The ``number``-th ``call`` of the program itself, counted from 1 as strace does for each process."""

    call: str
    number: int

    def killing(self) -> tuple[str, str]:
        return "-e", f"inject={self.call}:signal=KILL:when={self.number}"

    def failing(self, error: str) -> tuple[str, str]:
        return "-e", f"inject={self.call}:error={error}:when={self.number}"


def traced(
    strace: str,
    options: Sequence[str],
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: bytes,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` below strace; its own words go to /dev/null unless ``options`` name a file."""
    quiet = () if "-o" in options else ("-o", "/dev/null")
    return subprocess.run(
        [strace, "-qq", "--seccomp-bpf", "-f", *quiet, *options, *argv],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
        start_new_session=True,
        timeout=120,
        check=False,
    )


def points_of(log: Path, below: Path | None = None) -> list[Point]:
    """Read the calls of the first process from a trace, from the first file on that is made below ``below`` (None: all)."""
    seen: Counter[str] = Counter()
    found: list[Point] = []
    first: str | None = None
    begun = below is None
    for line in log.read_text().splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is None:
            continue
        first = first or match[1]
        if match[1] != first:
            continue
        seen[match[2]] += 1
        writes = match[2] != "openat" or "O_CREAT" in line
        begun = begun or (writes and match[2] == "openat" and (str(below) in line or '"lock"' in line))
        if begun and writes:
            found.append(Point(match[2], seen[match[2]]))
    return found


def sample(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most so many points, spread over all; another run takes others, so that all are met in a few."""
    step = max(1, -(-len(points) // most))
    return list(points[os.getpid() % step :: step])


__all__ = ["CALLS", "Point", "points_of", "sample", "traced"]
