"""keyring's own contract suite, for a person who lets programs store logins in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from keyring.testing.backend import BackendBasicTests
from repositories import Fleet

from secretsmith_keyring import Keyring


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tmp_path)
    for name, value in fleet.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SECRETSMITH_ROOT", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.chdir(fleet.root)
    fleet.run("keyring", "approve", "--store")


class TestContract(BackendBasicTests):
    """All of it."""

    def init_keyring(self) -> Keyring:
        assert os.environ["HOME"].endswith("home")
        assert Keyring.viable
        return Keyring()
