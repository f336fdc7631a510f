"""The fleet that the value commands are tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import Fleet


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> Fleet:
    peer("age")
    return Fleet(tmp_path)
