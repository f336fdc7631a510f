"""Hosts for activation tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, unmount_below


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose mounts are gone after the test."""
    tmp_path.chmod(0o755)
    made = Host(tmp_path)
    yield made
    if IS_ROOT:
        unmount_below(tmp_path)


@pytest.fixture
def as_root() -> None:
    """Only where the tests run as root: owners, mounts."""
    if not IS_ROOT:
        pytest.skip("needs root")


@pytest.fixture
def namespace() -> tuple[str, ...]:
    """What gives a program a user and mount namespace of its own."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("user namespaces are forbidden here")
    return ("unshare", "-Urm")


@pytest.fixture
def open_descriptors() -> Iterator[None]:
    """No descriptor may be left open."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def path(host: Host) -> Path:
    """A custom path of the secret ``db``, which has a neighbour; nothing lies there yet."""
    found = host.folder / "etc" / "app" / "db"
    host.add("db", path=str(found))
    host.add("other")
    return found
