"""What a case is: trials, each of which sets something up and says which commands are compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.measure import Command
from benchmarks.workshop import Workshop

_PLURAL: Final = re.compile(r"\b1 (secret|file|document)s")


@dataclass(frozen=True)
class Setup:
    """What a trial made: our command, and that of each peer by its label."""

    ours: Command
    peers: Mapping[str, Command] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One fleet and what is done with it.

    ``work`` is what stands in the table, with ``{n}`` for how many. ``peers`` maps the labels of the peers to the programs they
    need. ``grows``: this trial is one of the sizes from which growth is judged.
    """

    work: str
    n: int
    prepare: Callable[[Workshop, int], Setup]
    peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grows: bool = False

    def title(self, n: int) -> str:
        """What stands in the table."""
        text = self.work.format(n=f"{n:,}")
        return _PLURAL.sub(r"1 \1", text) if n == 1 else text


@dataclass(frozen=True)
class Line:
    """A row of the table before anything is measured."""

    case: str
    work: str
    peer: str = ""


@dataclass(frozen=True)
class Case:
    """Trials of one kind of work. ``title`` says what is compared; ``growth`` names the row of the exponent, if there is one."""

    name: str
    title: str
    trials: tuple[Trial, ...]
    growth: str = ""

    def lines(self, size: Callable[[int], int] = int) -> Iterator[Line]:
        """Give the rows of this case in order; ``size`` makes trials smaller."""
        for trial in self.sized(size):
            for peer in trial.peers or ("",):
                yield Line(self.name, trial.title(size(trial.n)), peer)
        if self.growth:
            yield Line(self.name, self.growth)

    def sized(self, size: Callable[[int], int]) -> Iterator[Trial]:
        """Give the trials, those left out that are the same as an earlier one at the smaller size."""
        seen = set()
        for trial in self.trials:
            title = trial.title(size(trial.n))
            if title not in seen:
                seen.add(title)
                yield trial


def quick(n: int) -> int:
    """Give the size for trying: a hundredth, ten at least; what is smaller stays."""
    return min(n, max(10, n // 100))


__all__ = ["Case", "Line", "Setup", "Trial", "quick"]
