"""A change of the registry with the files that it concerns: all of it, or nothing."""

from __future__ import annotations

import keys
import pytest
from repositories import Fleet
from sessions import Recorded

from secretsmith.cli.arguments.principals import HostReprovisionParameters, UserRemoveParameters
from secretsmith.cli.commands import host as host_command
from secretsmith.cli.commands import user as user_command
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, Interrupted, RefusedInput
from secretsmith.operations.changes import RekeyChoice
from secretsmith.operations.hosts import host_key, reprovision_host
from secretsmith.operations.rekey import plan_rekey
from secretsmith.policy import edit

WEB, OTHER = "secrets/web/db.age", "secrets/other/db.age"
NEW = keys.ed25519_key("root@web1")


@pytest.fixture
def two(fleet: Fleet) -> Fleet:
    """web1 reads one file, web2 another."""
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/other/**"], ["web2"]))
    fleet.set(WEB, b"hunter2")
    fleet.set(OTHER, b"other")
    return fleet


def everything(fleet: Fleet) -> tuple[dict[str, bytes], bytes]:
    return fleet.files(), (fleet.root / ".secretsmith/accepted.json").read_bytes()


def reprovision(fleet: Fleet, *more: str, code: int = 0) -> str:
    done = fleet.run("host", "reprovision", "web1", "--key", NEW.public, *more, code=code)
    return done.stderr.decode()


def test_reprovision_takes_the_files_along(two: Fleet) -> None:
    said = reprovision(two, "--yes")
    assert "1 file rekeyed" in said
    assert two.readers(WEB) == ["alice"]  # the old key of web1 is out
    NEW.write(two.private, "web1")
    assert two.readers(WEB) == ["alice", "web1"]
    assert not plan_rekey(two.project())


def test_an_injected_recipient_leaves_registry_and_files(two: Fleet) -> None:
    stranger = keys.ed25519_key("mallory").public
    recipients = [two.public[name] for name in ("alice", "web1")]
    two.encrypt(WEB, *recipients, stranger)
    before = everything(two)
    for words in (("reprovision", "web1", "--key", NEW.public), ("retire", "web1", "--compromised")):
        said = two.run("host", *words, "--yes", code=6).stderr.decode()
        assert "never named" in said and "nothing was changed" in said and "--no-rekey" in said
        assert everything(two) == before
    two.run("host", "retire", "web1", "--compromised", "--yes", "--no-rekey")
    assert not two.project().registry.hosts["web1"].keys


def test_a_key_that_nobody_accepted_here_leaves_registry_and_files(two: Fleet) -> None:
    two.change_registry(lambda text: edit.grant(text, [WEB], ["web2"]))
    (two.root / ".secretsmith/accepted.json").unlink()
    before = two.files()
    said = reprovision(two, "--yes", code=2)
    assert "--accept SHA256:" in said and "nothing was changed" in said
    assert two.files() == before and not (two.root / ".secretsmith/accepted.json").exists()
    reprovision(two, "--yes", "--accept", "all")
    assert two.readers(WEB) == ["alice", "web2"]


def test_a_contradiction_that_the_change_makes_leaves_all(two: Fleet) -> None:
    """The only key of a key group goes: nobody could be in it."""
    two.change_registry(
        lambda text: (
            text
            + '\n[[rules]]\npath = "secrets/app.yaml"\nreaders = ["alice", "web1"]\nkey_groups = [["alice"], ["web1"]]\n'
        )
    )
    two.run("set", "secrets/app.yaml", "a", stdin=b"1")
    before = everything(two)
    said = two.run("host", "retire", "web1", "--yes", code=2).stderr.decode()
    assert "secrets/app.yaml" in said
    assert everything(two) == before


def test_files_that_nobody_here_opens_are_listed_at_the_end(two: Fleet) -> None:
    two.encrypt("secrets/web/theirs.age", two.public["web1"], two.public["web2"])
    theirs = (two.root / "secrets/web/theirs.age").read_bytes()
    two.change_registry(lambda text: edit.grant(text, ["secrets/web/theirs.age"], ["web2"]))
    said = reprovision(two, "--yes", code=5)
    assert "no identity here opens secrets/web/theirs.age" in said and "the registry is changed" in said
    assert NEW.public in two.registry
    NEW.write(two.private, "web1")
    assert two.readers(WEB) == ["alice", "web1"]
    assert (two.root / "secrets/web/theirs.age").read_bytes() == theirs


def test_other_drift_is_left_and_mentioned(two: Fleet) -> None:
    two.change_registry(lambda text: edit.grant(text, ["secrets/other/**"], ["bob"]))
    other = (two.root / OTHER).read_bytes()
    said = reprovision(two, "--yes")
    assert "1 other file drifts: secretsmith rekey" in said
    assert (two.root / OTHER).read_bytes() == other
    assert [file.path for file in plan_rekey(two.project()).files] == [OTHER]


def test_a_damaged_file_is_mentioned_and_keeps_nobody_from_retiring(two: Fleet) -> None:
    (two.root / "secrets/web/bad.age").write_bytes(b"age-encryption.org/v1\n-> broken\n")
    said = two.run("host", "retire", "web1", "--compromised", "--yes").stderr.decode()
    assert "left as it is: secrets/web/bad.age" in said
    assert two.readers(WEB) == ["alice"]


def test_a_host_that_was_retired_before_is_dropped_now(two: Fleet) -> None:
    two.run("host", "retire", "web1", "--yes", "--no-rekey")
    assert two.readers(WEB) == ["alice", "web1"]
    said = two.run("host", "retire", "web1", "--yes").stderr.decode()
    assert "retired already" in said and two.readers(WEB) == ["alice"]


def test_a_removed_user_is_dropped_with_the_same_command(two: Fleet) -> None:
    two.run("grant", WEB, "--to", "bob", "--rekey")
    assert two.readers(WEB) == ["alice", "bob", "web1"]
    two.run("user", "remove", "bob", code=2)
    two.run("user", "remove", "bob", "--yes")
    assert two.readers(WEB) == ["alice", "web1"]


def test_grant_and_group_with_rekey_are_one_transaction(two: Fleet) -> None:
    two.encrypt(OTHER, two.public["alice"], two.public["web2"], keys.ed25519_key("mallory").public)
    before = everything(two)
    for words in (
        ("grant", "secrets/**", "--to", "bob"),
        ("revoke", "secrets/web/**", "--from", "web1"),
        ("host", "add", "web3", "--key", NEW.public),
        ("user", "add", "carol", "--key", NEW.public, "--admin"),
        ("group", "add", "all", "web1"),
    ):
        assert "nothing was changed" in two.run(*words, "--rekey", code=6).stderr.decode()
        assert everything(two) == before


def test_a_pending_host_reads_once_it_has_a_key(two: Fleet) -> None:
    two.run("host", "add", "db", "--pending")
    two.run("grant", WEB, "--to", "db", "--no-rekey")
    assert not plan_rekey(two.project())
    two.run("host", "reprovision", "db", "--key", NEW.public, "--yes")
    NEW.write(two.private, "web2")
    assert two.readers(WEB) == ["alice", "web1", "web2"]


def asked(fleet: Fleet, *answers: bool) -> Recorded:
    return Recorded(fleet.root, fleet.environ, answers=list(answers))


def test_a_no_to_the_plan_changes_nothing(two: Fleet) -> None:
    before = everything(two)
    session = asked(two, False)
    with pytest.raises(Interrupted):
        host_command.reprovision(session.session, HostReprovisionParameters("web1", key=NEW.public))
    assert everything(two) == before
    old = parse_public_key(two.public["web1"]).fingerprint
    assert f"{WEB}: + web1, - {old}" in session.err and OTHER not in session.err
    session = asked(two, False)
    with pytest.raises(Interrupted):
        user_command.remove(session.session, UserRemoveParameters("bob"))
    assert everything(two) == before and len(session.person.asked) == 1


def test_without_a_terminal_nothing_answers_but_the_flag(two: Fleet) -> None:
    before = everything(two)
    for more in ((), ("--rekey",), ("--no-rekey",)):
        assert "--yes" in reprovision(two, *more, code=2)
    assert everything(two) == before


def test_what_is_approved_is_what_is_done(two: Fleet) -> None:
    """The plan is shown with the lock held: another writer waits, and does not slip in between."""
    shown = []

    def approve(project: object, plan: object) -> None:
        shown.append(plan)
        assert two.run("group", "add", "some", "web2", code=9).stderr.count(b"E_") == 0

    choice = RekeyChoice(concerning="web1", approve=approve)
    done = reprovision_host(two.project(), "web1", host_key(NEW.public, "web1"), rekey=choice)
    assert shown == [done.changed.plan] and len(done.changed.rekeyed) == 1


def test_two_keys_while_one_is_replaced(two: Fleet) -> None:
    old = parse_public_key(two.public["web1"])
    reprovision(two, "--keep-old", "--reason", "compromised", "--yes", code=2)
    said = reprovision(two, "--keep-old", "--yes")
    assert "stays in use" in said and "--drop-old" in said
    host = two.project().registry.hosts["web1"]
    assert [key.line for key in host.keys] == [two.public["web1"], NEW.public] and not host.retired
    assert not two.project().lock.debt
    assert two.readers(WEB) == ["alice", "web1"]  # the old key
    NEW.write(two.private, "web2")
    assert two.opens("web2", WEB) == b"hunter2"  # the new one
    third = keys.ed25519_key().public
    more = two.run("host", "reprovision", "web1", "--key", third, "--keep-old", "--yes", code=2)
    assert b"--drop-old" in more.stderr
    two.run("host", "reprovision", "web1", "--drop-old", "--key", third, "--yes", code=2)
    assert "has this key already" in reprovision(two, "--keep-old", "--yes")

    two.run("host", "reprovision", "web1", "--drop-old", "--yes")
    host = two.project().registry.hosts["web1"]
    assert [key.line for key in host.keys] == [NEW.public]
    assert [(gone.key.fingerprint, str(gone.reason)) for gone in host.retired] == [
        (old.fingerprint, "replaced")
    ]
    assert two.opens("web1", WEB) is None and two.opens("web2", WEB) == b"hunter2"
    assert b"nothing to drop" in two.run("host", "reprovision", "web1", "--drop-old", "--yes").stderr


def test_the_new_key_given_again_ends_the_replacement(two: Fleet) -> None:
    reprovision(two, "--keep-old", "--yes")
    reprovision(two, "--yes", "--reason", "replaced")
    assert [key.line for key in two.project().registry.hosts["web1"].keys] == [NEW.public]
    assert two.opens("web1", WEB) is None


def test_no_admin_left_is_refused_before_any_file(two: Fleet) -> None:
    before = everything(two)
    two.run("user", "remove", "alice", "--yes", code=2)
    with pytest.raises(RefusedInput) as caught:
        reprovision_host(two.project(), "web1", parse_public_key(two.public["web2"]), rekey=RekeyChoice())
    assert caught.value.code is Code.EXISTS
    assert everything(two) == before
