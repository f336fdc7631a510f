"""A plan in a file: made by one, applied by another, to the tree that it was made for or to none."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import keys
import pytest
from repositories import Fleet

from secretsmith.operations.rekey import plan_rekey
from secretsmith.policy import edit

WEB, DOC, OTHER = "secrets/web/db.age", "secrets/web/app.yaml", "secrets/other/db.age"
SCHEMA = Path(__file__).resolve().parents[2] / "docs/reference/schemas/rekey-plan-file.schema.json"


@pytest.fixture
def drifting(fleet: Fleet) -> Fleet:
    """Three files, all of which web2 is to read as well."""
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/other/**"], ["web1"]))
    for path in (WEB, OTHER):
        fleet.set(path, b"hunter2")
    fleet.run("set", DOC, "a", stdin=b"1")
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["web2"]))
    return fleet


def plan(fleet: Fleet, *words: str, code: int = 3) -> str:
    file = fleet.folder / "plan.json"
    fleet.run("rekey", "--plan", "--out", str(file), *words, code=code)
    return str(file)


def test_it_is_what_the_schema_says_and_names_what_it_was_made_for(drifting: Fleet) -> None:
    found = json.loads(Path(plan(drifting)).read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
    assert [file["path"] for file in found["files"]] == sorted((WEB, DOC, OTHER))
    assert set(found["names"].values()) == {"alice", "web1", "web2"}
    assert not any(file["blocked"] for file in found["files"])


def test_exactly_the_plan_is_done_wherever_it_was_made(drifting: Fleet) -> None:
    """CI, which has no key, says that it could not; who applies it can."""
    file = drifting.folder / "plan.json"
    words = ("rekey", "--plan", "--out", str(file), "secrets/web")
    drifting.run(*words, code=3, SECRETSMITH_IDENTITY="/nowhere", HOME="/nowhere")
    assert all(each["blocked"] for each in json.loads(file.read_text())["files"])
    other = (drifting.root / OTHER).read_bytes()
    said = drifting.run("rekey", "--apply", str(file)).stderr.decode()
    assert "2 files rekeyed" in said
    assert (drifting.root / OTHER).read_bytes() == other
    assert drifting.readers(WEB) == ["alice", "web1", "web2"]
    assert [left.path for left in plan_rekey(drifting.project()).files] == [OTHER]
    drifting.run("rekey", "--apply", str(file), code=9)


def test_it_fits_only_the_tree_that_it_was_made_for(drifting: Fleet) -> None:
    file = plan(drifting, "secrets/web")
    kept = {name: (drifting.root / name).read_bytes() for name in ("secretsmith.toml", WEB, DOC)}
    for name, change in (
        ("secretsmith.toml", lambda data: data + b"# a comment\n"),
        (WEB, lambda data: data + b"\n"),
        (DOC, lambda data: data.replace(b"a:", b"b:")),
        (WEB, lambda data: None),
    ):
        data = change(kept[name])
        if data is None:
            (drifting.root / name).unlink()
        else:
            (drifting.root / name).write_bytes(data)
        before = drifting.files()
        said = drifting.run("rekey", "--apply", file, code=9).stderr.decode()
        assert "nothing was written" in said and "--plan --out" in said
        assert drifting.files() == before
        (drifting.root / name).write_bytes(kept[name])
    # A file that the plan does not speak of may change.
    drifting.encrypt(OTHER, drifting.public["alice"], drifting.public["web1"])
    drifting.run("rekey", "--apply", file)


def test_a_plan_cannot_add_a_reader(drifting: Fleet) -> None:
    """What it says is compared with what the registry says; it gives nobody anything."""
    file = Path(plan(drifting))
    found = json.loads(file.read_text())
    found["files"][0]["add"].append(drifting.project().registry.users["bob"].keys[0].fingerprint)
    file.write_text(json.dumps(found))
    before = drifting.files()
    drifting.run("rekey", "--apply", str(file), code=9)
    assert drifting.files() == before


def test_keys_that_nobody_accepted_here_are_asked_for_as_ever(drifting: Fleet) -> None:
    late = keys.ed25519_key("late")
    drifting.change_registry(lambda text: edit.add_host(text, "late", [late.public]))
    drifting.change_registry(lambda text: edit.grant(text, ["secrets/**"], ["late"]))
    file = plan(drifting)
    assert b"--accept SHA256:" in drifting.run("rekey", "--apply", file, code=2).stderr
    drifting.run("rekey", "--apply", file, "--accept", "all")


def test_the_form_goes_with_the_plan(drifting: Fleet) -> None:
    drifting.run("rekey")
    file = plan(drifting, "--form", "derived", WEB)
    drifting.run("rekey", "--apply", file)
    assert b"-> ssh-ed25519" not in (drifting.root / WEB).read_bytes()
    assert not plan_rekey(drifting.project(), [WEB])


def test_an_empty_plan_is_applied_to_nothing(drifting: Fleet) -> None:
    drifting.run("rekey")
    file = plan(drifting, code=0)
    assert drifting.run("rekey", "--apply", file).stderr == b"nothing to do\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"version": 2}',
        b'{"version": true}',
        b'{"version": 1, "registry": "", "form": [], "drop_unknown": false, "files": []}',
        b'{"version": 1, "registry": "", "form": null, "drop_unknown": false, "files": [{"path": 1}]}',
        b'{"version": 1, "registry": "", "form": null, "drop_unknown": false, "files": [null]}',
    ],
)
def test_what_is_no_plan(drifting: Fleet, content: bytes) -> None:
    (drifting.folder / "bad").write_bytes(content)
    before = drifting.files()
    assert b"../bad" in drifting.run("rekey", "--apply", "../bad", code=2).stderr
    assert drifting.files() == before


def test_flags_that_do_not_go_together(drifting: Fleet) -> None:
    file = plan(drifting)
    drifting.run("rekey", "--out", "x", code=2)
    drifting.run("rekey", "--apply", "nowhere", code=4)
    for more in (("--plan",), ("secrets/web",), ("--form", "native"), ("--drop-unknown",)):
        drifting.run("rekey", "--apply", file, *more, code=2)


def test_a_plan_that_cannot_be_written_leaves_none(drifting: Fleet) -> None:
    drifting.run("rekey", "--plan", "--out", "no/such/folder/plan", code=4)
