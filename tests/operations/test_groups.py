"""Groups: members come and go, and what they lose is owed."""

from __future__ import annotations

import json

import pytest
from repositories import Fleet

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.groups import add_to_group, group_rows, remove_from_group

SECRET = "secrets/web/db.age"


def test_members_come_and_go(fleet: Fleet) -> None:
    assert add_to_group(fleet.project(), "web", ["web1", "web2"]).members == ("web1", "web2")
    assert add_to_group(fleet.project(), "@web", ["web1", "bob"]).members == ("bob",)
    add_to_group(fleet.project(), "all", ["@web", "alice"])
    rows = group_rows(fleet.project().registry)
    assert [(row.name, row.members) for row in rows] == [
        ("web", ("web1", "web2", "bob")),
        ("all", ("@web", "alice")),
    ]
    assert rows[1].principals == ("alice", "bob", "web1", "web2")
    assert remove_from_group(fleet.project(), "web", ["bob", "web2"]).left == ("web1",)
    assert remove_from_group(fleet.project(), "all").left is None
    assert json.loads(fleet.run("group", "list", "--json").stdout) == [{"name": "web", "members": ["web1"]}]
    assert "@web" in fleet.run("group", "list").stdout.decode()


def test_adding_again_changes_nothing(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "web", ["web1"])
    before = fleet.registry
    assert not add_to_group(fleet.project(), "web", ["web1"]).changed.written
    assert fleet.registry == before


@pytest.mark.parametrize(
    ("name", "members", "code"),
    [
        ("web", ["wbe1"], Code.REG_UNKNOWN),
        ("web", ["@nobody"], Code.REG_UNKNOWN),
        ("web", ["web1", "@web"], Code.REG_UNKNOWN),
        ("a b", ["web1"], Code.NAME),
    ],
)
def test_unknown_members_and_names_are_refused(
    fleet: Fleet, name: str, members: list[str], code: Code
) -> None:
    before = fleet.files()
    with pytest.raises(SecretsmithError) as caught:
        add_to_group(fleet.project(), name, members)
    assert caught.value.code is code and fleet.files() == before


def test_a_group_cannot_contain_itself(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "a", ["web1"])
    add_to_group(fleet.project(), "b", ["@a"])
    with pytest.raises(RefusedInput) as caught:
        add_to_group(fleet.project(), "a", ["@b"])
    assert caught.value.code is Code.REG_CYCLE


def test_who_leaves_a_group_owes_what_it_read(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "web", ["web2", "bob"])
    fleet.run("grant", "secrets/web/**", "--to", "@web")
    fleet.set(SECRET, b"hunter2")
    done = remove_from_group(fleet.project(), "web", ["web2"])
    assert [(d.path, d.principal, d.reason) for d in done.changed.owed] == [(SECRET, "web2", "left-group")]
    # web1 is named by the rule itself, and loses nothing by leaving the group.
    add_to_group(fleet.project(), "web", ["web1"])
    assert remove_from_group(fleet.project(), "web", ["web1"]).changed.owed == ()


def test_the_last_member_of_a_rules_only_group_stays(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "ops", ["bob"])
    fleet.run("grant", "secrets/ops/**", "--to", "@ops")
    before = fleet.registry
    assert b"nobody is in @ops" in fleet.run("group", "remove", "ops", "bob", code=2).stderr
    assert fleet.registry == before


def test_a_named_group_cannot_go_and_the_commands_are_given(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "web", ["web1"])
    add_to_group(fleet.project(), "all", ["@web"])
    fleet.run("grant", "secrets/web/**", "--to", "@web")
    with pytest.raises(RefusedInput) as caught:
        remove_from_group(fleet.project(), "web")
    assert caught.value.hints == (
        "secretsmith revoke 'secrets/web/**' --from @web",
        "secretsmith group remove all @web",
    )


def test_unknown_groups_and_members_are_not_found(fleet: Fleet) -> None:
    add_to_group(fleet.project(), "web", ["web1"])
    for name, members in (("wbe", ["web1"]), ("web", ["bob"])):
        with pytest.raises(NotFound):
            remove_from_group(fleet.project(), name, members)
