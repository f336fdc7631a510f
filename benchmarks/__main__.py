"""``python -m benchmarks [CASE…]``: single cases, by name, or all of them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import machine, report, table
from benchmarks.cases import CASES
from benchmarks.cases.model import Case, quick
from benchmarks.measure import FEWEST, MOST, Failed
from benchmarks.runner import Row, Runner
from benchmarks.workshop import Workshop

# Says that this process has a mount namespace of its own already.
_PRIVATE: Final = "SECRETSMITH_BENCHMARKS_MOUNTS"


def main(argv: Sequence[str]) -> int:
    """Run the cases, print the table, write what was asked for.

    1 when a program failed or did not do its work; the other cases are run all the same, and no page is written.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    if unknown := [name for name in given.cases if name not in {case.name for case in CASES}]:
        parser.error(f"no such case: {', '.join(unknown)}")
    if given.write and (given.cases or given.quick):
        parser.error("the page has all cases, at full size")
    cases = [case for case in CASES if not given.cases or case.name in given.cases]
    if given.list:
        for case in cases:
            for line in case.lines(quick if given.quick else int):
                print(f"{line.case}\t{line.work}\t{line.peer}")
        return 0
    _own_mounts(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is mounted or runs is cleared up
    with tempfile.TemporaryDirectory(prefix="secretsmith-bench-") as folder:
        shop = Workshop(Path(folder), mounts=bool(os.environ.get(_PRIVATE)))
        try:
            return _run(given, cases, shop)
        finally:
            shop.close()


def _run(given: argparse.Namespace, cases: Sequence[Case], shop: Workshop) -> int:
    began = time.monotonic()
    facts, versions = machine.machine(shop), machine.versions(shop)
    width = given.width or shutil.get_terminal_size().columns
    for name, value in facts.items():
        print(f"{name}: {value}")
    if busy := table.warning(os.getloadavg()[0]):
        print(busy)
    print(table.heading(width), flush=True)
    runner = Runner(shop, quick if given.quick else int, _teller(), given.runs)
    results: list[tuple[Case, list[Row]]] = []
    for case in cases:
        try:
            rows = runner.run(case)
        except (Failed, AssertionError, subprocess.CalledProcessError) as error:
            print(f"benchmarks: {case.name}: {error}", file=sys.stderr)
            continue
        results.append((case, rows))
        print("\n".join(table.lines(case, rows, width)), flush=True)
    print(f"{table.summary(results)}; {time.monotonic() - began:.0f} s")
    if given.json:
        text = json.dumps(report.as_json(results, facts, versions), indent=1, ensure_ascii=False)
        Path(given.json).write_text(f"{text}\n")
    if len(results) < len(cases):
        return 1
    if given.write:
        Path(given.write).write_text(report.as_page(results, facts, versions))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="small sizes, for trying: no goal is judged")
    parser.add_argument(
        "--runs", type=int, help=f"of each command, after the warm-up; {FEWEST} to {MOST} by default"
    )
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--write", metavar="FILE", help="write the page docs/reference/performance.md")
    parser.add_argument("--width", type=int, help="columns of the table; of the terminal by default")
    parser.add_argument(
        "--list", action="store_true", help="list the rows (case, work, peer) and run nothing"
    )
    return parser


def _own_mounts(argv: Sequence[str]) -> None:
    """Go on in a mount namespace of our own, where root may have one, so that nothing stays mounted whatever happens."""
    unshare = shutil.which("unshare")
    if os.environ.get(_PRIVATE) or os.geteuid() or unshare is None:
        return
    trial = [unshare, "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(trial, check=False, capture_output=True).returncode == 0:
        words = [unshare, "-m", sys.executable, "-m", "benchmarks", *argv]
        os.execve(unshare, words, {**os.environ, _PRIVATE: "1"})


def _teller() -> Callable[[str], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda text: print(f"\r\x1b[K{text} …\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
