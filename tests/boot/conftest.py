"""Machines for the boot tests: the root is made once, each test boots a copy of its own, and nothing is left of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import bootroot
import pytest
from boothost import BootHost
from bootmachine import Machine
from hosts import IS_ROOT

REQUIRE_PEERS = os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1"
# Where the root may stay between runs; read now, since no test sees such variables.
KEPT = os.environ.get("SECRETSMITH_BOOT_ROOT")
PROGRAMS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "setpriv", "journalctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are boot tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.boot)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with this checkout's secretsmith, to be copied."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing or not IS_ROOT:
        why = f"boot tests need {', '.join(missing) or 'root'}"
        if REQUIRE_PEERS:
            pytest.fail(why)
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("boot")
    root = folder / "prepared"
    try:
        bootroot.copy_of_base(Path(KEPT) if KEPT else folder / "kept", root)
        bootroot.install_secretsmith(root)
        yield root
    finally:
        bootroot.remove(folder)


@pytest.fixture
def new_host(prepared: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., BootHost]]:
    """Make hosts that are off. Afterwards no process, no mount and no file of theirs is left."""
    made: list[Machine] = []

    def make(*, has_key: bool = True) -> BootHost:
        root = bootroot.copy_of(
            prepared, prepared.parent / f"web{os.getpid()}-{len(made)}-{id(request) % 9999}"
        )
        made.append(Machine(root))
        return BootHost(made[-1], has_key=has_key)

    yield make
    for machine in made:
        machine.kill()
        bootroot.remove(machine.root)
        machine.console.unlink(missing_ok=True)


@pytest.fixture
def host(new_host: Callable[..., BootHost]) -> BootHost:
    """A host with a key, which is off."""
    return new_host()
