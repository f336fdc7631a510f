"""A repository with a token, and programs that ask the real keyring for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from logins import TOKEN, UPLOADS, Logins


@pytest.fixture
def fleet(tmp_path: Path) -> Logins:
    """A repository that maps the service UPLOADS to TOKEN; nothing is approved."""
    made = Logins(tmp_path)
    made.set("secrets/token.age", TOKEN.encode())
    made.map(UPLOADS, "secrets/token.age")
    return made


@pytest.fixture
def approved(fleet: Logins) -> Logins:
    """The same, approved on this computer."""
    fleet.run("keyring", "approve", UPLOADS)
    return fleet


@pytest.fixture
def peer() -> Callable[[str], str]:
    """Give the path of a real program; skip without it, or fail when peers are required."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
                pytest.fail(f"the peer {name} is required and missing")
            pytest.skip(f"the peer {name} is not installed")
        return found

    return find
