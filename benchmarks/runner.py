"""Runs the trials of a case and makes rows of what they took."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.cases.model import Case, Line, Trial
from benchmarks.goals import GOALS, Goal, Kind
from benchmarks.measure import Ratio, Stopwatch, Timing
from benchmarks.workshop import Workshop

_TO, _NONE = 10_000, 1
"""The size to which growth is judged, and the one that stands for start-up."""
_FROM = (100, 1000)
_NOISE = 0.1
"""Of the time of start-up: what is less cannot be told from it."""


@dataclass(frozen=True)
class Growth:
    """The exponent of the growth from ``start`` to 10,000, net of start-up."""

    exponent: float
    start: int


@dataclass(frozen=True)
class Row:
    """A row of the table. ``theirs`` is None without a peer, ``skipped`` says why; ``goal`` is for the full size alone."""

    line: Line
    ours: Timing | None = None
    theirs: Timing | None = None
    growth: Growth | None = None
    skipped: str = ""
    goal: Goal | None = None

    @property
    def faster(self) -> Ratio | None:
        """The peer's time divided by ours."""
        return None if self.ours is None or self.theirs is None else Ratio.of(self.theirs, self.ours)

    @property
    def reached(self) -> bool | None:
        """Whether it is, None when there is no goal or no measurement."""
        value = self._value()
        if self.goal is None or value is None:
            return None
        return value >= self.goal.limit if self.goal.kind is Kind.FASTER else value <= self.goal.limit

    def _value(self) -> float | None:
        kind = self.goal and self.goal.kind
        if kind is Kind.EXPONENT:
            return None if self.growth is None else self.growth.exponent
        if kind is Kind.SECONDS:
            return None if self.ours is None else self.ours.median
        if self.faster is None:
            return None
        return self.faster.median if kind is Kind.FASTER else self.faster.inverse.median


class Runner:
    """Runs cases; ``size`` makes trials smaller, ``tell`` hears what is about to run, ``runs`` is how often."""

    def __init__(
        self,
        shop: Workshop,
        size: Callable[[int], int],
        tell: Callable[[str], None],
        runs: int | None = None,
    ) -> None:
        self._shop, self._size, self._tell, self._runs = shop, size, tell, runs

    def run(self, case: Case) -> list[Row]:
        """Run one case; raises :class:`~benchmarks.measure.Failed`, AssertionError for work that was not done."""
        rows: list[Row] = []
        times: dict[int, float] = {}
        for trial in case.sized(self._size):
            self._tell(f"{case.name}: {trial.title(self._size(trial.n))}")
            made = self._trial(case, trial)
            rows += made
            if trial.grows and made[0].ours is not None:
                times[trial.n] = made[0].ours.best
        if case.growth:
            line = Line(case.name, case.growth)
            full = self._size(_TO) == _TO
            rows.append(Row(line, growth=growth(times), goal=GOALS.get(line) if full else None))
        return rows

    def _trial(self, case: Case, trial: Trial) -> list[Row]:
        n = self._size(trial.n)
        setup = trial.prepare(self._shop, n)
        absent = {label: self._shop.missing(names) for label, names in trial.peers.items()}
        present = [label for label in trial.peers if not absent[label]]
        watch = Stopwatch(self._shop.folder, self._runs)
        try:
            ours, *theirs = watch.compare([setup.ours, *(setup.peers[label] for label in present)])
        finally:
            watch.close()
            self._shop.clear()
        found = dict(zip(present, theirs, strict=True))
        return [
            Row(
                line := Line(case.name, trial.title(n), label),
                ours,
                found.get(label),
                skipped=f"not installed: {', '.join(absent[label])}" if absent.get(label) else "",
                goal=GOALS.get(line) if n == trial.n else None,
            )
            for label in trial.peers or ("",)
        ]


def growth(times: Mapping[int, float]) -> Growth | None:
    """Give the growth up to 10,000, from the smallest size whose time is more than start-up; None when there is none."""
    for start in _FROM:
        if {_NONE, start, _TO} <= times.keys():
            few, many = times[start] - times[_NONE], times[_TO] - times[_NONE]
            if few > _NOISE * times[_NONE] and many > 0:
                return Growth(math.log(many / few) / math.log(_TO / start), start)
    return None


__all__ = ["Growth", "Row", "Runner", "growth"]
