"""Throw-away stores, and homes of gpg whose agents end with the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gnupg import GnuPG
from passstores import PassStore


def real(name: str) -> str:
    """Give the path of a real program; skip without it, or fail when peers are required."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
            pytest.fail(f"the peer {name} is required and missing")
        pytest.skip(f"the peer {name} is not installed")
    return found


@pytest.fixture(scope="session")
def gnupg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GnuPG]:
    """A home of gpg with the keys of alice, and of bob under the passphrase "open sesame"."""
    made = GnuPG.make(tmp_path_factory.mktemp("gpg"), real("gpg"))
    made.answer_with("")
    made.key("alice")
    made.key("bob", passphrase="open sesame")
    yield made
    made.close()


@pytest.fixture
def store(gnupg: GnuPG, tmp_path: Path) -> PassStore:
    """A store of the real pass for alice, whose folder ``bobs`` is for bob; bob's key is locked."""
    made = PassStore(tmp_path / "home", gnupg, real("pass"))
    gnupg.forget()
    gnupg.answer_with("")
    made.run("init", "alice@example.org")
    made.run("init", "-p", "bobs", "bob@example.org")
    return made
