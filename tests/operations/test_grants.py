"""Grant and revoke: the rule with exactly that pattern, and who reads on all the same."""

from __future__ import annotations

import pytest
from repositories import Fleet
from sessions import Recorded

from secretsmith.cli.arguments.readers import GrantParameters
from secretsmith.cli.commands import grant as command
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.grants import grant, revoke

SECRET = "secrets/web/db.age"
PATTERN = "secrets/web/**"


def test_a_grant_makes_files_drift_and_says_how_to_mend_it(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    said = fleet.run("grant", PATTERN, "--to", "web2,bob").stderr.decode()
    assert "1 file drifts: secretsmith rekey" in said
    assert fleet.readers(SECRET) == ["alice", "web1"]
    fleet.run("rekey")
    assert fleet.readers(SECRET) == ["alice", "bob", "web1", "web2"]
    assert "may read already" in fleet.run("grant", PATTERN, "--to", "bob").stderr.decode()


@pytest.mark.parametrize(
    ("patterns", "words", "code"),
    [
        ([PATTERN], [], Code.USAGE),
        ([PATTERN], ["web9"], Code.REG_UNKNOWN),
        ([PATTERN], ["@web"], Code.REG_UNKNOWN),
        (["secrets/[a]"], ["web1"], Code.REG_RULES),
        (["../x"], ["web1"], Code.REG_RULES),
    ],
)
def test_what_cannot_be_granted_changes_nothing(
    fleet: Fleet, patterns: list[str], words: list[str], code: Code
) -> None:
    before = fleet.files()
    with pytest.raises(SecretsmithError) as caught:
        grant(fleet.project(), patterns, words)
    assert caught.value.code is code and fleet.files() == before


def test_odd_grants_are_made_with_a_note(fleet: Fleet) -> None:
    fleet.run("host", "add", "new", "--pending")
    fleet.run("host", "retire", "web2", "--yes")
    notes = grant(fleet.project(), ["web/**", "secrets/x"], ["new", "web2", "bob"]).notes
    assert len(notes) == 3
    assert "no key yet" in notes[0] and "web2 is retired" in notes[1] and "secrets/web/**" in notes[2]


def test_a_revoked_reader_owes_and_drifts(fleet: Fleet) -> None:
    grant(fleet.project(), [PATTERN], ["bob"])
    fleet.set(SECRET, b"hunter2")
    done = revoke(fleet.project(), [PATTERN], ["web1"])
    assert done.still == () and done.removed == ()
    assert [(d.path, d.principal, d.reason) for d in done.changed.owed] == [(SECRET, "web1", "revoked")]
    assert "1 file drifts" in fleet.run("grant", PATTERN, "--to", "bob").stderr.decode()
    fleet.run("rekey")
    assert fleet.readers(SECRET) == ["alice", "bob"]


def test_a_reader_who_never_got_the_file_owes_nothing(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    grant(fleet.project(), [PATTERN], ["bob"])
    assert revoke(fleet.project(), [PATTERN], ["bob"]).changed.owed == ()


def test_a_rule_without_readers_is_removed(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    said = fleet.run("revoke", PATTERN, "--from", "web1", "--rekey").stderr.decode()
    assert "removed" in said and fleet.project().registry.rules == ()
    assert fleet.readers(SECRET) == ["alice"]


def test_who_reads_through_another_rule_group_or_as_admin_is_named(fleet: Fleet) -> None:
    fleet.run("group", "add", "ops", "web1", "bob")
    grant(fleet.project(), ["secrets/**"], ["@ops"])
    grant(fleet.project(), [PATTERN], ["alice", "web2", "bob"])
    fleet.set(SECRET, b"hunter2")
    before = fleet.registry
    done = fleet.run("revoke", PATTERN, "--from", "web1,alice", code=3)
    said = done.stderr.decode()
    assert "web1 still reads secrets/web/db.age (rule secrets/**: group ops)" in said
    assert "alice still reads" in said and "(admin)" in said
    assert "secretsmith group remove ops web1" in said
    # What was asked for is done all the same, and nobody lost anything.
    assert fleet.registry != before and fleet.project().lock.debt == ()
    assert fleet.project().registry.rules[0].readers == ("web2", "bob")


def test_a_member_of_a_group_in_the_rule_itself_reads_on(fleet: Fleet) -> None:
    fleet.run("group", "add", "web", "web1", "web2")
    revoke(fleet.project(), [PATTERN], ["web1"])
    grant(fleet.project(), [PATTERN], ["@web"])
    done = revoke(fleet.project(), [PATTERN], ["web1"])
    assert not done.changed.written
    assert [(still.name, still.remedies) for still in done.still] == [
        ("web1", ("secretsmith group remove web web1",))
    ]


def test_a_pattern_without_a_rule_names_those_that_give_access(fleet: Fleet) -> None:
    before = fleet.files()
    with pytest.raises(NotFound) as caught:
        revoke(fleet.project(), [SECRET], ["web1"])
    assert caught.value.hints == ("secretsmith revoke 'secrets/web/**' --from web1",)
    with pytest.raises(NotFound):
        revoke(fleet.project(), ["secrets/other"], ["web1"])
    with pytest.raises(NotFound):
        revoke(fleet.project(), [PATTERN], ["nobody"])
    with pytest.raises(RefusedInput):
        revoke(fleet.project(), [PATTERN], [])
    assert fleet.files() == before


def test_on_a_terminal_the_rekey_is_offered_and_may_be_declined(fleet: Fleet) -> None:
    fleet.set(SECRET, b"hunter2")
    no = Recorded(fleet.root, fleet.environ, answers=[False])
    command.run(no.session, GrantParameters((PATTERN,), ("web2",)))
    assert "1 file drifts: secretsmith rekey" in no.err and fleet.readers(SECRET) == ["alice", "web1"]
    yes = Recorded(fleet.root, fleet.environ, answers=[True])
    command.run(yes.session, GrantParameters((PATTERN,), ("web2",)))
    assert fleet.readers(SECRET) == ["alice", "web1", "web2"]


def test_two_changes_at_once_are_both_made(fleet: Fleet) -> None:
    first, second = fleet.project(), fleet.project()
    grant(first, ["secrets/a"], ["web1"])
    grant(second, ["secrets/b"], ["web2"])
    assert [rule.pattern for rule in fleet.project().registry.rules] == [PATTERN, "secrets/a", "secrets/b"]
