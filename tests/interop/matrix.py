"""Writes docs/reference/interop.md: `python tests/interop/matrix.py --write` runs every cell; without --write it only prints."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from interopbench import Programs, find_program  # noqa: E402
from interoppage import PAGE, ROWS, Row, line_of, page  # noqa: E402


def made(row: Row) -> str:
    """Run a row and write it down."""
    sops, age = find_program(row.sops), find_program("age")
    if sops is None or age is None:
        raise SystemExit(f"{row.sops} and age are needed")
    with tempfile.TemporaryDirectory() as folder:
        return line_of(row, row.run(Path(folder), Programs(sops, age)))


def place_of(row: Row) -> tuple[str, str]:
    """Name a row."""
    return row.table, row.title


def main() -> None:
    """Run all rows, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        lines = dict(zip(map(place_of, ROWS), pool.map(made, ROWS), strict=True))
    text = page(lambda row: lines[place_of(row)])
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
