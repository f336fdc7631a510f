"""What the real ``keyring`` program gets out of a repository, and what a repository cannot make it get."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from logins import TOKEN, UPLOADS, Logins

EVIL = "https://evil.example.org/simple/"


def said(fleet: Logins, *words: str, **variables: Any) -> str:
    """What a failing ``keyring get`` says; it ends with 1 and without a trace, as for any password that is not there."""
    options = [word for word in words if word.startswith("--")]
    done = fleet.keyring(*options, "get", *words[len(options) :], **variables)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr
    return done.stderr


def test_token_for_its_service_and_user(approved: Logins) -> None:
    assert approved.get(UPLOADS, "__token__") == TOKEN
    assert approved.get(UPLOADS, "alice") is None
    assert approved.get(UPLOADS.removesuffix("/"), "__token__") is None


def test_credential_without_a_user_name(approved: Logins) -> None:
    done = approved.keyring("--mode=creds", "--output=json", "get", UPLOADS)
    assert json.loads(done.stdout) == {"username": "__token__", "password": TOKEN}


def test_login_for_any_user_name(fleet: Logins) -> None:
    fleet.map("any.example.org", "secrets/token.age", None)
    fleet.run("keyring", "approve", "any.example.org")
    assert fleet.get("any.example.org", "alice") == TOKEN
    assert said(fleet, "--mode=creds", "any.example.org") == "", "there is no user name to give"


def test_exact_user_name_wins_over_any(fleet: Logins) -> None:
    fleet.set("secrets/other.age", b"other")
    fleet.map(UPLOADS, "secrets/other.age", None)
    fleet.run("keyring", "approve", "--all")
    assert fleet.get(UPLOADS, "__token__") == TOKEN
    assert fleet.get(UPLOADS, "bob") == "other"


def test_value_of_a_document(fleet: Logins) -> None:
    fleet.run("set", "secrets/app.yaml", "index/token", stdin=b"in a document")
    fleet.map("doc.example.org", "secrets/app.yaml", key="index/token")
    fleet.run("keyring", "approve", "--all")
    assert fleet.get("doc.example.org", "__token__") == "in a document"


@pytest.mark.parametrize(
    ("stored", "given"), [(b"a\n", "a"), (b"a\nb\n", "a\nb\n"), (b"", ""), ("ß€".encode(), "ß€")]
)
def test_final_newline_of_a_single_line_is_not_part_of_it(
    approved: Logins, stored: bytes, given: str
) -> None:
    approved.set("secrets/token.age", stored)
    done = approved.keyring("--mode=creds", "--output=json", "get", UPLOADS, PYTHONIOENCODING="utf-8")
    assert json.loads(done.stdout)["password"] == given


def test_from_a_folder_below_and_from_elsewhere_by_name(approved: Logins, tmp_path: Path) -> None:
    assert approved.keyring("get", UPLOADS, "__token__", cwd=approved.root / "secrets").stdout == f"{TOKEN}\n"
    outside = approved.keyring("get", UPLOADS, "__token__", cwd=tmp_path)
    assert (outside.returncode, outside.stdout) == (1, "")
    assert "NoKeyringError" in outside.stderr, "as if the backend were not installed"
    named = approved.keyring("get", UPLOADS, "__token__", cwd=tmp_path, SECRETSMITH_ROOT=str(approved.root))
    assert named.stdout == f"{TOKEN}\n"


def test_viable_only_where_a_registry_maps_something(fleet: Logins, tmp_path: Path) -> None:
    def listed(cwd: Path) -> bool:
        return "secretsmith" in fleet.keyring("--list-backends", cwd=cwd).stdout

    assert listed(fleet.root)
    assert not listed(tmp_path)
    fleet.write_registry(
        fleet.registry.replace("[[keyring]]", "# [[keyring]]")
        .replace("\nservice", "\n#")
        .replace('\nsecret = "s', '\n#"s')
        .replace("\nusername", "\n#")
    )
    assert not listed(fleet.root)
    fleet.run("keyring", "approve", "--store")
    assert listed(fleet.root)


# --- what was not approved on this computer -------------------------------------------------------------------------


def test_nothing_is_given_before_it_is_approved(fleet: Logins) -> None:
    text = said(fleet, UPLOADS, "__token__")
    assert "nobody approved on this computer that programs get secrets/token.age" in text
    assert "secretsmith keyring approve" in text


def test_service_that_somebody_adds_gets_nothing(approved: Logins) -> None:
    # Whoever may push names a service of their own for a secret that they cannot read, and the index for pip.
    approved.map(EVIL, "secrets/token.age")
    assert "nobody approved" in said(approved, EVIL, "__token__")
    assert approved.get(UPLOADS, "__token__") == TOKEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("secrets/token.age", "secrets/database.age"),
        ('username = "__token__"\n', ""),
        ('username = "__token__"', 'username = "somebody"'),
        ('secret = "secrets/token.age"', 'secret = "secrets/app.yaml"\nkey = "database"'),
    ],
)
def test_approval_is_of_the_secret_and_the_user_name_too(approved: Logins, old: str, new: str) -> None:
    approved.set("secrets/database.age", b"database-canary")
    approved.run("set", "secrets/app.yaml", "database", stdin=b"database-canary")
    approved.write_registry(approved.registry.replace(old, new))
    user = "somebody" if "somebody" in new else "__token__"
    text = said(approved, UPLOADS, user)
    assert "nobody approved" in text
    assert "database-canary" not in text


def test_another_clone_with_the_same_registry_gets_nothing(approved: Logins, tmp_path: Path) -> None:
    # A hostile repository can hold the registry and the files of another one, word for word: we could open them.
    copy = tmp_path / "cloned"
    shutil.copytree(approved.root, copy)
    done = approved.keyring("get", UPLOADS, "__token__", cwd=copy)
    assert (done.returncode, done.stdout) == (1, "")


def test_forgotten_approval(approved: Logins) -> None:
    approved.run("keyring", "forget")
    assert "nobody approved" in said(approved, UPLOADS, "__token__")


def test_approvals_that_others_can_write_are_none(approved: Logins) -> None:
    folder = approved.home / ".local/state/secretsmith"
    (folder / "keyring.json").chmod(0o666)
    assert "others may change it" in said(approved, UPLOADS, "__token__")
    (folder / "keyring.json").chmod(0o600)
    assert approved.get(UPLOADS, "__token__") == TOKEN


def test_no_command_of_a_repository_is_run(approved: Logins) -> None:
    """A registry has no field for a command: not even by a name that a later version might give it."""
    approved.write_registry(approved.registry.replace("[[keyring]]", '[[keyring]]\nkey_cmd = "touch ran"'))
    assert "unknown key 'key_cmd' in [[keyring]]" in said(approved, UPLOADS, "__token__")
    assert not (approved.root / "ran").exists()


@pytest.mark.parametrize(
    "place", ["../outside.age", "/etc/shadow", "secrets/../../outside.age", ".git/config", ""]
)
def test_secret_that_is_no_path_in_the_repository(fleet: Logins, place: str) -> None:
    fleet.map(EVIL, place)
    fleet.run("keyring", "list", code=2)
    said(fleet, EVIL, "__token__")


def test_symbolic_link_is_not_followed(fleet: Logins, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(fleet.root / "secrets/token.age", tmp_path / "elsewhere/other.age")
    (fleet.root / "secrets/linked").symlink_to(tmp_path / "elsewhere")
    (fleet.root / "secrets/link.age").symlink_to(tmp_path / "elsewhere/other.age")
    fleet.map("one", "secrets/linked/other.age")
    fleet.map("two", "secrets/link.age")
    fleet.run("keyring", "approve", "--all")
    for service in ("one", "two"):
        assert said(fleet, service, "__token__")


# --- never raises, never asks ---------------------------------------------------------------------------------------


def broken_registry(fleet: Logins) -> None:
    fleet.write_registry(fleet.registry + "\n[nonsense\n")


def broken_lock(fleet: Logins) -> None:
    (fleet.root / "secretsmith.lock").write_text("<<<<<<< ours\n")


def missing_secret(fleet: Logins) -> None:
    (fleet.root / "secrets/token.age").unlink()


def damaged_secret(fleet: Logins) -> None:
    (fleet.root / "secrets/token.age").write_bytes(b"age-encryption.org/v1\n-> X25519 a\n")


def no_key(fleet: Logins) -> None:
    (fleet.home / ".ssh/id_ed25519").unlink()


def locked_key(fleet: Logins) -> None:
    import keys

    fleet.set("secrets/token.age", TOKEN.encode())
    locked = keys.ed25519_key(passphrase=b"s3same")
    locked.write(fleet.home / ".ssh", "id_ed25519")
    fleet.write_registry(fleet.registry.replace(fleet.public["alice"], locked.public))


def binary_value(fleet: Logins) -> None:
    fleet.set("secrets/token.age", b"\xff\xfe\0")


@pytest.mark.parametrize(
    "harm", [broken_registry, broken_lock, missing_secret, damaged_secret, no_key, locked_key, binary_value]
)
def test_trouble_is_a_warning_and_no_password(approved: Logins, harm: Callable[[Logins], None]) -> None:
    harm(approved)
    text = said(approved, UPLOADS, "__token__")
    assert re.match(r"secretsmith: .+\n\Z", text), text


def test_locked_key_is_told_with_what_unlocks_it() -> None:
    from secretsmith.errors import CannotDecrypt, Code
    from secretsmith_keyring import _reason

    hints = ("it can be read by: alice", "unlock your key on a terminal first: secretsmith identity unlock")
    assert _reason(CannotDecrypt(Code.NO_IDENTITY, "x.age: locked", hints=hints)) == (
        "secretsmith: x.age: locked; unlock your key on a terminal first: secretsmith identity unlock"
    )
    assert _reason(CannotDecrypt(Code.NO_IDENTITY, "x.age: no", hints=hints[:1])).endswith("by: alice")


def test_failure_of_ours_is_told_by_its_kind_alone(
    approved: Logins, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import secretsmith_keyring

    def fail(*_: object) -> None:
        raise ZeroDivisionError(TOKEN)

    monkeypatch.setattr(secretsmith_keyring, "offers", lambda *_: True)
    monkeypatch.setattr(secretsmith_keyring, "find_login", fail)
    with caplog.at_level(logging.WARNING):
        assert secretsmith_keyring.Keyring().get_password(UPLOADS, "__token__") is None
        assert secretsmith_keyring.Keyring().get_credential(UPLOADS, None) is None
    assert caplog.messages == ["secretsmith: failed (ZeroDivisionError)"] * 2


def test_current_folder_that_is_gone(approved: Logins, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = f"import os, keyring; os.rmdir({str(tmp_path / 'gone')!r}); print(keyring.get_keyring())"
    done = approved.python("-c", code, cwd=tmp_path / "gone")
    assert "fail.Keyring" in done.stdout, done.stderr
    (tmp_path / "gone").mkdir()
    code = "import os, secretsmith_keyring as s; os.rmdir(os.getcwd()); print(s.Keyring().get_password('a', 'b'))"
    done = approved.python("-c", code, cwd=tmp_path / "gone")
    assert (done.stdout, done.stderr) == ("None\n", ""), (
        "nowhere is no repository, and no reason for a warning"
    )


def test_key_command_that_asks_keyring_itself_does_not_come_back_to_us(
    approved: Logins, tmp_path: Path
) -> None:
    """SOPS_AGE_KEY_CMD="keyring get secretsmith age" is a usual setting."""
    (approved.home / ".ssh/id_ed25519").unlink()
    approved.map("secretsmith", "secrets/token.age", "age")
    approved.run("keyring", "approve", "--all")
    log = tmp_path / "calls"
    script = tmp_path / "ask"
    script.write_text(
        f"#!/bin/sh\necho x >> {log}\nexec {shutil.which('python3')} -m keyring get secretsmith age\n"
    )
    script.chmod(0o755)
    said(approved, UPLOADS, "__token__", SOPS_AGE_KEY_CMD=str(script))
    assert log.read_text() == "x\n"
