from __future__ import annotations

import json
import subprocess

import pytest
from repositories import Fleet

from secretsmith.policy import edit


def listed(fleet: Fleet, *paths: str) -> dict[str, dict[str, object]]:
    found = json.loads(fleet.run("ls", "--json", *paths, HOME="/nonexistent").stdout)
    for item in found:
        assert list(item) == ["path", "format", "readers_wanted", "readers_present", "drift", "source"]
    assert [item["path"] for item in found] == sorted(item["path"] for item in found)
    return {item["path"]: item for item in found}


def test_listing_needs_no_key(fleet: Fleet) -> None:
    fleet.set("web/db", b"x")
    fleet.set("mail", b"x", "--to", "bob")
    assert listed(fleet) == {
        "secrets/mail.age": {
            "path": "secrets/mail.age",
            "format": "age",
            "readers_wanted": ["alice", "bob"],
            "readers_present": ["alice", "bob"],
            "drift": False,
            "source": "",
        },
        "secrets/web/db.age": {
            "path": "secrets/web/db.age",
            "format": "age",
            "readers_wanted": ["alice", "web1"],
            "readers_present": ["alice", "web1"],
            "drift": False,
            "source": "",
        },
    }


def test_drift_is_told(fleet: Fleet) -> None:
    fleet.set("web/db", b"x")
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))
    item = listed(fleet)["secrets/web/db.age"]
    assert item["readers_wanted"] == ["alice", "web1", "web2"]
    assert item["readers_present"] == ["alice", "web1"]
    assert item["drift"] is True
    done = fleet.run("ls")
    assert b"drifts" in done.stdout
    assert b"secretsmith rekey --plan" in done.stderr


def test_recipients_that_nobody_named_are_unknown(fleet: Fleet) -> None:
    import keys

    from secretsmith.crypto.publickey import parse_public_key

    stranger = keys.ed25519_key().public
    fleet.encrypt("secrets/web/db.age", fleet.public["alice"], fleet.public["web1"], stranger)
    item = listed(fleet)["secrets/web/db.age"]
    assert item["readers_present"] == ["alice", "web1", f"unknown:ssh-tag:{parse_public_key(stranger).tag}"]
    assert item["drift"] is True
    anonymous = parse_public_key(stranger).derived
    fleet.encrypt("secrets/web/two.age", fleet.public["alice"], fleet.public["web1"], anonymous)
    assert "unknown:anonymous×1" in listed(fleet)["secrets/web/two.age"]["readers_present"]  # type: ignore[operator]


def test_file_without_a_rule_is_listed_and_a_readme_is_not(fleet: Fleet) -> None:
    fleet.encrypt("secrets/stray.age", fleet.public["alice"])
    (fleet.root / "secrets/README.md").write_text("hello")
    (fleet.root / "secrets/notes.txt").write_text("hello")
    found = listed(fleet)
    assert list(found) == ["secrets/stray.age"]
    assert found["secrets/stray.age"]["readers_wanted"] == []
    assert b"no rule" in fleet.run("ls").stdout


def test_one_damaged_file_does_not_hide_the_others(fleet: Fleet) -> None:
    fleet.set("web/db", b"x")
    (fleet.root / "secrets/web/bad.age").write_bytes(b"plaintext canary-of-ls\n")
    done = fleet.run("ls", "--json")
    found = {item["path"]: item for item in json.loads(done.stdout)}
    assert found["secrets/web/bad.age"]["drift"] is True
    assert found["secrets/web/db.age"]["drift"] is False
    assert b"secrets/web/bad.age" in done.stderr
    assert b"canary-of-ls" not in done.stderr


def test_paths_limit_the_listing(fleet: Fleet) -> None:
    for name in ("web/db", "web/tls", "webserver", "mail"):
        fleet.set(name, b"x")
    web = ["secrets/web/db.age", "secrets/web/tls.age"]
    assert list(listed(fleet, "web")) == web
    assert list(listed(fleet, "secrets/web/")) == web
    assert list(listed(fleet, "mail", "web/db")) == ["secrets/mail.age", "secrets/web/db.age"]
    assert len(listed(fleet, ".")) == 4
    inside = fleet.run("ls", "--json", ".", cwd=fleet.root / "secrets/web").stdout
    assert [item["path"] for item in json.loads(inside)] == web
    said = fleet.run("ls", "mial", code=4).stderr
    assert b"did you mean secrets/mail.age?" in said


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_empty_repository_lists_nothing(fleet: Fleet, option: tuple[str, ...]) -> None:
    done = fleet.run("ls", *option)
    assert done.stdout == (b"[]\n" if option else b"")


def test_listing_imports_nothing_that_opens_files(fleet: Fleet) -> None:
    import sys

    fleet.set("web/db", b"x")
    code = (
        "import sys; from secretsmith.cli.door import main; main(['ls']);"
        "print(sorted({'pyrage', 'nacl', 'cryptography', 'tomlkit', 'typer', 'subprocess'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=fleet.root, env=fleet.environ, capture_output=True, check=True
    )
    assert done.stderr.splitlines()[-1] == b"[]"
