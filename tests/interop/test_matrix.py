"""secretsmith, sops and age do with each other's files what docs/reference/interop.md says: every cell is run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from interopbench import Programs
from interoppage import KNOWN, PAGE, ROWS, SOPS, Row, line_of, lines_of, page

AGAIN = "run: python tests/interop/matrix.py --write, and look at the difference"


@pytest.mark.parametrize(
    "row",
    # A few seconds a row: one version of sops is tried in each run of the tests, the other in the long one.
    [pytest.param(row, id=row.slug, marks=[pytest.mark.slow] if row.sops != "sops" else []) for row in ROWS],
)
def test_every_cell_is_as_the_page_says(row: Row, tmp_path: Path, peer: Callable[[str], str]) -> None:
    programs = Programs(sops=peer(row.sops), age=peer("age"))
    said = lines_of(PAGE.read_text())[row.table, row.title]
    assert line_of(row, row.run(tmp_path, programs)) == said, AGAIN


def test_the_page_is_made_of_its_rows() -> None:
    text = PAGE.read_text()
    lines = lines_of(text)
    assert page(lambda row: lines[row.table, row.title]) == text, AGAIN
    assert len(lines) == len(ROWS)


def test_every_refusal_has_its_reason() -> None:
    text = PAGE.read_text()
    assert "exits" not in "".join(lines_of(text).values()), "a new refusal: say why in KNOWN"
    assert not [known.label for known in KNOWN if f"[^{known.label}]:" not in text]


@pytest.mark.parametrize(
    ("program", "version"),
    [pytest.param(*each, marks=[pytest.mark.slow] if each[0] != "sops" else []) for each in SOPS.items()],
)
def test_sops_is_the_one_that_the_page_names(program: str, version: str, peer: Callable[[str], str]) -> None:
    words = [peer(program), "--version", "--disable-version-check"]
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert printed.split()[:2][-1].startswith(f"{version}.")
