"""A fleet with a fake source beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakesource import Store
from linkings import Linking
from repositories import Fleet


@pytest.fixture
def linking(fleet: Fleet, tmp_path: Path) -> Linking:
    store = Store(tmp_path / "elsewhere")
    fleet.environ["FAKE_STORE"] = store.variable
    fleet.environ["PYTHONPATH"] += f":{store.python_path}"
    return Linking(fleet, store)
