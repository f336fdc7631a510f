"""Where an address leads: ssh's own configuration, and addresses that would be something else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sshservers import SshServers

from secretsmith.errors import RefusedInput, RemoteFailure
from secretsmith.operations.sshclient import Route, check_address, host_key_of, resolve, scanned_keys


@pytest.fixture
def servers(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[SshServers]:
    found = SshServers(tmp_path, peer)
    yield found
    found.stop()


def environ(servers: SshServers) -> Mapping[str, str]:
    return {**os.environ, "PATH": servers.path}


@pytest.mark.parametrize(
    "address",
    [
        "", "-oProxyCommand=x", "user@-x", "ssh://-x", "@", "a@", "a b", "a\nb", "a\x00b", "a\x1b[2Jb", "a;b", "$(x)",
        "`x`", "a'b", "a|b", "x" * 300, "a\u202eb",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RefusedInput):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "ssh"),
    [
        ("web1", "web1"),
        ("root@web1.example.org", "root@web1.example.org"),
        ("web1:2222", "ssh://web1:2222"),
        ("root@[::1]:22", "ssh://root@[::1]:22"),
        ("2001:db8::1", "2001:db8::1"),
        ("ssh://root@web1:2222", "ssh://root@web1:2222"),
    ],
)
def test_addresses_as_ssh_takes_them(address: str, ssh: str) -> None:
    assert check_address(address) == ssh


def test_no_command_of_a_configuration_sees_a_hostile_name(servers: SshServers, tmp_path: Path) -> None:
    servers.configure(f'Match exec "touch {tmp_path}/ran-%n"\n')
    with pytest.raises(RefusedInput):
        resolve(f"x$(touch${{IFS}}{tmp_path}/ran)", environ(servers))
    assert not list(tmp_path.glob("ran*"))


def test_the_configuration_of_ssh_counts(servers: SshServers, tmp_path: Path) -> None:
    servers.configure(
        f"Host web\n  HostName 192.0.2.1\n  Port 2222\n  HostKeyAlias Fleet-Web\n  AddressFamily inet\n"
        f'  UserKnownHostsFile {tmp_path}/a "{tmp_path}/b c"\n  HashKnownHosts yes\n'
    )
    route = resolve("web", environ(servers))
    assert (route.host, route.port, route.alias, route.family, route.hashed) == (
        "192.0.2.1",
        2222,
        "fleet-web",  # ssh writes it in lower case
        "inet",
        True,
    )
    assert route.known_hosts == (tmp_path / "a", tmp_path / "b c")
    assert route.known_name == "fleet-web"
    assert resolve("Other:2200", environ(servers)).known_name == "[other]:2200"
    assert resolve("Other", environ(servers)).known_name == "other"


@pytest.mark.parametrize("line", ["ProxyJump bastion,inner", "ProxyCommand nc %h %p"])
def test_a_host_behind_another_says_what_to_do(servers: SshServers, line: str) -> None:
    servers.configure(f"Host deep\n  HostName 192.0.2.7\n  {line}\n")
    route = resolve("deep", environ(servers))
    with pytest.raises(RemoteFailure) as caught:
        host_key_of(route, "db", environ(servers))
    said = "\n".join(caught.value.hints)
    assert "ssh deep cat /etc/ssh/ssh_host_ed25519_key.pub | secretsmith host add db --key-file -" in said
    if line.startswith("ProxyJump"):
        assert "ssh inner ssh-keyscan -t ed25519 -p 22 192.0.2.7" in said


def test_a_broken_configuration_is_named(servers: SshServers) -> None:
    servers.configure("NoSuchOption yes\n")
    with pytest.raises(RemoteFailure, match=r"line 1: Bad configuration option"):
        resolve("web", environ(servers))


def test_without_ssh_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RemoteFailure, match="ssh is not installed"):
        resolve("web", {"PATH": str(tmp_path)})


@pytest.mark.parametrize("last", ["exit 0", "exec sleep 0.1"])
def test_endless_output_is_cut(
    tmp_path: Path, last: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    program = tmp_path / "ssh-keyscan"
    program.write_text(
        f"#!/bin/sh\nPATH=/usr/bin:/bin\nhead -c 30000000 /dev/zero | tr '\\0' x\necho\n{last}\n"
    )
    program.chmod(0o755)
    with within(2):
        assert scanned_keys(Route("x", "x"), {"PATH": str(tmp_path)}) == {}
