"""The contract that every builder keeps: by a flake, a default.nix and a hive, with the real Nix in a store of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from nixrepos import declare, store_environ
from nixstores import Nix

from secretsmith.plugin.api import Builder
from secretsmith.testing import BuilderContract, sample_context
from secretsmith_nix import builder


class NixContract(BuilderContract):
    entry = "flake.nix"

    @pytest.fixture(autouse=True)
    def _own_store(self, nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
        with_store = partial(sample_context, environ=store_environ(nix.root))
        monkeypatch.setattr("secretsmith.testing.builders.sample_context", with_store)

    def builder(self) -> Builder:
        return builder()

    def declare(self, root: Path, host: str, secrets: Mapping[str, str]) -> None:
        declare(root, self.entry, host, secrets)

    def spoil(self, root: Path, host: str) -> None:
        path = root / "hosts" / f"{host}.nix"
        path.write_text(path.read_text().replace("];", "]"))


class TestFlake(NixContract):
    """Evaluated purely."""


class TestDefault(NixContract):
    """Evaluated with restrictions."""

    entry = "default.nix"


class TestHive(NixContract):
    """A hive that is made already: it has nodes."""

    entry = "hive.nix"


def test_the_factory_may_be_called_again() -> None:
    """Each loader calls it, and there may be several in one process."""
    assert builder() is not builder()
