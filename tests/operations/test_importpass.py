"""``import pass`` against the real pass and gpg."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from passstores import PassStore
from people import Scripted
from repositories import Fleet

from secretsmith.errors import Code, Conflict, Interrupted, NotFound, RefusedInput
from secretsmith.operations.importpass import apply_import
from secretsmith.operations.importplan import Copy, plan_import
from secretsmith.plugin.api import Fetched, PluginContext
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader
from secretsmith.policy.lock import Link


def plan(fleet: Fleet, subtree: str | None = None, *maps: str, select: str | None = None) -> tuple[Copy, ...]:
    return plan_import(fleet.project(), "pass", subtree, maps=maps, select=select, cwd=fleet.root)


def pairs(copies: tuple[Copy, ...]) -> dict[str, str]:
    return {copy.source: copy.path for copy in copies}


@pytest.fixture
def filled(pass_store: PassStore) -> PassStore:
    pass_store.insert("web/db", b"hunter2\nuser: alice\n")
    pass_store.insert("web/m\u00fcnch en/\u00f6", b"umlaut\n")
    pass_store.insert("other#1", b"other\n")
    return pass_store


def test_the_plan_names_files_and_decrypts_nothing(fleet: Fleet, filled: PassStore) -> None:
    fleet.environ["PATH"] = "/nowhere"
    before = fleet.files()
    assert pairs(plan(fleet)) == {
        "pass:other%231": "secrets/other-1.age",
        "pass:web/db": "secrets/web/db.age",
        "pass:web/m\u00fcnch en/\u00f6": "secrets/web/munch-en/o.age",
    }
    assert pairs(plan(fleet, "web/db")) == {"pass:web/db": "secrets/web/db.age"}
    assert len(plan(fleet, "web/")) == len(plan(fleet, "web")) == 2
    assert pairs(plan(fleet, "web/db", select="*")) == {"pass:web/db#*": "secrets/web/db.age"}
    assert pairs(plan(fleet, None, "web/db#user=web/user")) == {"pass:web/db#user": "secrets/web/user.age"}
    mapped = pairs(plan(fleet, "web", "web/db=x/y.age", "pass:other%231=z"))
    assert mapped["pass:web/db"] == "secrets/x/y.age"
    assert mapped["pass:other%231"] == "secrets/z.age"
    assert len(mapped) == 3
    assert fleet.files() == before


@pytest.mark.parametrize("text", ["web/db", "=x", "web/db=", "web/db=x.yaml", "web/db=../x"])
def test_maps_that_are_none(text: str, fleet: Fleet, filled: PassStore) -> None:
    with pytest.raises(RefusedInput):
        plan(fleet, None, text)


def test_names_that_meet_or_make_no_file(fleet: Fleet, filled: PassStore) -> None:
    filled.insert("other-1", b"x\n")
    with pytest.raises(RefusedInput) as refused:
        plan(fleet)
    assert refused.value.code is Code.NAME_CLASH
    assert len(plan(fleet, None, "other%231=x")) == 1
    filled.insert("!!!", b"x\n")
    with pytest.raises(RefusedInput) as refused:
        plan(fleet, "!!!")
    assert refused.value.code is Code.NAME


def test_nothing_of_that_name(fleet: Fleet, filled: PassStore) -> None:
    with pytest.raises(NotFound) as refused:
        plan(fleet, "wbe")
    assert refused.value.hints == ("did you mean web?",)
    with pytest.raises(NotFound):
        plan(fleet, "web/d")


def test_a_source_that_cannot_list(fleet: Fleet) -> None:
    loader = Loader([Entry("secretsmith.sources", "pass", f"{__name__}:Silent", "x", "1")])
    with pytest.raises(RefusedInput):
        plan_import(fleet.project(), "pass", cwd=fleet.root, loader=loader)


def test_entries_become_secrets_for_their_readers(fleet: Fleet, filled: PassStore) -> None:
    done = apply_import(fleet.project(), plan(fleet), to=["bob"], accept=["all"])
    assert [written.created for written in done] == [True] * 3
    assert fleet.opens("bob", "secrets/other-1.age") == b"other"
    assert fleet.opens("web1", "secrets/other-1.age") is None
    assert fleet.readers("secrets/web/db.age") == ["alice", "bob", "web1"]
    assert fleet.opens("web1", "secrets/web/db.age") == b"hunter2"
    assert fleet.project().lock.links == {}  # a copy, no link
    before = fleet.files()
    again = apply_import(fleet.project(), plan(fleet))
    assert all(written.unchanged for written in again)
    assert fleet.files() == before


def test_without_rules_admins_read_it_and_a_person_is_asked_once(fleet: Fleet, filled: PassStore) -> None:
    apply_import(fleet.project(), plan(fleet, "other%231"))
    assert fleet.readers("secrets/other-1.age") == ["alice"]
    filled.insert("a/1", b"x\n")
    filled.insert("a/2", b"y\n")
    person = Scripted(["bob, web2"])
    apply_import(fleet.project(person), plan(fleet, "a"))
    assert len(person.asked) == 1
    assert fleet.readers("secrets/a/1.age") == fleet.readers("secrets/a/2.age") == ["alice", "bob", "web2"]


def test_other_values_are_replaced_only_on_demand(fleet: Fleet, filled: PassStore) -> None:
    fleet.set("web/db", b"mine")
    before = fleet.files()
    with pytest.raises(Conflict) as refused:
        apply_import(fleet.project(), plan(fleet, "web"))
    assert refused.value.code is Code.EXISTS
    assert "secrets/web/db.age" in refused.value.message
    with pytest.raises(Interrupted):
        apply_import(fleet.project(Scripted([False])), plan(fleet, "web"))
    assert fleet.files() == before
    apply_import(fleet.project(Scripted([True])), plan(fleet, "web"))
    assert fleet.opens("web1", "secrets/web/db.age") == b"hunter2"
    fleet.set("web/db", b"mine")
    apply_import(fleet.project(), plan(fleet, "web"), force=True)
    assert fleet.opens("web1", "secrets/web/db.age") == b"hunter2"


def test_a_value_that_cannot_be_seen_is_not_lost_unasked(fleet: Fleet, filled: PassStore) -> None:
    fleet.encrypt("secrets/web/db.age", fleet.public["web1"], value=b"hunter2")
    with pytest.raises(Conflict):
        apply_import(fleet.project(), plan(fleet, "web/db"))


def test_one_that_fails_takes_all_with_it(fleet: Fleet, filled: PassStore) -> None:
    filled.file("web/zz").write_bytes(b"no message")
    before = fleet.files()
    done = fleet.run("import", "pass", "web", code=6)
    assert b"pass:web/zz: the entry is damaged" in done.stderr
    assert fleet.files() == before


def test_a_linked_file_is_not_imported_over(fleet: Fleet, filled: PassStore) -> None:
    apply_import(fleet.project(), plan(fleet, "web/db"))
    lock = fleet.root / "secretsmith.lock"
    text = json.loads(lock.read_text())
    link = Link("pass:web/db", "0" * 64, "alice")
    text["links"] = {
        "secrets/web/db.age": {"source": link.source, "store_digest": link.store_digest, "by": link.by}
    }
    lock.write_text(json.dumps(text))
    with pytest.raises(RefusedInput) as refused:
        apply_import(fleet.project(), plan(fleet, "web/db"), force=True)
    assert refused.value.code is Code.LINKED


def test_a_recipient_that_nobody_named_stops_it(fleet: Fleet, filled: PassStore, tmp_path: Path) -> None:
    stranger = Fleet(tmp_path / "other").public["bob"]
    fleet.encrypt("secrets/web/db.age", fleet.public["alice"], stranger)
    done = fleet.run("import", "pass", "web/db", "--force", code=6)
    assert b"never named" in done.stderr


def test_the_command(fleet: Fleet, filled: PassStore) -> None:
    listed = json.loads(fleet.run("import", "pass", "web/db", "--plan", "--json").stdout)
    assert listed == [{"source": "pass:web/db", "path": "secrets/web/db.age", "exists": False}]
    done = fleet.run("import", "pass", "web/db", "--select", "*")
    assert b"wrote secrets/web/db.age (new), readable by alice, web1" in done.stderr
    assert fleet.opens("web1", "secrets/web/db.age") == b"hunter2\nuser: alice\n"
    assert b"first line" in fleet.run("import", "pass", "web/db", "--force").stderr
    assert b"exists" in fleet.run("import", "pass", "web/db", "--plan").stdout
    fleet.run("import", "pass", "--plan", "--to", "bob", code=2)
    fleet.run("import", "pass", "--json", code=2)
    fleet.run("import", "passage", code=4)
    assert not fleet.holds(b"user: alice")


class Silent:
    """A source that cannot list."""

    api_version = 1

    def fetch(self, reference: str, context: PluginContext) -> Fetched:
        raise NotImplementedError

    def digest(self, reference: str, context: PluginContext) -> str | None:
        return None
