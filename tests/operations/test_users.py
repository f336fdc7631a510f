"""Users: added, listed, removed; an admin is always left."""

from __future__ import annotations

import json

import pytest
from keys import ecdsa_key, ed25519_key, rsa_key
from repositories import Fleet
from sessions import Recorded

from secretsmith.cli.arguments.principals import UserRemoveParameters
from secretsmith.cli.commands import user as command
from secretsmith.errors import Code, Interrupted, NotFound, RefusedInput
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.operations.users import add_user, remove_user
from secretsmith.policy.principals import UserStatus

SECRET = "secrets/web/db.age"


def test_a_user_may_have_several_keys_of_several_kinds(fleet: Fleet) -> None:
    lines = [ed25519_key("c@laptop").public, rsa_key(comment="c@old").public]
    done = add_user(fleet.project(), "carol", [*lines, lines[0]])
    project = fleet.project()
    assert [key.line for key in project.registry.users["carol"].keys] == lines
    assert all(project.accepted.contains(key.fingerprint) for key in done.keys)


def test_keys_come_from_flags_and_a_file(fleet: Fleet) -> None:
    one, two = ed25519_key("one").public, ed25519_key("two").public
    (fleet.root / "keys.txt").write_text(f"# carol\n{two}\n\n")
    said = fleet.run(
        "user", "add", "carol", "--key", one, "--key-file", "keys.txt", "--admin"
    ).stderr.decode()
    carol = fleet.project().registry.users["carol"]
    assert [key.line for key in carol.keys] == [one, two] and carol.admin
    assert said.count("carol added as admin") == 2


@pytest.mark.parametrize(
    ("lines", "code"),
    [([], Code.USAGE), ([ecdsa_key().public], Code.KEY_UNSUPPORTED), ([rsa_key(1024).public], Code.KEY_WEAK)],
)
def test_what_is_no_key_of_a_user_is_refused(fleet: Fleet, lines: list[str], code: Code) -> None:
    before = fleet.files()
    with pytest.raises(RefusedInput) as caught:
        add_user(fleet.project(), "carol", lines)
    assert caught.value.code is code and fleet.files() == before


def test_a_taken_name_or_key_is_refused(fleet: Fleet) -> None:
    for name, line, code in (
        ("bob", ed25519_key().public, Code.EXISTS),
        ("web1", ed25519_key().public, Code.NAME_CLASH),
        ("carol", fleet.public["bob"], Code.EXISTS),
    ):
        with pytest.raises(RefusedInput) as caught:
            add_user(fleet.project(), name, [line])
        assert caught.value.code is code
    assert not add_user(fleet.project(), "bob", [fleet.public["bob"]]).changed.written


def test_a_removed_user_is_drift_and_owed_for(fleet: Fleet) -> None:
    fleet.run("grant", "secrets/web/**", "--to", "bob")
    fleet.set(SECRET, b"hunter2")
    assert fleet.readers(SECRET) == ["alice", "bob", "web1"]
    remove_user(fleet.project(), "bob")
    project = fleet.project()
    assert project.registry.users["bob"].status is UserStatus.REMOVED and project.registry.users["bob"].keys
    assert [(d.path, d.principal, d.reason) for d in project.lock.debt] == [(SECRET, "bob", "removed")]
    plan = plan_rekey(project)
    assert not plan.files[0].unknown
    apply_rekey(project, plan)
    assert fleet.readers(SECRET) == ["alice", "web1"]
    assert not remove_user(project, "bob").changed.written


def test_the_last_admin_stays(fleet: Fleet) -> None:
    before = fleet.files()
    with pytest.raises(RefusedInput) as caught:
        remove_user(fleet.project(), "alice")
    assert caught.value.code is Code.NO_ADMIN and fleet.files() == before
    add_user(fleet.project(), "carol", [ed25519_key().public], admin=True)
    remove_user(fleet.project(), "alice")
    assert [user.name for user in fleet.project().registry.admins()] == ["carol"]


def test_no_command_leaves_a_registry_without_an_admin(fleet: Fleet) -> None:
    fleet.change_registry(lambda text: text.replace("admin = true", "admin = false"))
    before = fleet.registry
    for words in (
        ("grant", "secrets/x", "--to", "bob"),
        ("host", "add", "db", "--pending"),
        ("group", "add", "web", "web1"),
        ("host", "retire", "web1", "--yes"),
    ):
        assert b"no admin" in fleet.run(*words, code=2).stderr
    assert fleet.registry == before
    fleet.run("user", "add", "carol", "--admin", "--key", ed25519_key().public)


def test_unknown_users_are_not_found(fleet: Fleet) -> None:
    with pytest.raises(NotFound):
        remove_user(fleet.project(), "web1")
    assert b"did you mean 'bob'" in fleet.run("user", "remove", "bobb", "--yes", code=4).stderr


def test_removal_is_asked_for(fleet: Fleet) -> None:
    before = fleet.files()
    assert b"--yes" in fleet.run("user", "remove", "bob", code=2).stderr
    no = Recorded(fleet.root, fleet.environ, answers=[False])
    with pytest.raises(Interrupted):
        command.remove(no.session, UserRemoveParameters("bob"))
    assert fleet.files() == before
    yes = Recorded(fleet.root, fleet.environ, answers=[True])
    command.remove(yes.session, UserRemoveParameters("bob"))
    assert "bob is removed" in yes.err


def test_the_list(fleet: Fleet) -> None:
    rows = json.loads(fleet.run("user", "list", "--json").stdout)
    assert [(row["name"], row["admin"], row["status"]) for row in rows] == [
        ("alice", True, "active"),
        ("bob", False, "active"),
    ]
    assert rows[1]["keys"][0]["key"] == " ".join(fleet.public["bob"].split()[:2])
    assert rows[1]["keys"][0]["fingerprint"] in fleet.run("user", "list").stdout.decode()
