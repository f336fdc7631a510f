"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Without hypothesis's own clock: tests share machines with slower ones, and bounds are stated by `within`.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_PEERS = os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1"
# Further peers that this machine cannot have; a skip of theirs is reported, and no failure.
WITHOUT_PEERS = os.environ.get("SECRETSMITH_WITHOUT_PEERS", "").split()


@pytest.fixture
def repository_root() -> Path:
    """The checkout the tests run from."""
    return ROOT


@pytest.fixture
def peer() -> Callable[[str], str]:
    """Give the path of a real program; skip without it, or fail when peers are required."""

    def find(name: str) -> str:
        extra = str(Path(sys.executable).parent)
        found = shutil.which(name) or shutil.which(name, path=extra)
        if found:
            return found
        if REQUIRE_PEERS and name not in WITHOUT_PEERS:
            pytest.fail(f"the peer {name} is required and missing")
        pytest.skip(f"the peer {name} is not installed")

    return find


@pytest.fixture
def within() -> Callable[[float], AbstractContextManager[None]]:
    """The one timed bound of the tests: hostile input ends in seconds (design: 2 s)."""

    @contextmanager
    def bound(seconds: float) -> Iterator[None]:
        # Process time, so that a busy machine does not fail the test.
        start = time.process_time()
        yield
        spent = time.process_time() - start
        assert spent < seconds, f"took {spent:.2f} s, allowed {seconds} s"

    return bound


@pytest.fixture(autouse=True)
def _private_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own keys, configuration or git identity."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in list(os.environ):
        if name.startswith(("SOPS_", "SECRETSMITH_", "GIT_", "XDG_")) and name != "SECRETSMITH_REQUIRE_PEERS":
            monkeypatch.delenv(name)
    for name in ("VISUAL", "EDITOR", "DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
