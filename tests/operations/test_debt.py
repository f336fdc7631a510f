"""`debt`: one record a value, what pays it and what does not, `debt clear`, and what only git remembers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import keys
import pytest
from repositories import CHECKOUT, Fleet

from secretsmith.errors import NotFound, RefusedInput
from secretsmith.operations import debt
from secretsmith.operations.debt import clear_debt, commit_command, days_since, list_debt, parse_days
from secretsmith.operations.debthistory import remembered_values
from secretsmith.policy.lock import Debt, DebtReason, dump_lock

DOCUMENT = "secrets/web/app.yaml"
TEXT = b"""# about
db:
    password: of the database
    user_unencrypted: postgres
list:
    - first of the list
    - second of the list
empty: ""
a/b: of a key with a slash
"0": of a key that is a number
"""
KEYS = ["a~1b", "db/password", "list/0", "list/1", "~k0"]


@pytest.fixture
def document(fleet: Fleet) -> Fleet:
    fleet.run("set", DOCUMENT, "--to", "web1,web2", "--accept", "all", stdin=TEXT)
    return fleet


def owed(fleet: Fleet) -> list[tuple[str, str | None, str]]:
    return [(record.path, record.key, record.principal) for record in fleet.project().lock.debt]


def retire(fleet: Fleet, name: str = "web2") -> None:
    fleet.run("host", "retire", name, "--yes", "--rekey")


def change(fleet: Fleet, *records: Debt) -> None:
    lock = fleet.project().lock.with_debt(records)
    (fleet.root / "secretsmith.lock").write_text(dump_lock(lock))


def test_a_document_owes_each_of_its_sealed_values(document: Fleet) -> None:
    retire(document)
    assert owed(document) == [(DOCUMENT, key, "web2") for key in KEYS]


def test_an_age_file_owes_itself(fleet: Fleet) -> None:
    fleet.set("web/db", b"value", "--to", "web2", "--accept", "all")
    retire(fleet)
    assert owed(fleet) == [("secrets/web/db.age", None, "web2")]


def test_a_document_with_very_many_values_is_one_record(
    document: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = document.project()
    monkeypatch.setattr(debt, "MAX_KEYS", len(KEYS))
    assert len(debt.owed_values(project, DOCUMENT, {"web2": "retired"})) == len(KEYS)
    monkeypatch.setattr(debt, "MAX_KEYS", len(KEYS) - 1)
    assert [record.key for record in debt.owed_values(project, DOCUMENT, {"web2": "retired"})] == [None]


def test_more_than_a_thousand_values(fleet: Fleet) -> None:
    text = b"".join(b"key%d: value %d\n" % (number, number) for number in range(debt.MAX_KEYS + 1))
    fleet.run("set", "web/many.yaml", stdin=text)
    records = debt.owed_values(
        fleet.project(), "secrets/web/many.yaml", {"web1": "retired", "bob": "revoked"}
    )
    assert [(record.key, record.principal) for record in records] == [(None, "bob"), (None, "web1")]


@pytest.mark.parametrize("name", ["app.yaml", "blob.bin"])
def test_what_cannot_be_taken_apart_is_one_record(fleet: Fleet, name: str) -> None:
    path = fleet.root / "secrets/web" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x00 broken")
    assert [
        record.key for record in debt.owed_values(fleet.project(), f"secrets/web/{name}", {"web1": "retired"})
    ] == [None]


def test_names_that_would_steer_a_terminal_stay_out_of_the_lock(fleet: Fleet) -> None:
    fleet.run("set", "web/odd.json", stdin=b'{"a\\u001b[2Jb": "value"}')
    records = debt.owed_values(fleet.project(), "secrets/web/odd.json", {"web1": "retired"})
    assert [record.key for record in records] == [None]


def test_set_pays_one_value_and_says_so(document: Fleet) -> None:
    retire(document)
    done = document.run("set", DOCUMENT, "db/password", stdin=b"another one")
    assert b"db/password: changed since web2 lost access" in done.stderr
    assert [key for _, key, _ in owed(document)] == [key for key in KEYS if key != "db/password"]


def test_the_same_value_pays_nothing_and_neither_do_rotate_and_rekey(document: Fleet) -> None:
    retire(document)
    before = owed(document)
    document.run("set", DOCUMENT, "db/password", stdin=b"of the database")
    document.run("rotate", DOCUMENT)
    document.run("rekey")
    assert owed(document) == before


def test_a_value_that_only_moved_pays_nothing(document: Fleet) -> None:
    retire(document)
    document.run("set", DOCUMENT, "copy", stdin=b"of the database")
    document.run("unset", DOCUMENT, "db/password")
    assert (DOCUMENT, "copy", "web2") in owed(document), "the record follows the value"
    assert len(owed(document)) == len(KEYS)
    document.run("set", DOCUMENT, "copy", stdin=b"another one")
    assert len(owed(document)) == len(KEYS) - 1


def test_unset_pays(document: Fleet) -> None:
    retire(document)
    document.run("unset", DOCUMENT, "a~1b")
    assert (DOCUMENT, "a~1b", "web2") not in owed(document)


def test_edit_pays_what_it_changed(document: Fleet) -> None:
    retire(document)
    editor = document.folder / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/first of the list/another first/' \"$1\"\n")
    editor.chmod(0o755)
    document.run("edit", DOCUMENT, EDITOR=str(editor))
    assert [key for _, key, _ in owed(document)] == [key for key in KEYS if key != "list/0"]


def test_a_list_that_lost_its_first_item_still_owes_the_others(document: Fleet) -> None:
    retire(document)
    document.run("unset", DOCUMENT, "list/0")
    assert [key for _, key, _ in owed(document) if key and key.startswith("list")] == ["list/0"]
    document.run("set", DOCUMENT, "list/0", stdin=b"a new second")
    assert [key for _, key, _ in owed(document) if key and key.startswith("list")] == []


def test_a_key_that_is_not_there_any_more_is_never_paid_by_a_write(document: Fleet) -> None:
    retire(document)
    today = document.project().today
    change(document, Debt(DOCUMENT, "moved/by/sops", "web2", "retired", today))
    document.run("set", DOCUMENT, "other", stdin=b"something else")
    assert (DOCUMENT, "moved/by/sops", "web2") in owed(document)
    project = document.project()
    commands = {item.record.key: item.command for item in list_debt(project).owed}
    assert commands["moved/by/sops"].startswith(
        f"secretsmith debt clear {DOCUMENT} --key moved/by/sops --because"
    )
    assert commands["a~1b"] == f"secretsmith set {DOCUMENT} 'a~1b'"


def test_a_compromised_host_that_reads_on_owes(document: Fleet) -> None:
    new = keys.ed25519_key("web2").public
    document.run("host", "reprovision", "web2", "--key", new, "--reason", "compromised", "--yes", "--rekey")
    assert owed(document) == [(DOCUMENT, key, "web2") for key in KEYS]
    document.run("set", DOCUMENT, "db/password", stdin=b"another one")
    assert (DOCUMENT, "db/password", "web2") not in owed(document)


def record(
    path: str, since: str, reason: DebtReason = "removed", key: str | None = None, who: str = "bob"
) -> Debt:
    return Debt(path, key, who, reason, since)


def test_age_and_reinstalled_hosts(fleet: Fleet) -> None:
    fleet.set("web/db", b"value")
    project = fleet.project()
    project.__dict__["today"] = "2026-03-31"
    old, new = record("secrets/web/db.age", "2026-03-01"), record("secrets/x.age", "2026-03-30")
    again = record("secrets/web/db.age", "2026-01-01", "reinstalled", who="web1")
    object.__setattr__(project, "lock", project.lock.with_debt([old, new, again]))
    found = list_debt(project)
    assert [(item.record, item.days) for item in found.owed] == [(old, 30), (new, 1)]
    assert (found.uncounted, found.younger) == (1, 0)
    assert [item.record for item in list_debt(project, older_than=29).owed] == [old]
    assert list_debt(project, older_than=30).owed == ()
    assert list_debt(project, older_than=30).younger == 2
    assert [item.record for item in list_debt(project, reinstalled=True, older_than=30).owed] == [again]
    assert found.owed[0].command == "secretsmith set secrets/web/db.age"
    assert found.owed[1].command.startswith("secretsmith debt clear secrets/x.age --because …")


@pytest.mark.parametrize(("text", "days"), [("30", 30), ("30d", 30), ("4w", 28), ("0", 0)])
def test_ages(text: str, days: int) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "d", "-1", "1y", "1.5d", "٣d", "9" * 50])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(RefusedInput):
        parse_days(text)


def test_dates_of_other_clocks() -> None:
    assert days_since("2026-03-02", "2026-03-01") == 0
    assert days_since("2026-02-31", "2026-03-01") == 0


@pytest.fixture
def owing(fleet: Fleet) -> Fleet:
    fleet.set("web/db", b"value")
    change(
        fleet,
        record("secrets/web/db.age", "2026-03-01"),
        record("secrets/web/db.age", "2026-03-01", who="web2"),
        record("secrets/web/app.yaml", "2026-03-01", key="db/password"),
        record("secrets/web/app.yaml", "2026-03-01", key="dbx"),
        record("secrets/other/gone.age", "2026-03-01"),
    )
    return fleet


@pytest.mark.parametrize(
    ("words", "limits", "left"),
    [
        (["web/db"], {}, 3),
        (["secrets/web/db.age"], {"principal": "bob"}, 4),
        (["web/app.yaml"], {"key": "db"}, 4),
        (["secrets/other/gone.age"], {}, 4),
        (["other"], {}, 4),
        (["."], {}, 0),
        (["web", "other"], {"principal": "web2"}, 4),
    ],
)
def test_clear(owing: Fleet, words: list[str], limits: dict[str, str], left: int) -> None:
    cleared = clear_debt(owing.project(), words, because=" it\nwas  public ", cwd=owing.root, **limits)
    assert len(owed(owing)) == left == 5 - len(cleared.records)
    assert cleared.message.endswith(": it was public")
    assert commit_command(cleared).startswith("git commit -m 'clear the debt of ")


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (["web/x"], {}),
        (["web/db"], {"principal": "alice"}),
        (["web/db"], {"key": "a"}),
        ([""], {}),
        (["../x"], {}),
    ],
)
def test_clear_finds_nothing(owing: Fleet, words: list[str], limits: dict[str, str]) -> None:
    before = owing.files()
    with pytest.raises(NotFound):
        clear_debt(owing.project(), words, because="why", cwd=owing.root, **limits)
    assert owing.files() == before


def test_clear_from_inside_a_folder(owing: Fleet) -> None:
    clear_debt(owing.project(), ["db.age"], because="why", cwd=owing.root / "secrets/web")
    assert len(owed(owing)) == 3


def git(fleet: Fleet, *words: str) -> None:
    subprocess.run(["git", *words], cwd=fleet.root, check=True, capture_output=True)


def commit(fleet: Fleet) -> None:
    git(fleet, "add", "-A")
    git(fleet, "commit", "-qm", "x")


@pytest.fixture
def committed(fleet: Fleet, peer: Callable[[str], str]) -> Fleet:
    """Two files, which were deleted while everybody could read them, and one that is still there."""
    peer("git")
    git(fleet, "init", "-q")
    for name in ("kept", "old", "older"):
        fleet.set(
            f"web/{name}", name.encode(), *(["--to", "bob", "--accept", "all"] if name != "older" else [])
        )
    commit(fleet)
    fleet.run("rm", "web/old", "web/older", "--force")
    commit(fleet)
    return fleet


def test_history_names_deleted_files_that_a_lost_key_opens(committed: Fleet) -> None:
    assert remembered_values(committed.project()).remembered == (), "bob may read"
    committed.run("user", "remove", "bob", "--yes", "--rekey")
    (found,) = remembered_values(committed.project()).remembered
    assert (found.path, found.principal, str(found.state)) == ("secrets/web/old.age", "bob", "removed")
    assert found.date == committed.project().today
    blob = subprocess.run(
        ["git", "show", f"{found.commit}:{found.path}"], cwd=committed.root, capture_output=True, check=True
    ).stdout
    (committed.root / "it").write_bytes(blob)
    assert committed.opens("bob", "it") == b"old"


def test_history_of_reinstalled_hosts_only_when_asked(committed: Fleet) -> None:
    new = keys.ed25519_key("web1").public
    committed.run("host", "reprovision", "web1", "--key", new, "--yes", "--rekey")
    project = committed.project()
    assert remembered_values(project).remembered == ()
    found = remembered_values(project, reinstalled=True).remembered
    assert {item.path for item in found} == {"secrets/web/old.age", "secrets/web/older.age"}


def test_history_leaves_out_what_is_owed_or_written_again(committed: Fleet) -> None:
    committed.run("user", "remove", "bob", "--yes", "--rekey")
    committed.set("web/old", b"a new one")
    assert remembered_values(committed.project()).remembered == ()
    committed.run("rm", "web/old", "--force")
    change(committed, record("secrets/web/old.age", "2026-03-01"))
    assert remembered_values(committed.project()).remembered == ()


def test_history_is_no_debt(committed: Fleet) -> None:
    committed.run("user", "remove", "bob", "--yes", "--rekey")
    committed.run("debt", "clear", "secrets", "--because", "a test")
    done = committed.run("debt", "--history")
    assert b"secrets/web/old.age" in done.stdout
    assert b"bob (removed)" in done.stdout
    tree = json.loads(committed.run("debt", "--history", "--json").stdout)
    schema = json.loads((CHECKOUT / "docs/reference/schemas/debt.schema.json").read_text())
    jsonschema.validate(tree, schema, cls=jsonschema.Draft202012Validator)
    assert [item["path"] for item in tree["history"]] == ["secrets/web/old.age"]


def test_history_without_git(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="no git repository"):
        remembered_values(fleet.project())
