"""Times whole processes in turn, pair by pair, so that a machine's changing speed does not count."""

from __future__ import annotations

import marshal
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

BUDGET: Final = 4.0
"""Seconds that the runs of one trial may take together; at least :data:`FEWEST` are made."""
FEWEST: Final = 3
SLOW: Final = 12.0
"""Of a trial whose single turn takes longer, two runs have to do."""
MOST: Final = 15


class Failed(Exception):
    """A program that was to be timed said no; a command that fails is no measurement."""


def nothing() -> None:
    """Set nothing up."""


@dataclass(frozen=True)
class Command:
    """What is timed, as a whole process.

    ``reset`` runs before each time, untimed. ``cores`` is how many it may use, 0 for all. ``check`` is called after the
    warm-up and raises when the work was not done. ``share`` is the part of the work that it does: 0.1 is a tenth, and the rest is
    extrapolated.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    reset: Callable[[], None] = nothing
    check: Callable[[], None] = nothing
    cores: int = 0
    share: float = 1.0


@dataclass(frozen=True)
class Timing:
    """What the runs of a command took: seconds each, extrapolated where ``share`` < 1, and the peak of its largest process.

    ``processor`` is the median of the seconds that it and its children used of the processor.
    """

    seconds: tuple[float, ...]
    peak_kib: int
    share: float = 1.0
    processor: float = 0.0

    @property
    def median(self) -> float:
        """The middle one, in seconds."""
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        """The shortest, in seconds: the one that other work on the machine disturbed least."""
        return min(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two timings pair by pair: the median, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Timing, below: Timing) -> Ratio:
        """Divide the runs of one by those of the other."""
        found = sorted(over / under for over, under in zip(above.seconds, below.seconds, strict=True))
        return cls(statistics.median(found), found[0], found[-1])

    @property
    def inverse(self) -> Ratio:
        """The same the other way round."""
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low)


class Stopwatch:
    """Runs commands through :mod:`benchmarks.launcher`; ``runs`` times each instead of as often as there is time for."""

    def __init__(self, folder: Path, runs: int | None = None) -> None:
        self._runs = runs
        self._errors = folder / "errors"
        words = [sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("launcher.py"))]
        self._launcher = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        """End the launcher."""
        self._pipe(self._launcher.stdin).close()
        self._launcher.wait()
        self._pipe(self._launcher.stdout).close()

    def once(self, command: Command) -> tuple[float, float, int]:
        """Run it once; return seconds, those of the processor, and KiB. Raises :class:`Failed`."""
        command.reset()
        argv = [shutil.which(command.argv[0], path=command.env["PATH"]) or command.argv[0], *command.argv[1:]]
        request = {
            "argv": argv,
            "env": dict(command.env),
            "cwd": str(command.cwd),
            # The first ones of those that we may use; none named is all.
            "cpus": sorted(os.sched_getaffinity(0))[: command.cores],
            "errors": str(self._errors),
        }
        marshal.dump(request, self._pipe(self._launcher.stdin))
        self._pipe(self._launcher.stdin).flush()
        seconds, processor, kib, code = marshal.load(self._pipe(self._launcher.stdout))
        if code:
            said = self._errors.read_text(errors="replace").strip().splitlines()[-6:]
            raise Failed(f"{' '.join(argv)[:200]}: exit code {code}\n" + "\n".join(said))
        return seconds, processor, kib

    def compare(self, commands: Sequence[Command]) -> list[Timing]:
        """Time all of them in turn, after one warm-up of each; Failed as :meth:`once`."""
        warm = []
        for command in commands:
            warm.append(self.once(command)[0])
            command.check()
        fewest = FEWEST if sum(warm) < SLOW else 2
        runs = self._runs or max(fewest, min(MOST, int(BUDGET / sum(warm))))
        rounds = [[self.once(command) for command in commands] for _ in range(runs)]
        return [
            Timing(
                tuple(taken[number][0] / command.share for taken in rounds),
                max(taken[number][2] for taken in rounds),
                command.share,
                statistics.median(taken[number][1] / command.share for taken in rounds),
            )
            for number, command in enumerate(commands)
        ]

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream


__all__ = ["BUDGET", "FEWEST", "MOST", "SLOW", "Command", "Failed", "Ratio", "Stopwatch", "Timing", "nothing"]
