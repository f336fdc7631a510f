"""The small process that starts what is timed; run as a script, by :mod:`benchmarks.measure`.

A child's ru_maxrss begins with the memory of the process that started it (Linux, exec_mmap: the highest mark of the old memory
is kept), and a large process starts children more slowly. So nothing but this, which imports next to nothing, starts them.

It reads requests from standard input and answers on standard output, both as :mod:`marshal` writes them, which costs no import:
``{"argv", "env", "cwd", "cpus", "errors"}`` → ``(seconds, processor seconds, kibibytes, exit code)``.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from contextlib import suppress
from typing import Any


def serve() -> None:
    """Answer until standard input ends."""
    usable = os.sched_getaffinity(0)
    with suppress(PermissionError):
        os.nice(-15)  # inherited: other work on the machine disturbs what is timed less
    while True:
        try:
            request = marshal.load(sys.stdin.buffer)
        except EOFError:
            return
        os.sched_setaffinity(0, request["cpus"] or usable)
        marshal.dump(_run(request), sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _run(request: dict[str, Any]) -> tuple[float, float, int, int]:
    os.chdir(request["cwd"])
    argv, env = request["argv"], request["env"]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, request["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    start = time.perf_counter()
    child = os.posix_spawn(argv[0], argv, env, file_actions=files)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    serve()
