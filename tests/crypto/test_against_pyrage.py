"""Our reader and pyrage over the same random files, whole and damaged: they open the same ones, to the same values."""

from __future__ import annotations

import os
import random

import pytest
from agekinds import KINDS, VALUE
from ageoracle import Case, disagreement, ours, random_case, theirs

from secretsmith.crypto.agefile import encrypt_age

FILES = 500
"""Files of one test; twenty of them make the 10,000 of a long run."""


def _compare(seed: int, files: int) -> None:
    rng = random.Random(seed)
    opened = 0
    for number in range(files):
        case = random_case(rng)
        problem = disagreement(case)
        assert problem is None, f"seed {seed}, file {number}: {problem}"
        opened += theirs(case).value is not None if number < 50 else 0
    # Neither all damaged beyond reading nor all whole: else the comparison would say little.
    assert 0 < opened < min(files, 50)


def test_both_readers_agree() -> None:
    _compare(0, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21 if os.environ.get("EVERY_POINT") else 5))
def test_both_readers_agree_on_many_files(seed: int) -> None:
    _compare(seed, FILES)


def _case(data: bytes, value: bytes = VALUE.expose()) -> Case:
    return Case(data, "x25519", "by hand", value)


def test_a_difference_would_be_seen() -> None:
    data = encrypt_age(VALUE, [KINDS["x25519"][0]], armor=False)
    assert disagreement(_case(data)) is None
    assert "opens" in (disagreement(_case(data, b"another value")) or "")


def test_the_known_difference() -> None:
    armored = _case(b"\n" + encrypt_age(VALUE, [KINDS["x25519"][0]], armor=True))
    assert (ours(armored).value, theirs(armored).value) == (VALUE.expose(), None)
    assert disagreement(armored) is None
