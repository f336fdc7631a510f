"""Work that may never end, waited for as long as somebody has patience: a thread that is left behind when it hangs.

Python cannot stop a thread. One that is left keeps the process from nothing, least of all from ending; but each costs memory
and perhaps a connection, so nobody starts a second while the first still waits for the same answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")

_left: Final[list[threading.Thread]] = []


class Work(Generic[_T]):
    """One job in a thread of its own, started at once.

    After :meth:`wait` said True, ``error`` is what the job raised, of any kind, and ``value`` what it returned if that is None.
    """

    def __init__(self, job: Callable[[], _T]) -> None:
        self.error: BaseException | None = None
        self._job = job
        self._values: list[_T] = []
        self._thread = threading.Thread(target=self._run, name="secretsmith keyring", daemon=True)
        self._thread.start()

    @property
    def value(self) -> _T:
        """What the job returned."""
        return self._values[0]

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; say whether the job has ended. An interrupt of the person's comes through."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def leave(self) -> None:
        """Give the job up; :func:`someone_waits` knows of it until it ends by itself."""
        _left.append(self._thread)

    def _run(self) -> None:
        try:
            self._values.append(self._job())
        except BaseException as error:
            # Not Exception: a SystemExit, or a panic of a library in another language, ends this thread as well, and what
            # nobody caught would be printed by the interpreter with its text.
            self.error = error


def someone_waits() -> bool:
    """Say whether a job that was given up is still at it."""
    _left[:] = [thread for thread in _left if thread.is_alive()]
    return bool(_left)


__all__ = ["Work", "someone_waits"]
