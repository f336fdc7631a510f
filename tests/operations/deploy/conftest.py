"""web1, on which root may log in by ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployhosts import DeployHost
from hosts import IS_ROOT
from repositories import Fleet
from sshservers import SshServers


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> Fleet:
    peer("age")
    return Fleet(tmp_path)


@pytest.fixture
def web1(fleet: Fleet, tmp_path: Path, peer: Callable[[str], str]) -> Iterator[DeployHost]:
    """The host, with declarations and the program, but nothing deployed."""
    if not IS_ROOT:
        pytest.skip("needs root, for a mount namespace")
    for program in ("unshare", "nsenter"):
        peer(program)
    servers = SshServers(tmp_path, peer)
    host = DeployHost(fleet, servers)
    try:
        host.declare()
        host.install_program()
        host.listen()
        yield host
    finally:
        host.close()
        servers.stop()
