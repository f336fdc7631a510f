"""What `check` says of the registry, the lock as a whole and git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.findings import Finding
from secretsmith.operations.check import check, folder_in_git
from secretsmith.policy.lock import Debt, DebtReason, dump_lock, parse_lock

DB = "secrets/web/db.age"
TOML = "secretsmith.toml"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    return made


def found(fleet: Fleet, code: Code) -> list[Finding]:
    return [item for item in check(fleet.project()) if item.code is code]


def add_user(fleet: Fleet, name: str, *lines: str, status: str = "active") -> None:
    listed = ", ".join(f'"{line}"' for line in lines)
    fleet.extra += f'[users.{name}]\nkeys = [{listed}]\nstatus = "{status}"\n'
    fleet.write()


def test_two_names_with_one_key_are_placed(fleet: Fleet) -> None:
    fleet.hosts["clone"] = fleet.hosts["web1"]
    fleet.write()
    (item,) = found(fleet, Code.REG_DUP)
    assert item.severity == "warning"
    assert item.message.startswith("clone and web1 have the same key SHA256:")
    text = (fleet.root / TOML).read_text().splitlines()
    assert item.path == TOML
    assert fleet.hosts["web1"].public in text[item.line - 1]


def test_one_key_in_two_forms_under_two_names(fleet: Fleet) -> None:
    """Taking it from bob would not take it from web1: what opens the one opens the other."""
    add_user(fleet, "bob", fleet.key("web1").derived)
    (item,) = found(fleet, Code.REG_DUP)
    assert item.severity == "warning"
    assert "bob and web1 have the same key, in two forms" in item.message
    assert fleet.key("web1").fingerprint in item.message


def test_one_key_twice_under_one_name(fleet: Fleet) -> None:
    key = keys.ed25519_key()
    add_user(fleet, "bob", key.public, parse_public_key(key.public).derived)
    (item,) = found(fleet, Code.REG_DUP)
    assert item.severity == "info"


def test_a_key_that_is_given_up_in_one_form_only(fleet: Fleet) -> None:
    key = keys.ed25519_key()
    fleet.extra = (
        f'[users.bob]\nkeys = ["{parse_public_key(key.public).derived}"]\n'
        f'[[users.bob.retired]]\nkey = "{key.public}"\nreason = "compromised"\n'
    )
    fleet.write()
    (item,) = found(fleet, Code.REG_DUP)
    assert item.severity == "warning"
    assert "compromised in one form and in use in the other" in item.message


def test_other_age_keys_are_no_duplicates(fleet: Fleet) -> None:
    add_user(fleet, "bob", parse_public_key(keys.ed25519_key().public).derived)
    assert found(fleet, Code.REG_DUP) == []


def test_a_rule_that_names_no_file(fleet: Fleet) -> None:
    fleet.rules["secrets/mail/**"] = ("web1", "alice")
    fleet.write()
    (item,) = found(fleet, Code.UNUSED_RULE)
    assert (item.severity, item.path) == ("info", TOML)
    assert "secrets/mail/**" in item.message
    assert "[[rules]]" in (fleet.root / TOML).read_text().splitlines()[item.line - 1]
    assert item.hint == "secretsmith revoke 'secrets/mail/**' --from web1,alice"
    fleet.put("secrets/mail/smtp.age", b"x")
    assert found(fleet, Code.UNUSED_RULE) == []


def test_weak_rsa_is_refused_with_its_place(fleet: Fleet) -> None:
    fleet.extra = f'[users.bob]\nkeys = ["{keys.rsa_key(1024).public}"]\n'
    fleet.write()
    with pytest.raises(RefusedInput) as caught:
        fleet.project()
    assert caught.value.code is Code.KEY_WEAK
    assert caught.value.message.startswith(f"{TOML}:")
    assert "1024" in caught.value.message


def owe(fleet: Fleet, *records: tuple[str, DebtReason]) -> None:
    path = fleet.root / "secretsmith.lock"
    debts = [Debt(DB, None, name, reason, "2026-03-04") for name, reason in records]
    path.write_text(dump_lock(parse_lock(path.read_text()).with_debt(debts)))


def test_what_is_owed(fleet: Fleet) -> None:
    owe(fleet, ("bob", "removed"), ("web7", "retired"))
    (item,) = found(fleet, Code.DEBT)
    assert (item.severity, item.path) == ("info", DB)
    assert "bob (removed, 2026-03-04), web7 (retired, 2026-03-04)" in item.message
    assert f"secretsmith edit {DB}" in item.hint


def test_what_is_in_wrong_hands_wants_attention(fleet: Fleet) -> None:
    owe(fleet, ("bob", "removed"), ("web7", "compromised"))
    assert found(fleet, Code.DEBT)[0].severity == "warning"


def test_a_reinstalled_hosts_old_disk_does_not_count(fleet: Fleet) -> None:
    owe(fleet, ("web1", "reinstalled"))
    assert found(fleet, Code.DEBT) == []


class TestGit:
    @pytest.fixture(autouse=True)
    def _repository(self, fleet: Fleet, peer: Callable[[str], str]) -> None:
        subprocess.run([peer("git"), "init", "-q", str(fleet.root)], check=True)

    def test_registry_and_lock_count_too(self, fleet: Fleet) -> None:
        assert {item.path for item in found(fleet, Code.UNTRACKED)} == {TOML, "secretsmith.lock", DB}
        subprocess.run(["git", "-C", str(fleet.root), "add", "-N", "."], check=True)
        assert found(fleet, Code.UNTRACKED) == []

    def test_ignored(self, fleet: Fleet) -> None:
        (fleet.root / ".gitignore").write_text("*.lock\nsecrets/\n")
        assert {item.path for item in found(fleet, Code.IGNORED)} == {"secretsmith.lock", DB}

    def test_a_git_that_refuses_is_said_and_hides_nothing_else(self, fleet: Fleet) -> None:
        (fleet.root / ".git/index").write_bytes(b"damaged")
        (fleet.root / "secrets/web/oops.age").write_text("hunter2\n")
        codes = {item.code: item for item in check(fleet.project())}
        assert "what git knows was not looked at" in codes[Code.ERROR].message
        assert Code.PLAINTEXT in codes

    def test_the_folder_below_the_top(self, fleet: Fleet) -> None:
        assert folder_in_git(fleet.project()) == ""
        inner = fleet.root / "a" / "b"
        inner.mkdir(parents=True)
        os.rename(fleet.root / TOML, inner / TOML)
        fleet.root = inner
        assert folder_in_git(fleet.project()) == "a/b"


def test_the_folder_outside_of_git(fleet: Fleet) -> None:
    assert folder_in_git(fleet.project()) == ""
