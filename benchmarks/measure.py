"""Runs two commands in turn and compares them pair by pair, so that a machine's changing speed does not count."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """What is timed, as a whole process; ``reset`` runs before each time, untimed."""

    argv: Sequence[str]
    env: Mapping[str, str]
    reset: Callable[[], None] = lambda: None

    def seconds(self) -> float:
        """Run it once; a command that fails is no measurement."""
        self.reset()
        start = time.perf_counter()
        subprocess.run(self.argv, env=self.env, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return time.perf_counter() - start


@dataclass(frozen=True)
class Row:
    """One line of the table: medians in seconds, and the peer's time divided by ours, as median and spread."""

    work: str
    ours: float
    peer: float
    ratio: float
    low: float
    high: float


def compare(work: str, ours: Command, peer: Command, runs: int = 5) -> Row:
    """Time both ``runs`` times in turn, after one warm-up of each."""
    ours.seconds()
    peer.seconds()
    pairs = [(ours.seconds(), peer.seconds()) for _ in range(runs)]
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    return Row(
        work,
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(ratios),
        ratios[0],
        ratios[-1],
    )
