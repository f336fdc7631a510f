"""A short run of the fuzz target, and what it must notice."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from ageoracle import random_case


@pytest.fixture(scope="module")
def target() -> ModuleType:
    """The target as a module; it is no part of a package."""
    spec = importlib.util.spec_from_file_location("fuzz_age", Path(__file__).with_name("age.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_short_run(target: ModuleType) -> None:
    outcomes = target.run(seconds=60, seed=1, files=300)
    assert outcomes.total() == 300
    assert {"opened", "E_AGE_HEADER", "E_AGE_ARMOR", "E_AGE_MAC", "E_AGE_PAYLOAD", "E_AGE_TRUNCATED"} <= set(
        outcomes
    )


def test_another_value_is_noticed(target: ModuleType) -> None:
    whole = next(
        case
        for case in map(random_case, [random.Random(5)] * 100)
        if case.damage in ("whole", "armored whole") and target.check(case) == "opened"
    )
    with pytest.raises(AssertionError, match="another value"):
        target.check(replace(whole, value=whole.value + b"x"))


def test_by_hand(repository_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.age", "1", "7"],
        cwd=repository_root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("seed 7\n")
    assert "opened" in done.stdout
