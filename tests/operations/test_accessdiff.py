from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import keys
import pytest
from fleet import Fleet, make_fleet
from gitrepo import commit, git, start
from sopsfleet import put

from secretsmith.cli.arguments.access import AccessParameters
from secretsmith.cli.commands import access as command
from secretsmith.cli.session import Session
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import NotFound, RefusedInput
from secretsmith.interaction import NoInteraction
from secretsmith.operations.accessdiff import EVERYBODY, AccessDiff, access_diff, as_json
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"
APP = "secrets/web/app.yaml"
SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/schemas/access-diff.schema.json"


@pytest.fixture
def fleet(tmp_path: Path, peer: Callable[[str], str]) -> Fleet:
    peer("git")
    made = make_fleet(tmp_path)
    start(made.root)
    made.put(DB, b"hunter2")
    commit(made.root)
    return made


def diff(fleet: Fleet, revisions: str = "HEAD") -> AccessDiff:
    found = access_diff(fleet.project(), revisions)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(as_json(found), schema, cls=jsonschema.Draft202012Validator)
    return found


def effects(found: AccessDiff) -> dict[tuple[str, tuple[str, ...] | None], tuple[str, list[str], list[str]]]:
    """Each change: its state, the names of those who gained, of those who lost."""
    return {
        (one.path, one.keys): (
            one.state,
            [name for gain in one.gained for name in gain.names or (gain.key,)],
            [name for gain in one.lost for name in gain.names or (gain.key,)],
        )
        for one in found.changes
    }


def rekey(fleet: Fleet) -> None:
    project = fleet.project()
    apply_rekey(project, plan_rekey(project), accept=("all",))


def said(fleet: Fleet, revisions: str, *subjects: str, **options: object) -> tuple[str, str]:
    out, err = io.BytesIO(), io.BytesIO()
    session = Session(
        cwd=fleet.root,
        environ={"HOME": str(fleet.home / "nowhere")},
        stdin=io.BytesIO(),
        stdout=out,
        stderr=err,
        interaction=NoInteraction(),
    )
    given = AccessParameters(subjects=subjects, diff=revisions, **options)  # type: ignore[arg-type]
    assert command.run(session, given) == 0, "a difference is no finding"
    return out.getvalue().decode(), err.getvalue().decode()


def test_nothing_changed(fleet: Fleet) -> None:
    found = diff(fleet)
    assert (found.changes, found.moved, found.notes, found.after) == ((), (), (), None)
    assert "nobody gained or lost access" in said(fleet, "HEAD")[1]


def test_a_rule_alone_changes_nobodys_access(fleet: Fleet) -> None:
    """What counts is who is in the files; the registry only says who should be."""
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    assert diff(fleet).changes == ()
    rekey(fleet)
    assert effects(diff(fleet)) == {(DB, None): ("changed", [], ["web2"])}


def test_between_two_revisions_and_against_the_work_tree(fleet: Fleet) -> None:
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    rekey(fleet)
    commit(fleet.root)
    fleet.put("secrets/web/new.age", b"x")
    new = ("secrets/web/new.age", None)
    assert effects(diff(fleet, "HEAD~1..HEAD")) == {(DB, None): ("changed", [], ["web2"])}
    assert effects(diff(fleet, "HEAD..HEAD~1")) == {(DB, None): ("changed", ["web2"], [])}
    assert effects(diff(fleet, "HEAD~1..")) == effects(diff(fleet, "HEAD~1..HEAD"))
    assert effects(diff(fleet, "HEAD")) == {new: ("new", ["alice", "web1"], [])}
    assert effects(diff(fleet, "HEAD~1")).keys() == {(DB, None), new}
    git(fleet.root, "rm", "-q", "--cached", DB)
    assert effects(diff(fleet, "HEAD")) == {new: ("new", ["alice", "web1"], [])}, "the index is not asked"
    (fleet.root / DB).unlink()
    assert effects(diff(fleet, "HEAD"))[DB, None] == ("removed", [], ["alice", "web1"])


def test_what_a_branch_changed_since_it_left(fleet: Fleet) -> None:
    git(fleet.root, "checkout", "-qb", "side")
    fleet.put("secrets/web/side.age", b"x")
    commit(fleet.root)
    git(fleet.root, "checkout", "-q", "main")
    fleet.put("secrets/web/main.age", b"x")
    commit(fleet.root)
    assert {path for path, _ in effects(diff(fleet, "main...side"))} == {"secrets/web/side.age"}
    assert {path for path, _ in effects(diff(fleet, "main..side"))} == {
        "secrets/web/side.age",
        "secrets/web/main.age",
    }


def test_a_new_name_is_no_change_of_access(fleet: Fleet) -> None:
    fleet.hosts["frontend"] = fleet.hosts.pop("web1")
    fleet.rules["secrets/web/**"] = ("frontend", "web2")
    fleet.write()
    fleet.put(DB, b"another value")
    assert diff(fleet).changes == ()
    fleet.rules["secrets/web/**"] = ("web2",)
    fleet.write()
    rekey(fleet)
    assert effects(diff(fleet)) == {(DB, None): ("changed", [], ["frontend"])}, "it has the name of today"


def test_a_new_key_is_one_although_the_name_stays(fleet: Fleet) -> None:
    old = fleet.key("web1").fingerprint
    fleet.hosts["web1"] = keys.ed25519_key()
    fleet.write()
    project = fleet.project()
    plan = plan_rekey(project, drop_unknown=True)
    apply_rekey(project, plan, accept=("all",), drop_unknown=True)
    (change,) = diff(fleet).changes
    assert [(gain.names, gain.key) for gain in change.gained] == [(("web1",), fleet.key("web1").fingerprint)]
    assert [(gain.names, gain.key) for gain in change.lost] == [(("web1",), old)], "the old registry named it"
    text, _ = said(fleet, "HEAD")
    assert f"- web1 ({old})" in text, "a bare name on both sides would say nothing"


def test_the_two_forms_of_a_key_are_one(fleet: Fleet) -> None:
    """The same key, in the other form in the file, and registered as age1… now."""
    recipients = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    put(fleet, APP, [["alice", "web1", "web2"]])
    (fleet.root / DB).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), recipients, armor=False))
    commit(fleet.root)
    derived = fleet.key("alice").derived
    text = (fleet.root / "secretsmith.toml").read_text()
    (fleet.root / "secretsmith.toml").write_text(text.replace(fleet.users["alice"].public, derived))
    put(fleet, APP, [["alice", "web1", "web2"]])
    assert diff(fleet).changes == ()


def test_documents_down_to_their_keys(fleet: Fleet) -> None:
    put(fleet, APP, [["alice", "web1"]])
    commit(fleet.root)
    before = (fleet.root / APP).read_text()
    put(fleet, APP, [["alice", "web2"]])
    both = ("list/0", "list/1", "mail/port", "mail/smtp")
    assert effects(diff(fleet)) == {(APP, both): ("changed", ["web2"], ["web1"])}
    without = "".join(line for line in before.splitlines(True) if "port" not in line)
    (fleet.root / APP).write_text(without)
    assert effects(diff(fleet)) == {(APP, ("mail/port",)): ("removed", [], ["alice", "web1"])}
    commit(fleet.root)
    (fleet.root / APP).write_text(before)
    assert effects(diff(fleet)) == {(APP, ("mail/port",)): ("new", ["alice", "web1"], [])}
    assert f"new {APP}: mail/port" in said(fleet, "HEAD")[0]


def test_moved_files(fleet: Fleet) -> None:
    put(fleet, APP, [["alice", "web1"]])
    recipients = [fleet.key(name).derived for name in ("alice", "web1")]
    nameless = seal_value(Format.AGE, Sensitive(b"x"), recipients, armor=False)
    (fleet.root / "secrets/web/nameless.age").write_bytes(nameless)
    commit(fleet.root)
    (fleet.root / "secrets/web/sub").mkdir()
    (fleet.root / "secrets/web/nameless.age").rename(fleet.root / "secrets/nameless.age")
    (fleet.root / DB).rename(fleet.root / "secrets/web/sub/db.age")
    (fleet.root / APP).rename(fleet.root / "secrets/web/sub/app.yaml")
    assert diff(fleet).changes == ()
    assert diff(fleet).moved == (
        ("secrets/web/nameless.age", "secrets/nameless.age"),
        (APP, "secrets/web/sub/app.yaml"),
        (DB, "secrets/web/sub/db.age"),
    ), "the same bytes have the same readers, whatever is assumed of them at the new path"
    # A document that was given to somebody in the same breath still has its sealed values.
    rekey(fleet)
    (change,) = diff(fleet).changes
    assert (change.path, change.moved_from) == ("secrets/web/sub/app.yaml", APP)
    assert [gain.names for gain in change.gained] == [("web2",)]
    assert f"(was {APP})" in said(fleet, "HEAD")[0]


def test_a_revision_without_registry(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """Before the registry there were files, and they say who reads them."""
    peer("git")
    fleet = make_fleet(tmp_path)
    start(fleet.root)
    registry = (fleet.root / "secretsmith.toml").read_text()
    (fleet.root / "secretsmith.toml").unlink()
    path = fleet.root / DB
    path.parent.mkdir(parents=True)
    stranger = keys.ed25519_key()
    texts = [fleet.key("alice").text, fleet.key("web1").text]
    path.write_bytes(seal_value(Format.AGE, Sensitive(b"x"), [*texts, stranger.public], armor=False))
    # As many as the rules want by and by; nothing says that it is them.
    anonymous = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    nameless = fleet.root / "secrets/web/nameless.age"
    nameless.write_bytes(seal_value(Format.AGE, Sensitive(b"x"), anonymous, armor=False))
    put(fleet, APP, [["alice", "web1"]])
    (fleet.root / "secrets/secrets.nix").write_text("{ }")
    first = commit(fleet.root)
    (fleet.root / "secretsmith.toml").write_text(registry)
    path.write_bytes(seal_value(Format.AGE, Sensitive(b"x"), [*texts, fleet.key("web2").text], armor=False))
    nameless.write_bytes(seal_value(Format.AGE, Sensitive(b"x"), anonymous, armor=False))
    commit(fleet.root)
    found = diff(fleet, f"{first}..HEAD")
    (change, other) = found.changes
    assert [gain.key for gain in other.lost] == ["anonymous×3"]
    assert other.basis == ("file", "assumed")
    assert [gain.names for gain in change.gained] == [("web2",)]
    assert [gain.key[:8] for gain in change.lost] == ["ssh-tag:"]
    assert "has no secretsmith.toml" in found.notes[0]
    assert "note: " in said(fleet, first)[1]
    back = diff(fleet, f"HEAD..{first}")
    assert [gain.names for gain in back.changes[0].lost] == [("web2",)]


def test_a_registry_or_lock_that_cannot_be_read_is_passed_over(fleet: Fleet) -> None:
    good = (fleet.root / "secretsmith.toml").read_text()
    lock = (fleet.root / "secretsmith.lock").read_text()
    (fleet.root / "secretsmith.toml").write_text("<<<<<<< HEAD\n")
    (fleet.root / "secretsmith.lock").write_text("{")
    commit(fleet.root)
    (fleet.root / "secretsmith.toml").write_text(good)
    (fleet.root / "secretsmith.lock").write_text(lock)
    found = diff(fleet)
    assert found.changes == ()
    assert len(found.notes) == 2


def test_the_lock_of_each_revision_speaks_for_anonymous_recipients(fleet: Fleet) -> None:
    from secretsmith.crypto.publickey import Form

    project = fleet.project()
    apply_rekey(project, plan_rekey(project, form=Form.DERIVED), accept=("all",))
    commit(fleet.root)
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    rekey(fleet)
    found = diff(fleet)
    assert effects(found) == {(DB, None): ("changed", [], ["web2"])}
    assert found.changes[0].basis == ("lock", "lock")


def test_a_file_in_clear_is_for_everybody(fleet: Fleet) -> None:
    (fleet.root / DB).write_bytes(b"hunter2\n")
    (change,) = diff(fleet).changes
    assert [gain.key for gain in change.gained] == [EVERYBODY]
    text, notes = said(fleet, "HEAD")
    assert f"+ {EVERYBODY}" in text
    assert "hunter2" not in text + notes


def test_a_damaged_file_is_a_note_and_no_change(fleet: Fleet) -> None:
    data = (fleet.root / DB).read_bytes()
    (fleet.root / DB).write_bytes(data[:60])
    found = diff(fleet)
    assert found.changes == ()
    assert any(DB in note and "not known" in note for note in found.notes)


def test_markdown_for_a_pull_request(fleet: Fleet) -> None:
    for number in range(12):
        fleet.put(f"secrets/web/{number}.age", b"x")
    commit(fleet.root)
    fleet.hosts["web3"] = keys.ed25519_key()
    fleet.rules["secrets/web/**"] = ("web1", "web3")
    fleet.write()
    fleet.accept_all()
    rekey(fleet)
    text, _ = said(fleet, "HEAD", markdown=True)
    lines = text.splitlines()
    assert lines[0].startswith("### Access: ")
    assert lines[0].endswith(" → work tree")
    assert "13 secrets changed: 1 gained access, 1 lost access." in lines
    (row,) = (line for line in lines if line.startswith("| <"))
    assert row.startswith("| <details><summary>13 secrets</summary><code>secrets/web/0.age</code><br>")
    assert row.endswith(" | web3 | web2 |"), "what has the same change is one row"


def test_only_what_was_asked_for(fleet: Fleet) -> None:
    fleet.put("secrets/other.age", b"x")
    fleet.put("secrets/web/new.age", b"x")
    assert "other" not in said(fleet, "HEAD", "web1")[0]
    assert "web/new" not in said(fleet, "HEAD", "secrets/other.age")[0]
    assert "other" in said(fleet, "HEAD", "other")[0]
    assert said(fleet, "HEAD", "web1", "secrets/other.age")[0] == ""
    found = json.loads(said(fleet, "HEAD", "web2", json=True)[0])
    assert [change["path"] for change in found["changes"]] == ["secrets/web/new.age"]


def test_what_is_no_revision(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        diff(fleet, "nope")
    for bad in ("--output=x", "-p..HEAD", "HEAD..--all"):
        with pytest.raises(RefusedInput):
            diff(fleet, bad)
    (tmp_path / "bare").mkdir()
    lone = make_fleet(tmp_path / "bare")
    with pytest.raises(RefusedInput, match="no git repository"):
        diff(lone)


def test_a_registry_below_the_top_of_the_repository(tmp_path: Path, peer: Callable[[str], str]) -> None:
    peer("git")
    fleet = make_fleet(tmp_path)
    start(tmp_path)
    fleet.put(DB, b"x")
    git(tmp_path, "add", "fleet")
    git(tmp_path, "commit", "-qm", "x")
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    rekey(fleet)
    assert effects(diff(fleet)) == {(DB, None): ("changed", [], ["web2"])}
