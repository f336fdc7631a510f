"""What a failed show says is broken, and the command: the same links as `explain` shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from repositories import Fleet

from secretsmith.policy import edit
from secretsmith.policy.principals import HostStatus, RetireReason

DOCUMENT = "secrets/web/app.yaml"
NODE = os.uname().nodename.partition(".")[0]


def said(fleet: Fleet, secret: str, key: Path, *, code: int = 5) -> list[str]:
    done = fleet.run("show", secret, code=code, HOME="/nonexistent", SECRETSMITH_IDENTITY=str(key))
    return done.stderr.decode().splitlines()


@pytest.fixture
def grouped(fleet: Fleet, peer: Callable[[str], str]) -> Fleet:
    """alice, web1 and bob are a group each, and two are needed."""
    peer("sops")
    fleet.change_registry(
        lambda text: (
            text.replace('path = "secrets/web/**"', 'path = "secrets/one/**"')
            + f'[[rules]]\npath = "{DOCUMENT}"\nreaders = ["alice", "web1", "bob"]\n'
            + 'key_groups = [["alice"], ["web1"], ["bob"]]\nshamir_threshold = 2\n'
        )
    )
    fleet.run("set", DOCUMENT, "smtp", "--accept", "all", stdin=b"of the mail server")
    return fleet


def test_who_is_in_too_few_groups_is_not_told_to_ask_herself(grouped: Fleet) -> None:
    lines = said(grouped, "web/app.yaml", grouped.home / ".ssh/id_ed25519")
    text = "\n".join(lines)
    assert "2 of 3 key groups are needed, 1 could be opened" in text
    assert lines[-1] == (
        "secretsmith: hint: open it together with 1 of its other groups (web1; bob):"
        f" SECRETSMITH_IDENTITY=KEYFILE:KEYFILE secretsmith show {DOCUMENT}"
    )
    assert "rekey" not in text
    assert "ask" not in text


def test_the_hint_for_too_few_groups_works(grouped: Fleet) -> None:
    both = f"{grouped.home / '.ssh/id_ed25519'}:{grouped.private / 'bob'}"
    done = grouped.run("show", DOCUMENT, "smtp", HOME="/nonexistent", SECRETSMITH_IDENTITY=both)
    assert done.stdout.strip() == b"of the mail server"


def test_a_stranger_needs_more_than_one_group_to_ask(grouped: Fleet) -> None:
    last = said(grouped, "web/app.yaml", grouped.private / "web2")[-1]
    assert "with 2 of its 3 key groups (alice, bob) at hand, run: secretsmith grant" in last


def test_a_retired_key_reads_nothing_and_no_rekey_is_advised(fleet: Fleet) -> None:
    fleet.set("web/db", b"value")
    fleet.change_registry(
        lambda text: edit.retire_host(
            text, "web2", status=HostStatus.RETIRED, until="2026-03-04", reason=RetireReason.REPLACED
        )
    )
    lines = said(fleet, "web/db", fleet.private / "web2")
    assert any("is a retired key of web2, which reads nothing" in line for line in lines)
    assert not any("the rules let you read it" in line for line in lines)


@pytest.mark.parametrize("command", [("show", "web/db"), ("edit", "web/db")])
def test_on_a_reinstalled_host(fleet: Fleet, tmp_path: Path, command: tuple[str, ...]) -> None:
    old, new = keys.ed25519_key(), keys.ed25519_key()
    fleet.change_registry(lambda text: edit.add_host(text, NODE, [old.public]))
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], [NODE]))
    fleet.set("web/db", b"value", "--accept", "all")
    new.write(tmp_path, "ssh_host_ed25519_key")
    written = (tmp_path / "ssh_host_ed25519_key").stat().st_mtime
    os.utime(tmp_path / "ssh_host_ed25519_key", (written - 250, written - 250))
    done = fleet.run(
        *command,
        code=5,
        HOME="/nonexistent",
        SECRETSMITH_IDENTITY=str(tmp_path / "ssh_host_ed25519_key"),
        EDITOR="true",
    )
    text = done.stderr.decode()
    assert "this host's key is 4 minutes old: SHA256:" in text
    assert "the host key changed: the machine was probably reinstalled" in text
    line = " ".join(new.public.split()[:2])
    assert text.endswith(f'on your workstation: secretsmith host reprovision {NODE} --key "{line}"\n')


def test_the_key_of_another_host_is_a_clone(fleet: Fleet, tmp_path: Path) -> None:
    fleet.change_registry(lambda text: edit.add_host(text, NODE, [keys.ed25519_key().public]))
    fleet.set("web/db", b"value", "--accept", "all")
    (tmp_path / "ssh_host_ed25519_key").write_bytes((fleet.private / "web2").read_bytes())
    (tmp_path / "ssh_host_ed25519_key").chmod(0o600)
    text = "\n".join(said(fleet, "web/db", tmp_path / "ssh_host_ed25519_key"))
    assert "it is the key of web2: two computers with one key are one reader" in text
    assert "ssh-keygen -A" in text
