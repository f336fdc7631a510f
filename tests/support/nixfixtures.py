"""Nix without a network, in a store of the test's own; the real nixpkgs library where NIXPKGS_LIB names it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from nixstores import PLUGIN, Nix


@pytest.fixture
def nix(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    """Nix, with an empty store."""
    if shutil.which("nix-instantiate") is None or shutil.which("nix") is None:
        if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
            pytest.fail("the peer nix is required and missing")
        pytest.skip("the peer nix is not installed")
    return Nix(tmp_path_factory.mktemp("nix"))


@pytest.fixture
def nixpkgs_lib() -> Path:
    """The folder ``lib`` of nixpkgs or of nix-community/nixpkgs.lib; README.md says how to get it."""
    given = os.environ.get("NIXPKGS_LIB")
    if not given:
        pytest.skip(
            "NIXPKGS_LIB is not set, so the modules are not evaluated (plugins/secretsmith-nix/README.md)"
        )
    lib = Path(given) / "lib"
    return lib if lib.is_dir() else Path(given)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """The example: registry, lock and secrets of three hosts. web1 has testkeys/host_ed25519, alice testkeys/user_ed25519."""
    shutil.copytree(PLUGIN / "examples" / "flake", tmp_path / "fleet")
    return tmp_path / "fleet"
