"""Files in which nothing names the readers: recorded while the registry tells who they are, never proven by that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from repositories import Fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.operations.check import check
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.policy import edit

FILE = "secrets/web/made-by-age.age"


@pytest.fixture
def made(fleet: Fleet, peer: Callable[[str], str]) -> Fleet:
    """A file that ``age -r age1…`` wrote for the readers that the rules want."""
    peer("age")
    fleet.encrypt(FILE, *(parse_public_key(fleet.public[name]).derived for name in ("alice", "web1")))
    return fleet


def basis(fleet: Fleet) -> list[str]:
    return [entry.basis for path, entry in fleet.project().lock.files.items() if path == FILE]


def test_a_rekey_that_finds_no_drift_records_them_and_opens_nothing(made: Fleet) -> None:
    data = (made.root / FILE).read_bytes()
    said = made.run("rekey", SECRETSMITH_IDENTITY="/nowhere", HOME="/nowhere").stderr.decode()
    assert "recorded the readers of 1 file" in said
    assert (made.root / FILE).read_bytes() == data and basis(made) == ["assumed"]
    assert made.run("rekey").stderr == b"nothing to do\n"
    found = [finding for finding in check(made.project()) if finding.path == FILE]
    assert {finding.severity for finding in found} == {"info"}
    assert any("assumed" in finding.message for finding in found)


def test_a_reader_is_added_later(made: Fleet) -> None:
    made.run("rekey")
    made.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))
    plan = plan_rekey(made.project())
    assert [file.unknown for file in plan.files] == [()]
    assert apply_rekey(made.project(), plan).rekeyed
    assert basis(made) == ["wrote"]
    assert {name for name in ("alice", "web1", "web2") if shows(made, name)} == {"alice", "web1", "web2"}


def shows(fleet: Fleet, name: str) -> bool:
    key = fleet.home / ".ssh/id_ed25519" if name == "alice" else fleet.private / name
    shown = fleet.run("show", FILE, SECRETSMITH_IDENTITY=str(key), HOME="/nowhere")
    return shown.stdout == b"of the real age"


@pytest.mark.parametrize("rekey", ["--rekey", "--no-rekey"])
def test_the_command_that_changes_the_readers_records_them_itself(made: Fleet, rekey: str) -> None:
    said = made.run("grant", "secrets/web/**", "--to", "web2", rekey).stderr.decode()
    assert "recorded the readers of 1 file" in said
    made.run("rekey")
    assert shows(made, "web2") and basis(made) == ["wrote"]


def test_a_retired_host_is_dropped(made: Fleet) -> None:
    made.run("host", "retire", "web1", "--yes")
    made.run("show", FILE, SECRETSMITH_IDENTITY=str(made.private / "web1"), HOME="/nowhere", code=5)
    assert shows(made, "alice")


def test_a_change_that_does_not_concern_them_records_nothing(made: Fleet) -> None:
    made.run("grant", "secrets/other/**", "--to", "web2", "--no-rekey")
    assert basis(made) == []


def test_a_stanza_too_many_is_not_recorded(made: Fleet) -> None:
    made.encrypt(FILE, *(parse_public_key(made.public[name]).derived for name in ("alice", "web1", "bob")))
    made.run("rekey", code=6)
    said = made.run("grant", "secrets/web/**", "--to", "web2", code=0)
    assert b"recorded" not in said.stderr and basis(made) == []


def test_edited_by_hand_first_the_hint_says_how(made: Fleet) -> None:
    made.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))
    said = made.run("rekey", code=6).stderr.decode()
    assert "anonymous×2" in said and "undo the edit, secretsmith rekey" in said


def test_what_changed_meanwhile_is_not_recorded(made: Fleet) -> None:
    plan = plan_rekey(made.project())
    assert len(plan.assumed) == 1
    made.encrypt(FILE, *(parse_public_key(made.public[name]).derived for name in ("alice", "bob")))
    assert apply_rekey(made.project(), plan).recorded == 0 and basis(made) == []
