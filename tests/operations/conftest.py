"""The fleet that the value commands are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gnupg import GnuPG
from passstores import PassStore
from repositories import Fleet


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> Fleet:
    peer("age")
    return Fleet(tmp_path)


@pytest.fixture
def pass_store(fleet: Fleet, peer: Callable[[str], str]) -> Iterator[PassStore]:
    """A store of the real pass in the home of the fleet's alice, whose commands know its gpg key."""
    gnupg = GnuPG.make(fleet.folder, peer("gpg"))
    gnupg.key("alice")
    store = PassStore(fleet.home, gnupg, peer("pass"))
    store.run("init", "alice@example.org")
    fleet.environ["GNUPGHOME"] = str(gnupg.home)
    yield store
    gnupg.close()
