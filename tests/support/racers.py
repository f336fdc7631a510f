"""Programs that race with activation: they swap what lies on its way, and look at every file it makes.

Each runs as a process of its own, under another user if wanted, until it is stopped, and then says what it did.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

NOBODY = 65534
_EXCHANGE = 2  # linux/fs.h: RENAME_EXCHANGE
_stopped = False
_progress = -1


class Racer:
    """A running racer."""

    def __init__(self, process: subprocess.Popen[bytes], progress: int) -> None:
        self._process = process
        self._progress = progress

    def count(self) -> int:
        """How often it did its work until now."""
        return int.from_bytes(os.pread(self._progress, 8, 0), sys.byteorder)

    def stop(self) -> Any:
        """End it and return what it says."""
        self._process.send_signal(signal.SIGTERM)
        answer, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return json.loads(answer)


@contextlib.contextmanager
def racer(uid: int, task: str, *given: str) -> Iterator[Racer]:
    """Run ``task`` of this module as ``uid`` for the block."""
    progress = os.memfd_create("progress")
    command = [sys.executable, "-I", "-S", __file__, str(uid), str(progress), task, *given]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[progress])
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield Racer(process, progress)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        os.close(progress)


def _done(count: int) -> None:
    os.pwrite(_progress, count.to_bytes(8, sys.byteorder), 0)


def flip(first: str, second: str) -> int:
    """Exchange two names over and over; say how often it was not possible."""
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    a, b = os.fsencode(first), os.fsencode(second)
    count = failed = 0
    while not _stopped:
        # Many for each look at the flag: the more swaps, the more of them hit an instant that matters.
        for _ in range(51):
            if rename(-100, a, -100, b, _EXCHANGE) == 0:
                count += 1
            else:
                failed += 1
        _done(count)
    return failed


def plant(target: str, *names: str) -> int:
    """Make each name a symlink to ``target``, or take away what may be taken away, over and over; say how much was."""
    planted = taken = 0
    while not _stopped:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name)
                taken += 1
            with contextlib.suppress(OSError):
                os.symlink(target, name)
                planted += 1
        _done(planted)
    return taken


def watch(*folders: str) -> list[list[object]]:
    """Look at all files in some folders and those below them; say each different thing that was seen of a name.

    That is: the folder, the name, mode, owner, group, whether it could be opened, and how often.
    """
    seen: dict[tuple[str, str, int, int, int, bool], int] = {}
    rounds = 0
    while not _stopped:
        rounds += 1
        _done(rounds)
        for top in folders:
            for folder, name in _files(top):
                with contextlib.suppress(OSError):
                    found = os.lstat(f"{folder}/{name}")
                    if found.st_mode & 0o170000 == 0o100000:
                        key = (
                            folder,
                            name,
                            found.st_mode & 0o7777,
                            found.st_uid,
                            found.st_gid,
                            _opens(folder, name),
                        )
                        seen[key] = seen.get(key, 0) + 1
    return [[*key, count] for key, count in seen.items()]


def _files(top: str) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError), os.scandir(top) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield top, entry.name


def _opens(folder: str, name: str) -> bool:
    try:
        os.close(os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def _main(uid: int, progress: int, task: str, *given: str) -> None:
    global _progress
    _progress = progress

    def stop(*_: object) -> None:
        global _stopped
        _stopped = True

    signal.signal(signal.SIGTERM, stop)
    if uid != os.geteuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    tasks: dict[str, Callable[..., object]] = {"flip": flip, "plant": plant, "watch": watch}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(tasks[task](*given)))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
