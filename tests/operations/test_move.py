from __future__ import annotations

import sys

import keys
import pytest
from repositories import Fleet
from terminals import OnTerminal

from secretsmith.policy import edit
from secretsmith.policy.lock import Debt, Link, dump_lock, parse_lock

VALUE = b"canary-of-mv"


@pytest.fixture
def two_rules(fleet: Fleet) -> Fleet:
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/db/**"], ["web2"]))
    fleet.set("web/one", VALUE)
    return fleet


def test_under_the_same_rule_the_bytes_move(two_rules: Fleet) -> None:
    before = (two_rules.root / "secrets/web/one.age").read_bytes()
    entry = parse_lock((two_rules.root / "secretsmith.lock").read_text()).files["secrets/web/one.age"]
    said = two_rules.run("mv", "web/one", "web/two", HOME="/nonexistent").stderr
    assert said == b"moved secrets/web/one.age to secrets/web/two.age\n"
    assert (two_rules.root / "secrets/web/two.age").read_bytes() == before
    lock = parse_lock((two_rules.root / "secretsmith.lock").read_text())
    assert lock.files == {"secrets/web/two.age": entry}
    assert not (two_rules.root / "secrets/web/one.age").exists()


def test_debt_and_link_move_along(two_rules: Fleet) -> None:
    path = two_rules.root / "secretsmith.lock"
    lock = parse_lock(path.read_text())
    lock = lock.with_debt([Debt("secrets/web/one.age", None, "web2", "revoked", "2026-01-02")])
    path.write_text(dump_lock(lock.with_link("secrets/web/one.age", Link("pass:one", "", "alice"))))
    two_rules.run("mv", "web/one", "web/two")
    after = parse_lock(path.read_text())
    assert [debt.path for debt in after.debt] == ["secrets/web/two.age"]
    assert list(after.links) == ["secrets/web/two.age"]


@pytest.mark.parametrize("option", [(), ("--no-rekey",)])
def test_under_another_rule_it_drifts_and_says_so(two_rules: Fleet, option: tuple[str, ...]) -> None:
    said = two_rules.run("mv", "web/one", "db/", *option).stderr.decode()
    assert (
        "1 file drifts (by its rules: added web2; dropped web1): secretsmith rekey secrets/db/one.age" in said
    )
    assert two_rules.readers("secrets/db/one.age") == ["alice", "web1"]
    two_rules.run("rekey", "secrets/db/one.age")
    assert two_rules.readers("secrets/db/one.age") == ["alice", "web2"]


def test_rekey_in_the_same_step(two_rules: Fleet) -> None:
    assert (
        b"rekeyed secrets/db/one.age: added web2; dropped web1"
        in two_rules.run("mv", "web/one", "db/", "--rekey").stderr
    )
    assert two_rules.readers("secrets/db/one.age") == ["alice", "web2"]
    assert not (two_rules.root / "secrets/web/one.age").exists()
    lock = parse_lock((two_rules.root / "secretsmith.lock").read_text())
    assert list(lock.files) == ["secrets/db/one.age"]
    assert lock.files["secrets/db/one.age"].basis == "wrote"
    assert two_rules.run("show", "db/one").stdout == VALUE
    assert b'"drift": false' in two_rules.run("ls", "--json").stdout


def test_rekey_keeps_armor(two_rules: Fleet) -> None:
    fleet_readers = (two_rules.public["alice"], two_rules.public["web1"])
    two_rules.encrypt("secrets/web/binary.age", *fleet_readers, value=VALUE)
    two_rules.run("mv", "web/binary", "db/", "--rekey")
    assert (two_rules.root / "secrets/db/binary.age").read_bytes().startswith(b"age-encryption.org/v1\n")


def test_rekey_that_cannot_open_moves_nothing(two_rules: Fleet) -> None:
    before = two_rules.files()
    two_rules.run("mv", "web/one", "db/", "--rekey", code=5, HOME="/nonexistent")
    assert two_rules.files() == before


def test_rekey_stops_at_a_recipient_that_nobody_named(two_rules: Fleet) -> None:
    two_rules.encrypt(
        "secrets/web/one.age",
        *[two_rules.public["alice"], two_rules.public["web1"], keys.ed25519_key().public],
    )
    before = two_rules.files()
    two_rules.run("mv", "web/one", "db/", "--rekey", code=6)
    assert two_rules.files() == before


def test_existing_target_is_not_overwritten(two_rules: Fleet) -> None:
    two_rules.set("db/one", b"other")
    before = two_rules.files()
    assert b"exists already" in two_rules.run("mv", "web/one", "db/", code=2).stderr
    assert two_rules.files() == before


@pytest.mark.parametrize(("answer", "readers"), [(b"y\n", ["alice", "web2"]), (b"n\n", ["alice", "web1"])])
def test_on_a_terminal_the_rekey_is_offered(two_rules: Fleet, answer: bytes, readers: list[str]) -> None:
    argv = [sys.executable, "-m", "secretsmith", "mv", "web/one", "db/"]
    with OnTerminal(argv, cwd=two_rules.root, environ=two_rules.environ) as terminal:
        terminal.expect(b"rekey it now? [y/N] ")
        terminal.press(answer)
        assert terminal.end() == 0, terminal.shown
    assert two_rules.readers("secrets/db/one.age") == readers


def test_rule_of_the_old_path_is_pointed_at(two_rules: Fleet) -> None:
    two_rules.set("mail", VALUE, "--to", "bob")
    said = two_rules.run("mv", "mail", "post").stderr.decode()
    assert "secretsmith revoke secrets/mail.age --from bob" in said
    assert "no rule names secrets/post.age: secretsmith grant secrets/post.age --to WHO" in said
