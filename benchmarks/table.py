"""The table that is printed, for terminals of 80 columns and more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from benchmarks.cases.model import Case
from benchmarks.goals import Kind
from benchmarks.measure import Ratio, Timing
from benchmarks.runner import Row

_WIDE: Final = 100
_WORK: Final = 26
_RATIO: Final = 23


def heading(width: int) -> str:
    """Give the first line."""
    return _columns(width, "", "ours", "peer", "ratio (lowest–highest)", "must reach", "ours", "peer")


def warning(load: float) -> str:
    """Say so when the machine is busy with other work."""
    if load < 1:
        return ""
    return f"The machine is busy (load {load:.1f}): programs that run longer wait more often, and ratios to short ones are too high."


def lines(case: Case, rows: Sequence[Row], width: int) -> Iterator[str]:
    """Give the lines of one case, its rows by peer."""
    yield f"{case.name}: {case.title}"
    by_peer = sorted(rows, key=lambda row: _order(rows, row))
    for peer, group in groupby(by_peer, key=lambda row: row.line.peer):
        members = list(group)
        if peer:
            yield f" against {peer}" + (f" ({members[0].skipped})" if members[0].skipped else "")
        for row in members:
            yield _columns(
                width,
                row.line.work,
                time_of(row.ours),
                time_of(row.theirs),
                ratio_of(row),
                goal_of(row),
                memory_of(row.ours),
                memory_of(row.theirs),
            )


def summary(results: Sequence[tuple[Case, Sequence[Row]]]) -> str:
    """Say how many goals were judged, and how many of them are not reached."""
    judged = [row.reached for _, rows in results for row in rows if row.reached is not None]
    return f"{len(judged)} goals judged, {judged.count(False)} not reached"


def _order(rows: Sequence[Row], row: Row) -> int:
    peers = list(dict.fromkeys(each.line.peer for each in rows if each.line.peer))
    return peers.index(row.line.peer) if row.line.peer else len(peers)


def _columns(width: int, work: str, ours: str, peer: str, ratio: str, goal: str, *memory: str) -> str:
    text = f"  {work:{_WORK}}{ours:>7} {peer:>8}  {ratio:{_RATIO}} {goal:10}"
    if width >= _WIDE:
        text += "".join(f"{each:>9}" for each in memory)
    return text.rstrip()


def time_of(timing: Timing | None) -> str:
    """Give a median as ``17 ms`` or ``2.31 s``; ``~`` for what is extrapolated, nothing for nothing."""
    if timing is None:
        return ""
    seconds = timing.median
    if seconds < 0.9995:
        text = f"{seconds * 1000:.0f} ms"
    else:
        text = f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"~{text}" if timing.share < 1 else text


def memory_of(timing: Timing | None) -> str:
    """Give the peak of the largest process."""
    return "" if timing is None else f"{timing.peak_kib / 1024:.0f} MiB"


def ratio_of(row: Row) -> str:
    """Say how much faster we are, or how often the peer's time we take; or the exponent of growth."""
    faster = row.faster
    if faster is None:
        if row.growth is None:
            return ""
        start = "" if row.growth.start == 100 else f" from {row.growth.start}"
        return f"exponent {row.growth.exponent:.2f}{start}"
    kind = row.goal and row.goal.kind
    if kind is Kind.WITHIN or faster.median < 1:
        return f"{number(faster.inverse.median)}× its time {_spread(faster.inverse)}"
    text = f"{number(faster.median)}× faster {_spread(faster)}"
    return text if len(text) <= _RATIO else text.replace(" faster", "")  # four digits say it


def goal_of(row: Row) -> str:
    """Give the goal and whether it is reached; a goal without a measurement says so."""
    if row.goal is None:
        return ""
    return f"{row.goal} {({True: 'yes', False: 'NO', None: '?'})[row.reached]}"


def number(value: float) -> str:
    """Give two digits that count."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def _spread(ratio: Ratio) -> str:
    return f"({number(ratio.low)}–{number(ratio.high)})"


__all__ = ["goal_of", "heading", "lines", "memory_of", "number", "ratio_of", "summary", "time_of", "warning"]
