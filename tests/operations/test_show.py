from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from repositories import CHECKOUT, Fleet

from secretsmith.errors import CannotDecrypt
from secretsmith.operations.show import show_secret

EXAMPLE = CHECKOUT.parent / "shared/agenix-example"
CANARY = b"canary-of-show"


@pytest.fixture
def example() -> Path:
    if not EXAMPLE.is_dir():
        pytest.skip("agenix's example repository is not here")
    return EXAMPLE


def test_agenix_example_opens_byte_for_byte(fleet: Fleet, example: Path) -> None:
    """Without any registry, and equal to what the real age says."""
    names = sorted(json.loads((example / "rules.json").read_text()))
    assert len(names) == 5
    for name in names:
        real = subprocess.run(
            ["age", "-d", "-i", "keys/user1", f"./{name}"], cwd=example, capture_output=True, check=True
        )
        ours = fleet.run("show", "--", name, cwd=example, SECRETSMITH_IDENTITY="keys/user1")
        assert ours.stdout == real.stdout
        assert ours.stdout


def test_value_comes_back_byte_for_byte(fleet: Fleet) -> None:
    for value in (b"", b"hunter2", b"hunter2\n", b"a\r\nb\n\n", bytes(range(256)) * 300):
        fleet.set("web/value", value)
        assert fleet.run("show", "web/value").stdout == value


def test_files_of_the_real_age_open(fleet: Fleet) -> None:
    for armor in (False, True):
        fleet.encrypt("plain.age", fleet.public["alice"], value=CANARY, armor=armor)
        assert fleet.run("show", "plain.age").stdout == CANARY


def test_file_outside_the_repository_is_only_a_file(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    elsewhere = fleet.folder / "copy"
    elsewhere.write_bytes((fleet.root / "secrets/web/db.age").read_bytes())
    assert fleet.run("show", str(elsewhere)).stdout == CANARY
    assert fleet.run("show", "../copy").stdout == CANARY


def test_failure_names_file_readers_identities_and_the_next_command(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    bob = str(fleet.private / "bob")
    said = fleet.run("show", "web/db", code=5, HOME="/nonexistent", SECRETSMITH_IDENTITY=bob).stderr.decode()
    assert "secretsmith: error: secrets/web/db.age: none of your private keys opens it\n" in said
    assert "can be read by: alice, web1\n" in said
    assert "SECRETSMITH_IDENTITY (SHA256:" in said
    assert "ask alice to run: secretsmith grant secrets/web/db.age --to bob --rekey" in said


def test_failure_says_rekey_when_the_rules_already_allow_it(fleet: Fleet) -> None:
    from secretsmith.policy import edit

    fleet.set("web/db", CANARY)
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["bob"]))
    bob = str(fleet.private / "bob")
    said = fleet.run("show", "web/db", code=5, HOME="/nonexistent", SECRETSMITH_IDENTITY=bob).stderr.decode()
    assert "the rules let you read it: ask alice to run secretsmith rekey secrets/web/db.age" in said


def test_failure_without_a_registry_describes_the_recipients(fleet: Fleet, example: Path) -> None:
    said = fleet.run("show", "secret1.age", cwd=example, code=5, HOME="/nonexistent").stderr.decode()
    assert "secret1.age" in said
    assert "ssh-ed25519 key with age tag" in said
    assert "tried: " in said


def test_locked_key_without_a_terminal_is_exit_5(fleet: Fleet, peer: Callable[[str], str]) -> None:
    fleet.set("web/db", CANARY)
    key = fleet.home / ".ssh/id_ed25519"
    subprocess.run([peer("ssh-keygen"), "-q", "-p", "-a", "2", "-N", "s3same", "-f", key], check=True)
    said = fleet.run("show", "web/db", code=5).stderr.decode()
    assert "locked: no terminal to ask for its passphrase" in said


def test_key_of_a_one_value_file_is_usage(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    assert b"holds one value and no keys" in fleet.run("show", "web/db", "mail/smtp", code=2).stderr


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 2),
        (b"plain text\n", 2),
        (b"age-encryption.org/v2\n", 2),
        (b"-----BEGIN PGP MESSAGE-----\n", 2),
        (b"age-encryption.org/v1\n-> ssh-ed25519", 2),
    ],
)
def test_damaged_files_are_refused_naming_the_file(fleet: Fleet, data: bytes, code: int) -> None:
    path = fleet.root / "secrets/web/bad.age"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    said = fleet.run("show", "web/bad", code=code).stderr.decode()
    assert "secrets/web/bad.age" in said
    assert path.read_bytes() == data


def test_cut_off_payload_gives_no_plaintext(fleet: Fleet) -> None:
    path = fleet.root / "secrets/web/cut.age"
    path.parent.mkdir(parents=True)
    argv = ["age", "-r", fleet.public["alice"]]
    whole = subprocess.run(argv, input=CANARY * 10_000, capture_output=True, check=True).stdout
    path.write_bytes(whole[:-100])
    done = fleet.run("show", "web/cut", code=6)
    assert done.stdout == b""
    assert b"secrets/web/cut.age" in done.stderr
    assert CANARY not in done.stderr


def test_opening_asks_for_a_passphrase_once_for_many_files(fleet: Fleet, peer: Callable[[str], str]) -> None:
    from people import Scripted

    for number in range(3):
        fleet.set(f"web/{number}", CANARY)
    key = fleet.home / ".ssh/id_ed25519"
    subprocess.run([peer("ssh-keygen"), "-q", "-p", "-a", "2", "-N", "s3same", "-f", key], check=True)
    person = Scripted(["s3same"])
    project = fleet.project(person)
    for number in range(3):
        assert show_secret(project, f"secrets/web/{number}.age").expose() == CANARY
    assert len(person.asked) == 1


def test_error_text_never_holds_a_value(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    keys.ed25519_key().write(fleet.home / ".ssh", "id_ed25519")
    with pytest.raises(CannotDecrypt) as caught:
        show_secret(fleet.project(), "secrets/web/db.age")
    assert CANARY.decode() not in repr(caught.value) + "".join(caught.value.hints)
