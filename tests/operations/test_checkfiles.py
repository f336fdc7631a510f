"""What `check` says of each file, each made to happen with real files: who reads it, on what that rests, what the lock says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet

from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.operations.check import check
from secretsmith.policy.lock import Debt, Lock, dump_lock, parse_lock
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"
OTHER = "secrets/web/other.age"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    return made


def found(fleet: Fleet, path: str = DB, *, deep: bool = False) -> dict[str, Finding]:
    return {item.code: item for item in check(fleet.project(), deep=deep) if item.path == path}


def seal(fleet: Fleet, path: str, *names: str, derived: bool = False) -> None:
    """Make an age file that secretsmith did not write."""
    recipients = [fleet.key(name).derived if derived else fleet.key(name).text for name in names]
    (fleet.root / path).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), recipients, armor=True))


def change_lock(fleet: Fleet, change: Callable[[Lock], Lock]) -> None:
    path = fleet.root / "secretsmith.lock"
    path.write_text(dump_lock(change(parse_lock(path.read_text()))))


def retire(fleet: Fleet, name: str, *, status: str, reason: str) -> str:
    """Move a host's key to its retired ones, as `host retire` does; give its fingerprint."""
    pair = fleet.hosts.pop(name)
    fingerprint = parse(pair.public)
    fleet.rules["secrets/web/**"] = tuple(n for n in fleet.rules["secrets/web/**"] if n != name)
    fleet.extra = (
        f'[hosts.{name}]\nkeys = []\nstatus = "{status}"\n[[hosts.{name}.retired]]\nkey = "{pair.public}"\n'
        f'until = "2026-11-20"\nreason = "{reason}"\n'
    )
    fleet.write()
    return fingerprint


def parse(line: str) -> str:
    from secretsmith.crypto.publickey import parse_public_key

    return parse_public_key(line).fingerprint


def test_drift_says_what_it_rests_on(fleet: Fleet) -> None:
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    assert found(fleet)[Code.DRIFT].basis == "lock"
    assert found(fleet, deep=True)[Code.DRIFT].basis == "file"
    seal(fleet, DB, "alice", "web1", "web2")
    assert found(fleet)[Code.DRIFT].basis == "file"


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("retired", "reinstalled", "(retired since 2026-11-20, reinstalled)"),
        ("compromised", "compromised", "(compromised since 2026-11-20)"),
    ],
)
def test_a_key_that_is_no_longer_in_use(fleet: Fleet, status: str, reason: str, said: str) -> None:
    fingerprint = retire(fleet, "web2", status=status, reason=reason)
    items = found(fleet)
    assert Code.DRIFT not in items
    item = items[Code.FORMER_KEY]
    assert item.severity == "error"
    assert item.message == f"is still opened by web2's key {fingerprint} {said}"
    assert item.hint == f"secretsmith rekey {DB}"
    assert item.basis == "lock"


def test_a_removed_users_key_is_dated_by_what_was_lost_with_it(fleet: Fleet) -> None:
    bob = keys.ed25519_key()
    fleet.users["bob"] = bob
    fleet.rules["secrets/web/**"] = ("web1", "web2", "bob")
    fleet.write()
    fleet.put(OTHER, b"x")
    text = (fleet.root / "secretsmith.toml").read_text()
    gone = text.replace(
        f'[users.bob]\nkeys = ["{bob.public}"]', f'[users.bob]\nstatus = "removed"\nkeys = ["{bob.public}"]'
    )
    (fleet.root / "secretsmith.toml").write_text(gone)
    assert "bob's key" in found(fleet, OTHER)[Code.FORMER_KEY].message
    assert found(fleet, OTHER)[Code.FORMER_KEY].message.endswith("(removed)")
    change_lock(fleet, lambda lock: lock.with_debt([Debt(OTHER, None, "bob", "removed", "2026-03-04")]))
    assert found(fleet, OTHER)[Code.FORMER_KEY].message.endswith("(removed since 2026-03-04)")


def test_a_key_that_comes_and_one_that_is_gone_are_two_findings(fleet: Fleet) -> None:
    retire(fleet, "web2", status="retired", reason="replaced")
    fleet.hosts["web3"] = keys.ed25519_key()
    fleet.rules["secrets/web/**"] = ("web1", "web3")
    fleet.write()
    assert {Code.DRIFT, Code.FORMER_KEY} <= found(fleet).keys()


def test_a_file_that_the_lock_does_not_know(fleet: Fleet) -> None:
    seal(fleet, OTHER, "alice", "web1", "web2")
    item = found(fleet, OTHER)[Code.LOCK_MISSING]
    assert item.severity == "info"
    assert f"secretsmith rotate {OTHER}" in item.hint
    fleet.put(OTHER, b"now by us")
    assert found(fleet, OTHER) == {}


def test_a_file_that_was_changed_outside(fleet: Fleet) -> None:
    seal(fleet, DB, "alice", "web1", "web2")
    item = found(fleet)[Code.LOCK_DIGEST]
    assert item.severity == "info", "the file proves who reads it"
    assert "changed outside of secretsmith" in item.message
    # Nothing proves these, and what the lock knew is void.
    seal(fleet, DB, "alice", "web1", "web2", derived=True)
    assert found(fleet)[Code.LOCK_DIGEST].severity == "warning"
    assert found(fleet)[Code.ASSUMED].basis == "assumed"
    fleet.put(DB, b"by us")
    assert found(fleet) == {}


def test_the_command_that_settles_it_does(fleet: Fleet) -> None:
    from secretsmith.operations.rotate import rotate_secrets

    seal(fleet, DB, "alice", "web1", "web2", derived=True)
    rotate_secrets(fleet.project(), [DB], accept=("all",))
    assert found(fleet) == {}


def test_an_entry_that_is_only_assumed(fleet: Fleet) -> None:
    """As a merge of two locks leaves it; the readers are then what the file says, not what the entry says."""
    stranger = parse(keys.ed25519_key().public)
    change_lock(fleet, lambda lock: lock.with_file(DB, replace(lock.files[DB], basis="assumed")))
    assert found(fleet).keys() == {Code.UNSETTLED}
    change_lock(
        fleet,
        lambda lock: lock.with_file(DB, replace(lock.files[DB], recipients=(stranger,), basis="assumed")),
    )
    assert found(fleet).keys() == {Code.UNSETTLED}


def test_an_exposed_data_key(fleet: Fleet) -> None:
    change_lock(fleet, lambda lock: lock.with_file(DB, replace(lock.files[DB], key_exposed=True)))
    item = found(fleet)[Code.KEY_EXPOSED]
    assert (item.severity, item.hint) == ("warning", f"secretsmith rotate {DB}")


def test_an_unknown_recipient_by_the_lock_and_by_the_file(fleet: Fleet) -> None:
    stranger = keys.ed25519_key().public
    text = (fleet.root / "secretsmith.toml").read_text()
    fleet.users["eve"] = keys.SshKey(b"", stranger)
    fleet.rules["secrets/web/**"] = ("web1", "web2", "eve")
    fleet.write()
    fleet.put(DB, b"x")
    (fleet.root / "secretsmith.toml").write_text(text)
    item = found(fleet)[Code.RECIPIENT_EXTRA]
    assert item.message.endswith(parse(stranger))
    assert item.basis == "lock"
    assert "--drop-unknown" in item.hint
    assert found(fleet, deep=True)[Code.RECIPIENT_EXTRA].basis == "file"


def test_encrypted_files_of_any_kind_without_a_rule(fleet: Fleet) -> None:
    document = new_document(Format.YAML, b"a: 1\n", [[fleet.key("alice").derived]])
    (fleet.root / "secrets/app.yaml").write_bytes(document)
    seal(fleet, "secrets/bare", "alice")
    for path in ("secrets/app.yaml", "secrets/bare"):
        item = found(fleet, path)[Code.NO_RULE]
        assert (item.severity, item.hint) == ("warning", f"secretsmith grant '{path}' --to WHO")


def test_plaintext_without_a_rule(fleet: Fleet) -> None:
    for name in ("a.age", "a.yaml", "notes.txt", ".sops.yaml"):
        (fleet.root / "secrets" / name).write_text("password: hunter2\n")
    assert found(fleet, "secrets/a.age")[Code.PLAINTEXT].severity == "error"
    item = found(fleet, "secrets/a.yaml")[Code.PLAINTEXT]
    assert item.severity == "info"
    assert "hunter2" not in item.message + item.hint
    assert found(fleet, "secrets/notes.txt") == found(fleet, "secrets/.sops.yaml") == {}


def test_a_mostly_clear_document_that_is_damaged_is_not_called_plaintext(fleet: Fleet) -> None:
    """What shows that it is encrypted stands at its end, far behind the values in clear."""
    clear = b"".join(b"key%d: clear\n" % number for number in range(10_000))
    recipients = [[fleet.key(name).derived for name in ("alice", "web1", "web2")]]
    data = new_document(Format.YAML, clear, recipients, selection=("encrypted_regex", "^secret$"))
    (fleet.root / "secrets/web/big.yaml").write_bytes(data + b"\tbroken\n")
    assert Code.PLAINTEXT not in found(fleet, "secrets/web/big.yaml")
    assert any(item.severity == "error" for item in found(fleet, "secrets/web/big.yaml").values())


def test_commands_for_names_with_blanks_can_be_pasted(fleet: Fleet, peer: Callable[[str], str]) -> None:
    path = "secrets/web/my db.age"
    fleet.put(path, b"x")
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    item = found(fleet, path)[Code.DRIFT]
    words = subprocess.run(
        [peer("sh"), "-c", f"set -- {item.hint}; printf '%s|' \"$@\""], capture_output=True, check=True
    )
    assert words.stdout.decode().split("|")[:-1] == ["secretsmith", "rekey", path]
