"""Storing logins: refused unless the person allowed it, and then a secret like any other."""

from __future__ import annotations

import json
import shutil

import pytest
from logins import TOKEN, UPLOADS, Logins

EVIL = "https://evil.example.org"


def stored(fleet: Logins) -> list[str]:
    return [path for path in fleet.files() if path.startswith("secrets/keyring/")]


def test_read_only_by_default(approved: Logins) -> None:
    before = approved.files()
    done = approved.keyring("set", "a", "b", given="canary-pw\n")
    assert done.returncode == 1
    assert (
        "this repository is not for storing logins; to have it so: secretsmith keyring approve --store"
        in done.stderr
    )
    assert "canary-pw" not in done.stderr
    assert approved.keyring("del", "a", "b").returncode == 1
    assert approved.files() == before


def test_the_repository_cannot_allow_it(approved: Logins) -> None:
    for line in ("store = true", "write = true"):
        approved.write_registry(approved.registry.replace("[[keyring]]", f"[[keyring]]\n{line}"))
        assert approved.keyring("set", "a", "b", given="x\n").returncode == 1
    assert not stored(approved)


def test_stored_login_is_a_secret_for_those_whom_the_rules_name(fleet: Logins) -> None:
    fleet.run("grant", "secrets/keyring/**", "--to", "bob")
    fleet.run("keyring", "approve", "--store")
    assert fleet.keyring("set", "a", "b", given="canary-pw\n").returncode == 0
    (path,) = stored(fleet)
    assert fleet.readers(path) == ["alice", "bob"]
    assert json.loads(fleet.opens("bob", path) or b"")["password"] == "canary-pw"
    assert fleet.get("a", "b") == "canary-pw"
    assert fleet.get("a", "c") is None
    assert fleet.keyring("--mode=creds", "get", "a").stdout == "b\ncanary-pw\n"
    assert b"canary-pw" not in b"".join(fleet.files().values())
    fleet.run("keyring", "approve", "--no-store")
    assert fleet.get("a", "b") is None, "who stores no logins gets none that others stored"


def test_mapped_secret_is_not_written_by_programs(approved: Logins) -> None:
    approved.run("keyring", "approve", "--store")
    before = approved.files()
    for words in (("set", UPLOADS, "__token__"), ("del", UPLOADS, "__token__")):
        done = approved.keyring(*words, given="new\n")
        assert done.returncode == 1
        assert "the registry maps" in done.stderr
    assert approved.files() == before
    assert approved.get(UPLOADS, "__token__") == TOKEN


def test_secret_copied_to_where_a_login_is_looked_for_is_refused(fleet: Logins) -> None:
    # Who may push cannot read secrets/token.age, but can copy it, and name an index of theirs for pip.
    fleet.run("keyring", "approve", "--store")
    fleet.keyring("set", EVIL, "x", given="y\n")
    fleet.keyring("set", "https://good.example.org", "x", given="canary-pw\n")
    evil, good = sorted(stored(fleet), key=lambda path: b"evil" not in (fleet.opens("alice", path) or b""))
    for source in ("secrets/token.age", good):
        shutil.copy(fleet.root / source, fleet.root / evil)
        for words in (("get", EVIL, "x"), ("--mode=creds", "get", EVIL)):
            done = fleet.keyring(*words)
            assert (done.returncode, done.stdout) == (1, "")
            assert "is not the login of" in done.stderr


def test_both_ways_at_once_are_refused(fleet: Logins) -> None:
    fleet.run("keyring", "approve", "--store", "--no-store", code=2)
    fleet.run("keyring", "approve", "--all", UPLOADS, code=2)
    fleet.run("keyring", "approve", "no such service", code=4)
    assert fleet.get(UPLOADS, "__token__") is None


@pytest.mark.parametrize("how", ["--all", UPLOADS])
def test_approval_says_what_it_is_of(fleet: Logins, how: str) -> None:
    done = fleet.run("keyring", "approve", how)
    assert done.stderr.decode() == (
        f"approved: programs that ask for {UPLOADS} (user __token__) have secrets/token.age\n"
    )


def test_password_that_is_no_text_lets_a_chain_go_on(
    approved: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong is an error that keyring knows, and it never carries the password."""
    from secretsmith_keyring import Keyring, NotStored

    monkeypatch.chdir(approved.root)
    with pytest.raises(NotStored) as refused:
        Keyring().set_password("a", "b", "canary-\udcff")
    assert isinstance(refused.value, NotImplementedError)
    assert str(refused.value) == "secretsmith: failed (UnicodeEncodeError)"
    assert refused.value.__suppress_context__
