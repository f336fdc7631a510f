"""A process that reads secrets as fast as it can while others activate, and says what no reader may ever meet.

Every value is ``NUMBER UID MODE`` of the manifest that it was installed by. Run as ``pollers.py DIRECTORY COPY COUNTER``
until its standard input ends; prints JSON: reads, and what was wrong.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

NAMES = ("a", "deep/b", "both")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_MOST = 20  # things that are wrong


def look(path: str, folder: int | None = None) -> str:
    """Read one secret through one descriptor; its number, or what is wrong with it."""
    fd = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        text, found = os.read(fd, 100).decode(), os.fstat(fd)
    finally:
        os.close(fd)
    number, uid, mode = text.split() if text.count(" ") == 2 else ("", "", "")
    as_found = (str(found.st_uid), f"{found.st_mode & 0o7777:o}")
    return number if number and (uid, mode) == as_found else f"{path}: {text!r} in a file of {as_found}"


def generation(directory: str) -> str | None:
    """Read all files through one resolved folder; what is wrong, or None."""
    folder = os.open(directory, _FOLDER)
    try:
        found = {look(name, folder) for name in NAMES}
    except FileNotFoundError as error:
        # A slow reader may hold a generation that two newer ones have pruned; the live one always has its files.
        live = os.stat(directory)
        same = (live.st_dev, live.st_ino) == (os.fstat(folder).st_dev, os.fstat(folder).st_ino)
        return f"missing in the live generation: {error}" if same else None
    finally:
        os.close(folder)
    return None if len(found) == 1 and found.pop().isdigit() else f"not of one manifest: {sorted(found)}"


def main(directory: str, copy: str, counter: str) -> None:
    """Poll until standard input ends."""
    reads = 0
    wrong: list[str] = []
    progress = os.open(counter, os.O_WRONLY | os.O_CREAT)
    while len(wrong) < _MOST:
        for _ in range(100):
            try:
                whole, single = generation(directory), look(copy)
            except (OSError, ValueError) as error:
                wrong.append(f"{type(error).__name__}: {error}")
                continue
            wrong += [what for what in (whole, None if single.isdigit() else single) if what is not None]
        reads += 100 * (len(NAMES) + 1)
        os.pwrite(progress, f"{reads:020}".encode(), 0)
        if select.select([0], [], [], 0)[0]:
            break
    print(json.dumps({"reads": reads, "wrong": wrong}))


def reads_so_far(counter: Path) -> int:
    """Return what a poller has written of its progress."""
    return int(counter.read_bytes() or b"0") if counter.exists() else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
