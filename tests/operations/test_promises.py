"""Promises that hold for every command that writes: who gains access, what stays in sight, what a half-done run leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from repositories import Fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, Conflict, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.hosts import host_key, reprovision_host
from secretsmith.operations.remove import remove_secrets
from secretsmith.policy import edit
from secretsmith.policy.lock import Lock, LockEntry, dump_lock
from secretsmith.policy.principals import RetireReason
from secretsmith.project import writing
from secretsmith.store.git import tracked

DB = "secrets/web/db.age"


@pytest.fixture
def in_git(fleet: Fleet, peer: Callable[[str], str]) -> Fleet:
    subprocess.run([peer("git"), "init", "-q", str(fleet.root)], check=True)
    fleet.accept_all()
    return fleet


class TestAccess:
    def test_a_lock_that_names_a_stranger_does_not_let_him_in(self, fleet: Fleet) -> None:
        """Who can push can write the lock too: by it the stranger reads already, and nothing seems to be added."""
        alice, web1 = (parse_public_key(fleet.public[name]) for name in ("alice", "web1"))
        mallory = parse_public_key(keys.ed25519_key("mallory").public)
        data = fleet.encrypt(DB, alice.derived, web1.derived).read_bytes()
        entry = LockEntry(hashlib.sha256(data).hexdigest(), (alice.fingerprint, mallory.fingerprint), "wrote")
        (fleet.root / "secretsmith.lock").write_text(dump_lock(Lock({DB: entry})))
        fleet.change_registry(lambda text: edit.add_user(text, "mallory", [mallory.line]))
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["mallory", "web2"]))
        before = fleet.files()
        assert b"mallory" in fleet.run("rekey", code=2).stderr
        assert fleet.files() == before

    def test_readers_stay_in_sight_when_the_only_rule_of_a_file_goes(self, fleet: Fleet) -> None:
        """The file came from elsewhere, so only the rule made it ours."""
        path = "secrets/x.age"
        fleet.encrypt(path, fleet.public["alice"], fleet.public["web1"])
        fleet.run("grant", path, "--to", "web1")
        fleet.run("revoke", path, "--from", "web1", "--no-rekey")
        assert Code.DRIFT in {found.code for found in check(fleet.project())}
        fleet.run("rekey")
        assert fleet.readers(path) == ["alice"]

    def test_readers_stay_in_sight_when_a_file_moves_away_from_its_rules(self, fleet: Fleet) -> None:
        fleet.encrypt(DB, fleet.public["alice"], fleet.public["web1"])
        said = fleet.run("mv", DB, "secrets/y.age").stderr
        assert b"secretsmith rekey secrets/y.age" in said
        fleet.run("rekey", "secrets/y.age")
        assert fleet.readers("secrets/y.age") == ["alice"]

    def test_what_an_unproven_file_holds_is_not_claimed(self, fleet: Fleet) -> None:
        stranger = keys.ed25519_key().public
        fleet.encrypt(DB, fleet.public["alice"], stranger)
        fleet.run("mv", DB, "secrets/y.age")
        assert fleet.project().lock.files["secrets/y.age"].recipients == ()
        assert Code.RECIPIENT_EXTRA in {found.code for found in check(fleet.project())}


class TestForms:
    def test_a_file_of_age_keys_alone_has_no_form_to_keep(
        self, fleet: Fleet, peer: Callable[[str], str]
    ) -> None:
        """The host has to open it with the real age and its own key."""
        made = subprocess.run([peer("age-keygen")], capture_output=True, text=True, check=True).stdout
        public = next(line.split()[-1] for line in made.splitlines() if "public key" in line)
        (fleet.home / "key").write_text(made)
        fleet.change_registry(lambda text: text.replace(fleet.public["alice"], public))
        fleet.accept_all()
        key = str(fleet.home / "key")
        fleet.run("set", "mail", stdin=b"v", SECRETSMITH_IDENTITY=key)
        fleet.run("grant", "secrets/mail.age", "--to", "web1", "--rekey", SECRETSMITH_IDENTITY=key)
        assert fleet.opens("web1", "secrets/mail.age") == b"v"

    def test_a_key_registered_in_both_forms_has_one_derived_stanza(self, fleet: Fleet) -> None:
        alice, web1 = (parse_public_key(fleet.public[name]) for name in ("alice", "web1"))
        both = f'"{fleet.public["alice"]}", "{alice.derived}"'
        fleet.change_registry(lambda text: text.replace(f'"{fleet.public["alice"]}"', both))
        fleet.accept_all()
        fleet.encrypt(DB, alice.derived, web1.derived)
        fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))
        fleet.encrypt(DB, alice.derived, web1.derived, parse_public_key(fleet.public["web2"]).derived)
        assert not json.loads(fleet.run("rekey", "--plan", "--json").stdout)["files"]
        fleet.set("web/db", b"v")
        assert Code.RECIPIENT_EXTRA not in {found.code for found in check(fleet.project(), deep=True)}
        assert fleet.run("show", "web/db").stdout == b"v"


def test_only_secrets_are_removed(fleet: Fleet) -> None:
    fleet.set("web/db", b"v")
    (fleet.root / "README.md").write_text("hello")
    for name in ("secretsmith.toml", "secretsmith.lock", "README.md"):
        with pytest.raises(RefusedInput):
            remove_secrets(fleet.project(), [DB, name], force=True)
        assert (fleet.root / name).exists() and (fleet.root / DB).exists()


def test_a_lock_that_another_program_changed_meanwhile_is_not_overwritten(fleet: Fleet) -> None:
    """A merge, for instance: git does not take our lock."""
    fleet.set("web/db", b"v")
    path = fleet.root / "secretsmith.lock"
    with writing(fleet.project()) as session:
        merged = dump_lock(session.lock.with_file("secrets/theirs.age", LockEntry("1" * 64)))
        path.write_text(merged)
        session.lock = session.lock.with_file("secrets/ours.age", LockEntry("2" * 64))
        with pytest.raises(Conflict) as caught:
            session.commit()
    assert caught.value.code is Code.CHANGED
    assert path.read_text() == merged


def test_a_new_value_pays_for_a_compromised_key_although_the_host_reads_on(fleet: Fleet) -> None:
    fleet.set("web/db", b"old")
    new = host_key(keys.ed25519_key("root@web1").public, "web1")
    reprovision_host(fleet.project(), "web1", new, reason=RetireReason.COMPROMISED)
    assert [debt.reason for debt in fleet.project().lock.debt] == ["compromised"]
    fleet.set("web/db", b"new")
    assert fleet.project().lock.debt == ()


class TestGit:
    def test_a_busy_index_is_a_note_and_the_next_write_makes_up_for_it(self, in_git: Fleet) -> None:
        busy = in_git.root / ".git/index.lock"
        busy.touch()
        assert b"the next write tries again" in in_git.set("web/db", b"v").stderr
        busy.unlink()
        in_git.set("web/db", b"w")
        assert {DB, "secretsmith.lock"} <= tracked(in_git.root)
        assert not (in_git.root / ".git/secretsmith/unregistered.json").exists()

    def test_a_busy_index_does_not_make_edit_keep_a_second_copy(self, in_git: Fleet, tmp_path: Path) -> None:
        (in_git.root / ".git/index.lock").touch()
        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nprintf new > "$1"\n')
        editor.chmod(0o755)
        in_git.run("edit", "web/db", EDITOR=str(editor))
        assert not list(in_git.root.rglob("*.rej*"))

    def test_an_ignored_secret_is_told_of(self, in_git: Fleet) -> None:
        (in_git.root / ".gitignore").write_text("*.age\n")
        assert b"git ignores secrets/web/db.age" in in_git.set("web/db", b"v").stderr

    @pytest.mark.parametrize("record", ["{", "[1]", '["../../x", "/etc/x"]', "{}"])
    def test_a_damaged_record_is_passed_over(self, in_git: Fleet, record: str) -> None:
        in_git.set("web/db", b"v")
        (in_git.root / ".git/secretsmith/unregistered.json").write_text(record)
        in_git.set("web/other", b"v")
        assert "secrets/web/other.age" in tracked(in_git.root)
