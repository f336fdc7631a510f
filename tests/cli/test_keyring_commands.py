"""``secretsmith keyring``: what a person sees of what programs may have, and how it is allowed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import pytest
from logins import TOKEN, UPLOADS, Logins
from terminals import OnTerminal

SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/schemas/keyring-list.schema.json"


@pytest.fixture
def fleet(tmp_path: Path) -> Logins:
    made = Logins(tmp_path)
    made.set("secrets/token.age", TOKEN.encode())
    made.map(UPLOADS, "secrets/token.age")
    made.map("index.example.org", "secrets/gone.yaml", None, "index/token")
    return made


def listed(fleet: Logins) -> dict[str, object]:
    found: dict[str, object] = json.loads(fleet.run("keyring", "list", "--json").stdout)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    return found


def test_list_needs_no_key(fleet: Logins) -> None:
    (fleet.home / ".ssh/id_ed25519").unlink()
    assert fleet.run("keyring", "list").stdout.decode().splitlines() == [
        "SERVICE                             USERNAME   SECRET                         STATE",
        "https://upload.example.org/legacy/  __token__  secrets/token.age              not approved",
        "index.example.org                   (any)      secrets/gone.yaml index/token  no such file",
    ]
    fleet.run("keyring", "approve", UPLOADS, "--store")
    assert listed(fleet) == {
        "stores": True,
        "logins": [
            {
                "service": UPLOADS,
                "username": "__token__",
                "secret": "secrets/token.age",
                "key": None,
                "state": "approved",
            },
            {
                "service": "index.example.org",
                "username": None,
                "secret": "secrets/gone.yaml",
                "key": "index/token",
                "state": "no such file",
            },
        ],
    }
    fleet.run("keyring", "forget")
    assert listed(fleet)["stores"] is False


def test_without_a_terminal_nothing_is_approved_unnamed(fleet: Logins) -> None:
    done = fleet.run("keyring", "approve", code=2)
    assert b"secretsmith: hint: answer it with the name of the service, or --all" in done.stderr
    assert not (fleet.home / ".local/state/secretsmith/keyring.json").exists()


def test_on_a_terminal_each_is_asked_for(fleet: Logins) -> None:
    argv = [sys.executable, "-m", "secretsmith", "keyring", "approve"]
    with OnTerminal(argv, cwd=fleet.root, environ=fleet.environ) as terminal:
        terminal.expect(b"let programs that ask for https://upload.example.org/legacy/ (user __token__)")
        terminal.expect(b"[y/N]")
        terminal.press(b"y\n")
        terminal.expect(
            b"let programs that ask for index.example.org (any user name) have secrets/gone.yaml index/token?"
        )
        terminal.press(b"n\n")
        assert terminal.end() == 0
    (fleet.root / "secrets/gone.yaml").write_text("")
    assert [login["state"] for login in listed(fleet)["logins"]] == ["approved", "not approved"]  # type: ignore[attr-defined]


def test_nothing_to_approve(tmp_path: Path) -> None:
    fleet = Logins(tmp_path)
    assert fleet.run("keyring", "approve").stderr == b"nothing was approved\n"
    assert fleet.run("keyring", "forget").stderr == b"nothing was approved here\n"


def test_a_service_that_steers_the_terminal_is_escaped(fleet: Logins) -> None:
    fleet.map("\\u001b[2Jx", "secrets/token.age")
    for words in (("list",), ("list", "--json"), ("approve", "--all")):
        done = fleet.run("keyring", *words)
        assert b"\x1b" not in done.stdout + done.stderr


def test_check_says_which_mapping_leads_nowhere(fleet: Logins) -> None:
    text = fleet.run("check", code=3).stdout.decode()
    assert "[[keyring]] names secrets/gone.yaml, which is no secret here" in text
    assert "names secrets/token.age" not in text
    fleet.run("set", "secrets/gone.yaml", "index/token", stdin=b"x")
    assert "[[keyring]]" not in fleet.run("check", code=3).stdout.decode()


def test_words_of_the_registry_cannot_go_on_with_ours(tmp_path: Path) -> None:
    """Whoever writes the registry chooses the service: it must not read like the harmless half of our own question."""
    made = Logins(tmp_path)
    made.set("secrets/token.age", TOKEN.encode())
    made.map(
        "https://upload.example.org (user x) have secrets/harmless.age", "secrets/token.age", "\u0430dmin"
    )
    (line,) = made.run("keyring", "approve", "--all").stderr.decode().splitlines()
    assert line == (
        'approved: programs that ask for "https://upload.example.org (user x) have secrets/harmless.age" '
        '(user "\\u0430dmin") have secrets/token.age'
    )
    assert '"https://upload.example.org (user x)' in made.run("keyring", "list").stdout.decode()
