"""``export pass`` against the real pass and gpg."""

from __future__ import annotations

import pytest
from passstores import PassStore
from people import Scripted
from repositories import Fleet

from secretsmith.errors import Code, Conflict, Interrupted, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.operations.exportpass import Stored, export_secrets

DB = "secrets/web/db.age"


def export(
    fleet: Fleet,
    *paths: str,
    name: str | None = None,
    prefix: str = "",
    force: bool = False,
    interaction: Interaction | None = None,
) -> list[Stored]:
    project = fleet.project(interaction)
    return list(export_secrets(project, "pass", paths, name=name, prefix=prefix, force=force))


def test_values_get_into_pass(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    fleet.set("web/tls", b"line\n\0line")
    fleet.set("web/nl", b"line\n")
    done = export(fleet, DB, "secrets/web/tls.age", "secrets/web/nl.age", prefix="hosts/")
    assert [(one.target, one.state) for one in done] == [
        ("pass:hosts/web/db", "new"),
        ("pass:hosts/web/tls#*", "new"),
        ("pass:hosts/web/nl#*", "new"),
    ]
    assert pass_store.run("show", "hosts/web/db") == b"hunter2\n"
    assert pass_store.run("show", "hosts/web/tls") == b"line\n\0line"
    assert pass_store.run("show", "hosts/web/nl") == b"line\n"
    entry = pass_store.file("hosts/web/db").read_bytes()
    assert [one.state for one in export(fleet, DB, prefix="hosts")] == ["unchanged"]
    assert pass_store.file("hosts/web/db").read_bytes() == entry
    assert not fleet.holds(b"line\n\0line")


def test_other_values_are_replaced_only_on_demand(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    pass_store.insert("web/db", b"mine\nuser: alice\n")
    with pytest.raises(Conflict) as refused:
        export(fleet, DB)
    assert refused.value.code is Code.EXISTS
    with pytest.raises(Interrupted):
        export(fleet, DB, interaction=Scripted([False]))
    assert pass_store.run("show", "web/db") == b"mine\nuser: alice\n"
    assert [one.state for one in export(fleet, DB, interaction=Scripted([True]))] == ["replaced"]
    assert pass_store.run("show", "web/db") == b"hunter2\nuser: alice\n"
    fleet.set("web/db", b"hunter3")
    assert [one.state for one in export(fleet, DB, force=True)] == ["written"]
    assert pass_store.run("show", "web/db") == b"hunter3\nuser: alice\n"


@pytest.mark.parametrize("entry", [b"", b"\nuser: alice\n"])
def test_an_entry_without_a_first_line_is_another_value(
    entry: bytes, fleet: Fleet, pass_store: PassStore
) -> None:
    fleet.set("web/db", b"hunter2")
    pass_store.insert("web/db", entry)
    with pytest.raises(Conflict):
        export(fleet, DB)


def test_an_entry_without_the_key_is_refused_unasked(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    pass_store.insert("web/db", b"x\n")
    with pytest.raises(Conflict):
        export(fleet, DB, name="web/db#user")


def test_names(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    fleet.set("web/a%b", b"hunter2")
    assert export(fleet, DB, name="a b#*")[0].target == "pass:a b#*"
    assert pass_store.run("show", "a b") == b"hunter2"
    for paths, options in (((DB, "secrets/web/a%b.age"), {"name": "x"}), (("secrets/web/a%b.age",), {})):
        with pytest.raises(RefusedInput):
            export(fleet, *paths, name=options.get("name"))
    with pytest.raises(RefusedInput):
        export(fleet, DB, name="../x")


def test_one_that_fails_says_what_was_written_before(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    export(fleet, DB)
    (pass_store.folder / "z").mkdir()
    fleet.set("y/1", b"hunter2")
    fleet.set("z/2", b"hunter2")
    (pass_store.folder / "z" / ".gpg-id").write_text("nobody@example.org\n")
    with pytest.raises(SecretsmithError) as refused:
        export(fleet, DB, "secrets/y/1.age", "secrets/z/2.age")
    # Not web/db: it was there already.
    assert refused.value.hints[-1] == "written before that: pass:y/1"
    assert pass_store.run("show", "y/1") == b"hunter2\n"


def test_the_command(fleet: Fleet, pass_store: PassStore) -> None:
    fleet.set("web/db", b"hunter2")
    pass_store.run("git", "init")
    done = fleet.run("export", "pass", "web/db", extra=pass_store.environ)
    assert done.stderr.decode() == "secrets/web/db.age → pass:web/db (new)\n"
    assert pass_store.git("log", "-1", "--format=%s") == "Add given password for web/db to store.\n"
    again = fleet.run("export", "pass", "web/db", extra=pass_store.environ)
    assert again.stderr.decode() == "pass:web/db has the value of secrets/web/db.age already\n"
    fleet.set("web/db", b"hunter3")
    refused = fleet.run("export", "pass", "web/db", extra=pass_store.environ, code=9)
    assert b"hunter" not in refused.stderr + refused.stdout
    fleet.run("export", "gopass", "web/db", code=4)
