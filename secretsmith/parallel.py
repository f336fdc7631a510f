"""Work on many things in processes forked for it: what they make comes back through pipes, in order, and nothing touches a disk.

Processes, not threads: what opens and seals files holds the interpreter's lock. A worker inherits what it works on, so nothing
is sent to it. It is handed nothing else: no descriptor but its pipe, no signal handler of ours; it leaves by ``_exit``.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import BinaryIO, Final, NoReturn

FEWEST: Final = 100
"""So many things are worth a fork: two workers cost about 2 ms."""
_MOST: Final = 8  # each is a copy of this process in the end
_HEAD: Final = struct.Struct(">?Q")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Work = Callable[[int], bytes | None]
"""Makes the thing of a number. None, or an exception: it cannot, and whoever asked has to find out why."""


class WorkerDied(Exception):
    """A worker ended before it gave what it had to give; ``number`` is what it was to make."""

    def __init__(self, number: int, how: str) -> None:
        super().__init__(how)
        self.number, self.how = number, how


def workers_for(count: int) -> int:
    """Say how many workers are worth it for ``count`` things, none when that is less work done here.

    None either while there is another thread: what it holds at that moment stays held in a forked process for ever.
    """
    if count < FEWEST:
        return 0
    try:
        cores, threads = len(os.sched_getaffinity(0)), len(os.listdir("/proc/self/task"))
    except (AttributeError, OSError):  # not Linux, or no /proc: nobody can say how many threads there are
        return 0
    return min(cores, _MOST) if cores > 1 and threads == 1 else 0


def forked(work: Work, numbers: Sequence[int], workers: int) -> Generator[bytes | None, None, None]:
    """Yield what ``work`` makes of each of ``numbers``, in their order; None for what it could not make.

    To be closed by who does not go to the end: then, and after whatever is raised, no worker is left. No more is kept in memory
    than what the pipes hold: a worker waits until it is its turn to be read.

    Raises:
        WorkerDied: one was killed, or crashed.
    """
    pool: list[_Worker] = []
    try:
        if not _start(pool, work, numbers, workers):
            yield from (None for _ in numbers)
            return
        for place, number in enumerate(numbers):
            yield pool[place % workers].take(number)
    finally:
        for worker in pool:
            worker.end()


def _start(pool: list[_Worker], work: Work, numbers: Sequence[int], workers: int) -> bool:
    """Start the workers; False when the system has no room for that many more processes."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # what waits in a buffer is ours to write, once
    # A signal between the fork and its bookkeeping would be handled twice, or leave a worker behind.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        for first in range(workers):
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            try:
                child = os.fork()
            except OSError:
                os.close(ours)
                os.close(theirs)
                return False
            if child == 0:
                _serve(work, numbers[first::workers], theirs, before)
            os.close(theirs)
            pool.append(_Worker(child, os.fdopen(ours, "rb")))
        return True
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One worker as its parent sees it."""

    def __init__(self, child: int, pipe: BinaryIO) -> None:
        self._child, self._pipe = child, pipe
        self._status: int | None = None

    def take(self, number: int) -> bytes | None:
        """Return what it made, the next in its order."""
        head = self._pipe.read(_HEAD.size)
        made, size = _HEAD.unpack(head) if len(head) == _HEAD.size else (False, -1)
        data = self._pipe.read(size) if made else b""
        if size < 0 or len(data) != size:
            raise WorkerDied(number, self._how())
        return data if made else None

    def _how(self) -> str:
        self._status = os.waitpid(self._child, 0)[1]
        code = os.waitstatus_to_exitcode(self._status)
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Kill it, if it still runs, and let nothing be left of it."""
        self._pipe.close()
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._status = os.waitpid(self._child, 0)[1]


def _serve(work: Work, numbers: Sequence[int], pipe: int, mask: Iterable[int]) -> NoReturn:
    """Do a worker's share; runs in the worker alone."""
    code = 1
    try:
        _confine(pipe, mask)
        for number in numbers:
            try:
                made = work(number)
            except BaseException:  # noqa: BLE001, RUF100 - pyo3's PanicException is one; the parent tries itself and sees
                made = None
            _send(pipe, _HEAD.pack(made is not None, len(made or b"")) + (made or b""))
        code = 0
    finally:
        os._exit(code)


def _confine(pipe: int, mask: Iterable[int]) -> None:
    # The repository's lock among them: a worker must not hold it a moment longer than its parent lives.
    os.closerange(3, pipe)
    os.closerange(pipe + 1, max(os.sysconf("SC_OPEN_MAX"), 1024))
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody reads any more: the parent is gone
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    gc.freeze()  # else a collection writes to every page that is shared with the parent


def _send(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


__all__ = ["FEWEST", "Work", "WorkerDied", "forked", "workers_for"]
