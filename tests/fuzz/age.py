"""Fuzz the reading of age files by hand: ``python -m tests.fuzz.age [SECONDS] [SEED]``, from the checkout.

Any bytes end in a value or in our own error, soon; what parses serialises to the same bytes; a damaged file never gives
another value than the one that was encrypted. The files are made by pyrage and damaged at random (tests/support/ageoracle.py).
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from ageoracle import Case, ours, random_case

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.header import dump_header, parse_header
from secretsmith.errors import RefusedInput

LIMIT = 0.5
"""Processor seconds that one file of at most 300 kB may take."""


def run(seconds: float, seed: int, files: int | None = None) -> Counter[str]:
    """Read damaged files until the time is over or there were ``files``; give how often each outcome was."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end and outcomes.total() != files:
        case = random_case(rng)
        start = time.process_time()
        outcomes[check(case)] += 1
        spent = time.process_time() - start
        assert spent < LIMIT, f"{case.damage}: {spent:.2f} s\n{case.data[:4096]!r}"
    return outcomes


def check(case: Case) -> str:
    """Read one file. Raises AssertionError for another value than its own, whatever else the reader raises."""
    outcome = ours(case)
    assert outcome.value in (None, case.value), f"{case.damage} gives another value\n{case.data[:4096]!r}"
    try:
        binary = dearmor(case.data) if is_armored(case.data) else case.data
        header = parse_header(binary)
    except RefusedInput:
        return outcome.why.partition(":")[0]
    assert dump_header(header) == binary[: header.end], f"two spellings\n{case.data[:4096]!r}"
    return outcome.why.partition(":")[0] or "opened"


if __name__ == "__main__":
    began = [float(word) for word in sys.argv[1:]] or [60.0]
    chosen = int(began[1]) if len(began) > 1 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {chosen}")
    for name, count in run(began[0], chosen).most_common():
        print(f"{count:8} {name}")

__all__ = ["check", "run"]
