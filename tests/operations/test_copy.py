from __future__ import annotations

import pytest
from repositories import Fleet

from secretsmith.policy import edit
from secretsmith.policy.lock import Debt, dump_lock, parse_lock

VALUE = b"canary-of-cp\n"


@pytest.fixture
def two_rules(fleet: Fleet) -> Fleet:
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/db/**"], ["web2"]))
    fleet.set("web/one", VALUE)
    return fleet


def test_copy_is_encrypted_to_the_readers_of_its_path(two_rules: Fleet) -> None:
    assert (
        b"wrote secrets/db/one.age (new), readable by alice, web2"
        in two_rules.run("cp", "web/one", "db/").stderr
    )
    assert two_rules.readers("secrets/db/one.age") == ["alice", "web2"]
    assert two_rules.readers("secrets/web/one.age") == ["alice", "web1"]
    assert two_rules.run("show", "db/one").stdout == VALUE


def test_copy_under_the_same_rule_has_its_own_data_key(two_rules: Fleet) -> None:
    two_rules.run("cp", "web/one", "web/two")
    assert two_rules.opens("web1", "secrets/web/two.age") == VALUE
    files = two_rules.files()
    assert files["secrets/web/one.age"] != files["secrets/web/two.age"]


def test_copy_to_a_path_without_rule_takes_to(two_rules: Fleet) -> None:
    two_rules.run("cp", "web/one", "mail", "--to", "bob")
    assert two_rules.readers("secrets/mail.age") == ["alice", "bob"]


def test_what_is_owed_for_the_value_is_owed_for_the_copy(two_rules: Fleet) -> None:
    path = two_rules.root / "secretsmith.lock"
    debt = Debt("secrets/web/one.age", None, "web2", "revoked", "2026-01-02")
    path.write_text(dump_lock(parse_lock(path.read_text()).with_debt([debt])))
    two_rules.run("cp", "web/one", "web/two")
    assert [d.path for d in parse_lock(path.read_text()).debt] == [
        "secrets/web/one.age",
        "secrets/web/two.age",
    ]


def test_copy_that_cannot_open_writes_nothing(two_rules: Fleet) -> None:
    before = two_rules.files()
    two_rules.run("cp", "web/one", "db/", code=5, HOME="/nonexistent")
    two_rules.run("cp", "web/none", "db/", code=4)
    two_rules.run("cp", "web/one", "web/one", code=2)
    assert two_rules.files() == before
    assert two_rules.holds(VALUE) == []
