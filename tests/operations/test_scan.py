"""Scanning a host key: real servers on loopback, and everything that speaks against an answer."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keys import SshKey, ecdsa_key, ed25519_key, rsa_key
from repositories import Fleet
from sessions import Recorded
from sshservers import SshServers, free_port

from secretsmith.cli.arguments.principals import HostAddParameters, HostReprovisionParameters
from secretsmith.cli.commands import host as command
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import (
    Code,
    ExitCode,
    HostKeyChanged,
    Interrupted,
    NotFound,
    RefusedInput,
    RemoteFailure,
)
from secretsmith.operations import scan as scanning
from secretsmith.operations.scan import fix_known_hosts, scan_host


@pytest.fixture
def servers(
    tmp_path: Path, peer: Callable[[str], str], fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SshServers]:
    found = SshServers(tmp_path, peer)
    fleet.environ["PATH"] = found.path
    # What this machine's own sshd has is no part of most tests.
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(scanning, "OWN_KEYS", own)
    monkeypatch.setattr(scanning, "OWN_SSHD", ("127.0.0.1", free_port()))
    yield found
    found.stop()


def print_of(key: SshKey) -> str:
    return parse_public_key(key.public).fingerprint


def at(port: int) -> str:
    return f"127.0.0.1:{port}"


def session(fleet: Fleet, *answers: str | bool) -> Recorded:
    return Recorded(fleet.root, fleet.environ, answers=list(answers) or None)


def test_an_unknown_host_is_shown_asked_about_and_added_with_its_address(
    fleet: Fleet, servers: SshServers
) -> None:
    key = ed25519_key()
    port = servers.start(rsa_key(), key, ecdsa_key())
    run = session(fleet, True)
    given = HostAddParameters(name="box", at=at(port), scan=True, rekey=False)
    assert command.add(run.session, given) is ExitCode.OK
    host = fleet.project().registry.hosts["box"]
    assert [mine.text for mine in host.keys] == [" ".join(key.public.split()[:2])]
    assert host.keys[0].comment == "root@box" and host.address == at(port)
    assert print_of(key) in run.person.asked[0] and print_of(key) in run.err
    assert "nothing here has seen this key" in run.err


def test_no_changes_nothing(fleet: Fleet, servers: SshServers) -> None:
    port = servers.start(ed25519_key())
    before = fleet.registry
    with pytest.raises(Interrupted):
        command.add(session(fleet, False).session, HostAddParameters(name="box", at=at(port), scan=True))
    assert fleet.registry == before


def test_without_a_person_the_fingerprint_is_needed_and_compared(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    words = ("host", "add", "box", "--scan", at(servers.start(key)))
    before = fleet.files()
    assert b"--fingerprint" in fleet.run(*words, code=2).stderr
    assert b"--fingerprint" in fleet.run(*words, "--yes", code=2).stderr
    wrong = fleet.run(*words, "--yes", "--fingerprint", print_of(ed25519_key()), code=8)
    assert print_of(key).encode() in wrong.stderr
    assert fleet.run(*words, "--fingerprint", "MD5:00", code=2).stderr
    assert fleet.files() == before
    fleet.run(*words, "--yes", "--fingerprint", f"{print_of(key)}=")
    assert fleet.project().registry.hosts["box"].keys[0].fingerprint == print_of(key)


def test_alias_port_and_user_are_those_of_ssh(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    port = servers.start(key)
    servers.configure(f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  User root\n")
    found = scan_host(fleet.project(), "box", None, replacing=False)
    assert found.key.fingerprint == print_of(key) and found.route.port == port
    assert scan_host(fleet.project(), "other", "box", replacing=False).key == parse_public_key(
        f"{found.key.text} root@other"
    )


def test_the_registered_address_is_asked(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    fleet.run("host", "add", "box", "--pending", "--address", at(servers.start(key)))
    assert scan_host(fleet.project(), "box", None, replacing=False).key.fingerprint == print_of(key)


@pytest.mark.parametrize("make", [rsa_key, ecdsa_key])
def test_a_host_without_ed25519_is_told_how_to_make_one(
    fleet: Fleet, servers: SshServers, make: Callable[[], SshKey]
) -> None:
    port = servers.start(make())
    with pytest.raises(RemoteFailure) as caught:
        scan_host(fleet.project(), "box", at(port), replacing=False)
    assert make().public.split()[0] in caught.value.message and f"port {port}" in caught.value.message
    assert "ssh-keygen -A" in caught.value.hints[0]


def test_nobody_there_is_told_apart_from_no_key(fleet: Fleet, servers: SshServers) -> None:
    port = free_port()
    with pytest.raises(RemoteFailure, match=f"127.0.0.1 port {port}: connection refused"):
        scan_host(fleet.project(), "box", at(port), replacing=False)
    with pytest.raises(RemoteFailure, match=r"nowhere\.invalid port 22: no such host name"):
        scan_host(fleet.project(), "box", "nowhere.invalid", replacing=False)


def test_something_that_is_no_ssh_server(fleet: Fleet, servers: SshServers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            try:
                while True:
                    peer, _ = listening.accept()
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.close()
            except OSError:
                return

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(RemoteFailure, match="no ssh server"):
            scan_host(fleet.project(), "box", at(listening.getsockname()[1]), replacing=False)
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_a_name_with_two_addresses_of_which_the_second_answers(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    port = servers.start(key)  # on 127.0.0.1, not on ::1
    assert scan_host(
        fleet.project(), "box", f"localhost:{port}", replacing=False
    ).key.fingerprint == print_of(key)


def test_this_machine_is_recognised_by_its_key_files(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    key.write(scanning.OWN_KEYS, "ssh_host_ed25519_key")
    (scanning.OWN_KEYS / "ssh_host_ecdsa_key.pub").write_text(ecdsa_key().public)
    port = servers.start(key)
    with pytest.raises(RefusedInput) as caught:
        scan_host(fleet.project(), "box", at(port), replacing=False)
    assert (
        "the machine you are on" in caught.value.message and "did you mean port 2222" in caught.value.hints[0]
    )
    here = os.uname().nodename
    assert scan_host(fleet.project(), here, at(port), replacing=False).key.fingerprint == print_of(key)


def test_this_machine_is_recognised_by_what_its_sshd_answers(
    fleet: Fleet, servers: SshServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ed25519_key()
    monkeypatch.setattr(scanning, "OWN_SSHD", ("127.0.0.1", servers.start(key)))
    with pytest.raises(RefusedInput, match="the machine you are on"):
        scan_host(fleet.project(), "box", at(servers.start(key)), replacing=False)


def test_a_cloned_image_is_refused(fleet: Fleet, servers: SshServers) -> None:
    port = servers.start(fleet.private / "web1")
    for name, replacing in (("box", False), ("web2", False), ("web2", True)):
        with pytest.raises(RefusedInput) as caught:
            scan_host(fleet.project(), name, at(port), replacing=replacing)
        assert caught.value.code is Code.EXISTS and "the key of web1" in caught.value.message
        assert "ssh-keygen -A" in caught.value.hints[0]


def test_add_of_a_registered_host_that_answers_with_another_key(fleet: Fleet, servers: SshServers) -> None:
    with pytest.raises(HostKeyChanged) as caught:
        scan_host(fleet.project(), "web1", at(servers.start(ed25519_key())), replacing=False)
    assert caught.value.exit_code == 8
    assert parse_public_key(fleet.public["web1"]).fingerprint in caught.value.message
    assert "host reprovision web1 --scan" in caught.value.hints[0]


def test_reprovision_of_a_stranger_is_not_found(fleet: Fleet, servers: SshServers) -> None:
    with pytest.raises(NotFound):
        scan_host(fleet.project(), "web9", at(servers.start(ed25519_key())), replacing=True)


def test_reprovision_replaces_the_key_and_keeps_the_new_address(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    port = servers.start(key)
    run = session(fleet, True)
    given = HostReprovisionParameters(name="web1", at=at(port), scan=True, rekey=False)
    command.reprovision(run.session, given)
    host = fleet.project().registry.hosts["web1"]
    assert [mine.fingerprint for mine in host.keys] == [print_of(key)] and host.address == at(port)
    assert [old.key.line for old in host.retired] == [fleet.public["web1"]]
    assert len(run.person.asked) == 1 and print_of(key) in run.person.asked[0]


def test_reprovision_says_when_the_key_did_not_change(fleet: Fleet, servers: SshServers) -> None:
    port = servers.start(fleet.private / "web1")
    run = session(fleet)
    given = HostReprovisionParameters(name="web1", at=at(port), scan=True, rekey=False)
    command.reprovision(run.session, given)
    assert "it did not change" in run.err and not fleet.project().registry.hosts["web1"].retired


def test_known_hosts_speaks_for_a_key(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    port = servers.start(key)
    servers.known_hosts.write_text(f"# mine\n[127.0.0.1]:{port} {key.public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", servers.known_hosts], check=True, capture_output=True)
    found = scan_host(fleet.project(), "box", at(port), replacing=False)
    assert not found.stale
    assert any(f"known to ssh as the same key ({servers.known_hosts}:2)" in note for note in found.notes)


def test_known_hosts_speaks_against_a_key(fleet: Fleet, servers: SshServers) -> None:
    old = ed25519_key()
    port = servers.start(ed25519_key())
    servers.known_hosts.write_text(f"\n[127.0.0.1]:{port} {old.public}\n")
    done = fleet.run("host", "add", "box", "--scan", at(port), code=8)
    assert f"{servers.known_hosts}:2".encode() in done.stderr and print_of(old).encode() in done.stderr
    assert b"--fix-known-hosts" in done.stderr
    # Another port of the same host is another host to ssh.
    servers.known_hosts.write_text(f"127.0.0.1 {old.public}\n[127.0.0.1]:1 {old.public}\n")
    assert not scan_host(fleet.project(), "box", at(port), replacing=False).stale


def test_a_revoked_key_is_never_taken(fleet: Fleet, servers: SshServers) -> None:
    key = ed25519_key()
    port = servers.start(key)
    servers.known_hosts.write_text(f"@revoked * {key.public}\n")
    with pytest.raises(HostKeyChanged, match="revokes"):
        scan_host(fleet.project(), "box", at(port), replacing=False, fingerprint=print_of(key))


def test_known_hosts_is_mended_on_request_alone(fleet: Fleet, servers: SshServers) -> None:
    key, other = ed25519_key(), ed25519_key()
    port = servers.start(key)
    before = (
        f"# mine\n[127.0.0.1]:{port} {fleet.public['web1']}\nelsewhere {other.public}\n"
        f"[127.0.0.1]:{port} {rsa_key().public}\n"
    )
    servers.known_hosts.write_text(before)
    servers.known_hosts.chmod(0o640)
    words = (
        "host",
        "reprovision",
        "web1",
        "--scan",
        at(port),
        "--yes",
        "--no-rekey",
        "--fingerprint",
        print_of(key),
    )
    assert b"--fix-known-hosts" in fleet.run(*words).stderr
    assert servers.known_hosts.read_text() == before
    fleet.run(*words, "--fix-known-hosts")
    assert servers.known_hosts.read_text() == (
        f"# mine\nelsewhere {other.public}\n[127.0.0.1]:{port} {' '.join(key.public.split()[:2])}\n"
    )
    assert stat.S_IMODE(servers.known_hosts.stat().st_mode) == 0o640
    # ssh itself is content: it gets as far as asking who we are.
    ssh = subprocess.run(
        [
            servers.bin / "ssh",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-p",
            str(port),
            "127.0.0.1",
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert b"Permission denied" in ssh.stderr


def test_a_known_hosts_is_made_hashed_if_ssh_would(fleet: Fleet, servers: SshServers, tmp_path: Path) -> None:
    key = ed25519_key()
    port = servers.start(key)
    place = tmp_path / "new folder/known_hosts"
    servers.configure(f'Host *\n  UserKnownHostsFile "{place}"\n  HashKnownHosts yes\n')
    found = scan_host(fleet.project(), "box", at(port), replacing=False)
    fix_known_hosts(found, replacing=False)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600 and "127.0.0.1" not in place.read_text()
    shown = subprocess.run(
        ["ssh-keygen", "-F", f"[127.0.0.1]:{port}", "-f", place], capture_output=True, check=True
    )
    assert key.public.split()[1].encode() in shown.stdout
    assert "already" in fix_known_hosts(found, replacing=False)[0]


def test_a_linked_known_hosts_stays_a_link(fleet: Fleet, servers: SshServers, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("")
    servers.known_hosts.symlink_to(real)
    found = scan_host(fleet.project(), "box", at(servers.start(ed25519_key())), replacing=False)
    fix_known_hosts(found, replacing=False)
    assert servers.known_hosts.is_symlink() and found.key.text in real.read_text()


def test_ways_to_give_a_key_exclude_each_other(fleet: Fleet) -> None:
    for words in (
        ("box", "somewhere"),
        ("box", "--fingerprint", "SHA256:x", "--key", fleet.public["bob"]),
        ("box", "--scan", "--key", fleet.public["bob"]),
        ("box", "--scan", "--pending"),
        ("box", "one", "--scan", "--address", "other"),
    ):
        assert fleet.run("host", "add", *words, code=2).stderr.startswith(b"secretsmith: error: ")
