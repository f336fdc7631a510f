"""Hosts: added, listed, reinstalled, retired; each with what it leaves in registry, lock and files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from keys import ecdsa_key, ed25519_key, rsa_key
from repositories import Fleet
from sessions import Recorded

from secretsmith.cli.arguments.principals import (
    HostAddParameters,
    HostReprovisionParameters,
    HostRetireParameters,
)
from secretsmith.cli.commands import host as command
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, ExitCode, Interrupted, NotFound, RefusedInput
from secretsmith.operations.hosts import add_host, host_key, host_rows, reprovision_host, retire_host
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.policy.principals import HostStatus, RetireReason

SECRET = "secrets/web/db.age"


def session(fleet: Fleet, *answers: str | bool, stdin: bytes = b"") -> Recorded:
    return Recorded(fleet.root, fleet.environ, answers=list(answers) or None, stdin=stdin)


def test_a_host_is_added_and_its_key_accepted(fleet: Fleet) -> None:
    key = host_key(ed25519_key("root@db").public, "db")
    done = add_host(fleet.project(), "db", key, address="db.example.org")
    assert done.outcome == "added" and done.changed.written
    project = fleet.project()
    assert project.registry.hosts["db"].keys == (key,)
    assert project.accepted.contains(key.fingerprint)


@pytest.mark.parametrize("line", [rsa_key().public, ecdsa_key().public, "age1" + "q" * 58, "nonsense"])
def test_other_keys_are_refused_with_the_reason_and_nothing_changes(fleet: Fleet, line: str) -> None:
    before = fleet.files()
    done = fleet.run("host", "add", "web3", "--key", line, code=2)
    assert fleet.files() == before and done.stdout == b""
    assert b"web3" in done.stderr and b"hint:" in done.stderr


def test_rsa_says_why_only_ed25519(fleet: Fleet) -> None:
    assert b"only ed25519" in fleet.run("host", "add", "web3", "--key", rsa_key().public, code=2).stderr


def test_the_same_key_under_another_name_is_refused(fleet: Fleet) -> None:
    before = fleet.registry
    for name in ("web3", "web2"):
        with pytest.raises(RefusedInput) as caught:
            add_host(fleet.project(), name, parse_public_key(fleet.public["web1"]))
        assert caught.value.code is Code.EXISTS and "web1" in caught.value.message
    with pytest.raises(RefusedInput):
        add_host(fleet.project(), "web3", parse_public_key(fleet.public["bob"]))
    assert fleet.registry == before


def test_adding_again_what_is_there_changes_nothing(fleet: Fleet) -> None:
    before = fleet.registry
    done = add_host(fleet.project(), "web1", parse_public_key(fleet.public["web1"]))
    assert done.outcome == "known" and fleet.registry == before


def test_another_key_for_a_known_host_points_to_reprovision(fleet: Fleet) -> None:
    with pytest.raises(RefusedInput) as caught:
        add_host(fleet.project(), "web1", host_key(ed25519_key().public, "web1"))
    assert caught.value.code is Code.EXISTS and "host reprovision web1" in caught.value.hints[0]


@pytest.mark.parametrize(
    ("name", "code"), [("a/b", Code.NAME), ("-x", Code.NAME), ("alice", Code.NAME_CLASH)]
)
def test_names_are_checked(fleet: Fleet, name: str, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        add_host(fleet.project(), name, host_key(ed25519_key().public, "x"))
    assert caught.value.code is code


def test_a_pending_host_is_listed_with_nulls_and_activated_by_its_key(fleet: Fleet) -> None:
    fleet.run("host", "add", "db", "--pending", "--address", "db.example.org")
    row = json.loads(fleet.run("host", "list", "--json").stdout)[-1]
    assert row == {"name": "db", "fingerprint": None, "recipient": None, "ssh": None, "status": "pending"}
    key = ed25519_key("root@db")
    fleet.run("host", "add", "db", "--key-file", "-", stdin=key.public.encode() + b"\n")
    host = fleet.project().registry.hosts["db"]
    assert host.status is HostStatus.ACTIVE and host.address == "db.example.org"
    assert [mine.line for mine in host.keys] == [key.public]


def test_the_list_has_one_row_for_each_active_key(fleet: Fleet) -> None:
    two = fleet.registry.replace(
        f'keys = ["{fleet.public["web1"]}"]', f'keys = ["{fleet.public["web1"]}", "{ed25519_key().public}"]'
    )
    fleet.write_registry(two)
    rows = host_rows(fleet.project().registry)
    assert [row.name for row in rows] == ["web1", "web1", "web2"]
    first = parse_public_key(fleet.public["web1"])
    assert (rows[0].fingerprint, rows[0].recipient, rows[0].ssh) == (
        first.fingerprint,
        first.derived,
        first.text,
    )
    shown = fleet.run("host", "list").stdout.decode()
    assert first.fingerprint in shown and shown.startswith("NAME")


def test_neither_or_both_ways_to_give_a_key_are_refused(fleet: Fleet) -> None:
    for more in ((), ("--key", fleet.public["web1"], "--key-file", "x"), ("--key", "x", "--pending")):
        assert fleet.run("host", "add", "web3", *more, code=2).stderr.startswith(b"secretsmith: error: ")
    (fleet.root / "two").write_text(f"{ed25519_key().public}\n{ed25519_key().public}\n")
    assert b"holds 2 keys" in fleet.run("host", "add", "web3", "--key-file", "two", code=2).stderr


def test_this_computers_own_key_under_another_name_is_noted(fleet: Fleet, tmp_path: Path) -> None:
    own = ed25519_key("root@here")
    (tmp_path / "own.pub").write_text(own.public + "\n")
    key = host_key(own.public, "far")
    notes = add_host(fleet.project(), "far", key, own_key=tmp_path / "own.pub").notes
    assert len(notes) == 1 and os.uname().nodename in notes[0] and "far" in notes[0]
    other = host_key(ed25519_key().public, "other")
    assert add_host(fleet.project(), "other", other, own_key=tmp_path / "own.pub").notes == ()
    assert add_host(fleet.project(), "far", key, own_key=tmp_path / "missing.pub").notes == ()


def test_retiring_moves_the_key_and_owes_what_it_could_read(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    fleet.set("secrets/other.age", b"not for hosts", "--to", "alice")
    done = retire_host(fleet.project(), "web1")
    project = fleet.project()
    host = project.registry.hosts["web1"]
    assert host.status is HostStatus.RETIRED and not host.keys
    assert [old.key.line for old in host.retired] == [fleet.public["web1"]]
    assert host.retired[0].until == project.today
    assert [(d.path, d.key, d.principal, d.reason, d.since) for d in project.lock.debt] == [
        (SECRET, None, "web1", "retired", project.today)
    ]
    assert done.changed.owed == project.lock.debt
    assert b"hunter2" not in (fleet.root / "secretsmith.lock").read_bytes()
    # The stanza that is left counts as drift, not as injection, and the next rekey drops it.
    assert fleet.readers(SECRET) == ["alice", "web1"]
    plan = plan_rekey(project)
    assert [file.path for file in plan.files] == [SECRET] and not plan.files[0].unknown
    apply_rekey(project, plan)
    assert fleet.readers(SECRET) == ["alice"]


def test_compromise_is_owed_for_and_can_be_declared_later(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    retire_host(fleet.project(), "web1")
    done = retire_host(fleet.project(), "web1", compromised=True)
    project = fleet.project()
    assert done.status is HostStatus.COMPROMISED
    assert {record.reason for record in project.lock.debt} == {"retired", "compromised"}
    assert not retire_host(project, "web1", compromised=True).changed.written
    # A compromised host does not become merely retired again.
    assert retire_host(project, "web1").status is HostStatus.COMPROMISED


def test_a_key_that_was_given_up_does_not_come_back(fleet: Fleet) -> None:
    retire_host(fleet.project(), "web1")
    with pytest.raises(RefusedInput) as caught:
        add_host(fleet.project(), "web3", parse_public_key(fleet.public["web1"]))
    assert "retired key of web1" in caught.value.message
    with pytest.raises(RefusedInput):
        reprovision_host(fleet.project(), "web1", parse_public_key(fleet.public["web1"]))


def test_reprovisioning_puts_the_new_key_in_use(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    new = ed25519_key("root@web1")
    done = reprovision_host(fleet.project(), "web1", host_key(new.public, "web1"))
    project = fleet.project()
    host = project.registry.hosts["web1"]
    assert [key.line for key in host.keys] == [new.public] and done.old == (
        parse_public_key(fleet.public["web1"]),
    )
    assert [(str(old.reason), old.until) for old in host.retired] == [("reinstalled", project.today)]
    assert [(record.principal, record.reason) for record in project.lock.debt] == [("web1", "reinstalled")]
    apply_rekey(project, plan_rekey(project))
    new.write(fleet.private, "web1")
    assert fleet.readers(SECRET) == ["alice", "web1"]
    assert not reprovision_host(fleet.project(), "web1", host_key(new.public, "web1")).changed.written


def test_a_retired_host_comes_back_with_a_new_key(fleet: Fleet) -> None:
    retire_host(fleet.project(), "web1")
    reprovision_host(
        fleet.project(), "web1", host_key(ed25519_key().public, "web1"), reason=RetireReason.REPLACED
    )
    host = fleet.project().registry.hosts["web1"]
    assert host.status is HostStatus.ACTIVE and len(host.retired) == 1


def test_when_one_of_two_keys_stays_only_the_other_is_retired(fleet: Fleet) -> None:
    new = ed25519_key("new")
    fleet.write_registry(
        fleet.registry.replace(f'"{fleet.public["web1"]}"]', f'"{fleet.public["web1"]}", "{new.public}"]')
    )
    done = reprovision_host(fleet.project(), "web1", host_key(new.public, "web1"))
    host = fleet.project().registry.hosts["web1"]
    assert [key.line for key in host.keys] == [new.public]
    assert [old.key.line for old in host.retired] == [fleet.public["web1"]]
    assert len(done.old) == 1


def test_without_a_terminal_the_flag_is_named_and_nothing_changes(fleet: Fleet) -> None:
    before = fleet.files()
    for words in (("retire", "web1"), ("reprovision", "web1", "--key", ed25519_key().public)):
        assert b"--yes" in fleet.run("host", *words, code=2).stderr
    assert fleet.files() == before


def test_unknown_hosts_are_not_found_with_the_nearest_name(fleet: Fleet) -> None:
    for name in ("web3", "alice"):
        with pytest.raises(NotFound) as caught:
            retire_host(fleet.project(), name)
        assert caught.value.code is Code.NOT_FOUND
    assert b"did you mean" in fleet.run("host", "retire", "wbe1", "--yes", code=4).stderr


def test_a_no_on_the_terminal_changes_nothing(fleet: Fleet) -> None:
    before = fleet.files()
    asked = session(fleet, False)
    with pytest.raises(Interrupted):
        command.retire(asked.session, HostRetireParameters("web1"))
    assert fleet.files() == before and len(asked.person.asked) == 1


def test_on_a_terminal_keys_and_plan_are_shown_and_it_asks_once(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    new = ed25519_key("root@web1")
    asked = session(fleet, True)
    given = HostReprovisionParameters("web1", key=new.public)
    assert command.reprovision(asked.session, given) is ExitCode.OK
    old, fresh = (parse_public_key(line).fingerprint for line in (fleet.public["web1"], new.public))
    assert old in asked.person.asked[0] and fresh in asked.person.asked[0]
    assert "1 file to rekey" in asked.person.asked[0] and len(asked.person.asked) == 1
    assert f"{SECRET}: + web1, - {old}" in asked.err.splitlines()
    new.write(fleet.private, "web1")
    assert fleet.readers(SECRET) == ["alice", "web1"]
    assert asked.out == "" and f"dropped web1 ({old})" in asked.err


def test_rekey_and_no_rekey_decide_without_asking(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    said = fleet.run("host", "retire", "web1", "--compromised", "--yes", "--no-rekey").stderr.decode()
    assert "1 file drifts: secretsmith rekey" in said and SECRET in said
    assert fleet.readers(SECRET) == ["alice", "web1"]
    fleet.run("grant", "secrets/web/**", "--to", "web2", "--rekey")
    assert fleet.readers(SECRET) == ["alice", "web2"]


def test_a_rekey_that_is_refused_leaves_the_registry_as_well(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    stranger = ed25519_key("stranger")
    fleet.change_registry(lambda text: text + f'[hosts.web9]\nkeys = ["{stranger.public}"]\n')
    before = fleet.files()
    done = fleet.run("grant", "secrets/web/**", "--to", "web9", "--rekey", code=2)
    assert b"--accept SHA256:" in done.stderr and b"nothing was changed" in done.stderr
    assert fleet.files() == before
    add = session(fleet)
    command.add(add.session, HostAddParameters("web9", key=stranger.public, rekey=True))
    assert fleet.project().accepted.contains(parse_public_key(stranger.public).fingerprint)
    assert "web9" in add.err
