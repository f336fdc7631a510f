"""The same rows as JSON, and as the page docs/reference/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.cases.model import Case
from benchmarks.measure import Ratio, Timing
from benchmarks.runner import Row
from benchmarks.table import goal_of, memory_of, ratio_of, time_of

Results = Sequence[tuple[Case, Sequence[Row]]]


def as_json(results: Results, machine: Mapping[str, str], versions: Mapping[str, str]) -> dict[str, Any]:
    """Give all that was measured; seconds, and KiB."""
    return {
        "version": 1,
        "machine": dict(machine),
        "versions": dict(versions),
        "rows": [_row(row) for _, rows in results for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "case": row.line.case,
        "work": row.line.work,
        "peer": row.line.peer or None,
        "ours": _timing(row.ours),
        "theirs": _timing(row.theirs),
        "faster": _ratio(row.faster),
        "exponent": row.growth and row.growth.exponent,
        "exponent_from": row.growth and row.growth.start,
        "goal": row.goal and {"kind": row.goal.kind.name.lower(), "limit": row.goal.limit},
        "reached": row.reached,
        "skipped": row.skipped or None,
    }


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {
        "median": timing.median,
        "low": min(timing.seconds),
        "high": max(timing.seconds),
        "runs": len(timing.seconds),
        "processor": timing.processor,
        "peak_kib": timing.peak_kib,
        "share_measured": timing.share,
    }


def _ratio(ratio: Ratio | None) -> dict[str, float] | None:
    if ratio is None:
        return None
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high}


_PAGE = """\
# Performance

<!-- Made by `python -m benchmarks --write docs/reference/performance.md`, which runs every case; a test compares the rows. -->

`make bench` measures secretsmith against its peers and prints these tables; `make bench ARGS="activate show"` runs single cases,
`ARGS=--quick` small ones, `ARGS="--json FILE"` writes the numbers down. Read ratios, not times.

- Whole processes are timed, from start to end, in turn with the peer's on the same files: after one warm-up of each, 3 to 15 times
  (twice what takes longer than 12 s). Times are medians; a ratio is the median of those of the pairs, with the lowest and highest.
- secretsmith runs as an installed entry point does: `python -c "from secretsmith.cli.door import main; …"` (`secretsmith.cli.activate`
  for activations), with compiled modules there. No program inherits settings. Run by root, all of them have priority over other work.
- The peer is the real program. agenix needs Nix to install, so its activation and `agenix -r` are scripts that start the same
  processes in the same order. The sops is its own binary.
- `~`: the peer did a part of the work (100 secrets, 50 or 10 files, 100 documents), the rest is extrapolated linearly.
- Repositories are git work trees, committed, with a warm index; 5 readers with ed25519 keys. Memory is the peak of the largest process.
- Growth is the exponent from 100 to 10,000, net of start-up, which is the time of one, by the shortest runs; from 1,000
  where a hundred take no time that could be told from start-up.
"""


def as_page(results: Results, machine: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Give the page."""
    parts = [
        _PAGE,
        "\n".join(
            ["| measured with | |", "|---|---|", *_pairs(machine), f"| versions | {_list(versions)} |"]
        ),
    ]
    parts += [section(case, rows) for case, rows in results]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


def section(case: Case, rows: Sequence[Row]) -> str:
    """Give one case as a part of the page."""
    return "\n".join(
        [
            f"## {case.name}: {case.title}\n",
            "| work | peer | ours | peer's | ratio | must reach | memory, ours | peer's |",
            "|---|---|---|---|---|---|---|---|",
            *(_cells(row) for row in rows),
        ]
    )


def _cells(row: Row) -> str:
    cells = [
        row.line.work,
        row.line.peer,
        time_of(row.ours),
        time_of(row.theirs),
        row.skipped or ratio_of(row),
        goal_of(row),
        memory_of(row.ours),
        memory_of(row.theirs),
    ]
    return f"| {' | '.join(cells)} |"


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    return (f"| {name} | {value} |" for name, value in values.items())


def _list(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


__all__ = ["Results", "as_json", "as_page", "section"]
