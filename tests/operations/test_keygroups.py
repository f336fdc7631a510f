"""Key groups: from the rules into the files, and kept where no rule describes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet
from sopsfleet import CLEAR, metadata_of, opened_by_sops, put, put_pgp

from secretsmith.crypto.publickey import Form
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.keygroups import DocumentReaders, document_readers, new_groups
from secretsmith.operations.listing import list_secrets
from secretsmith.operations.readers import quick_drift, read_sealed
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.operations.rotate import rotate_secrets
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy.resolve import Wanted, wanted_readers
from secretsmith.sensitive import Sensitive

DOCUMENT = "secrets/web/app.yaml"
NAMES = ("web1", "web2", "web3")
GROUPS = [[name] for name in NAMES]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path, NAMES)
    made.users["bob"] = keys.ed25519_key("bob@laptop")
    made.write()
    return made


def rule(fleet: Fleet, groups: list[list[str]] | None, threshold: int | None = None, extra: str = "") -> None:
    """Replace the rule of the documents by one with key groups, or by one without."""
    words = sorted({word for group in groups or GROUPS for word in group})
    lines = ["[[rules]]", 'path = "secrets/web/**"', f"readers = {words}".replace("'", '"')]
    if groups is not None:
        lines.append(f"key_groups = {groups}".replace("'", '"'))
    if threshold is not None:
        lines.append(f"shamir_threshold = {threshold}")
    fleet.rules.clear()
    fleet.extra = "\n".join([*lines, extra, ""])
    fleet.write()


def wanted(fleet: Fleet) -> Wanted:
    found = wanted_readers(fleet.project().registry, DOCUMENT)
    assert found is not None
    return found


def named(fleet: Fleet, groups: object) -> list[set[str]]:
    """Turn recipients back into names."""
    names = {fleet.key(name).recipient(form): name for name in ("alice", "bob", *NAMES) for form in Form}
    assert isinstance(groups, list | tuple)
    return [{names[text] for text in group} for group in groups]


def readers(fleet: Fleet) -> DocumentReaders:
    project = fleet.project()
    return document_readers(project, read_sealed(project, DOCUMENT))


def rekey(fleet: Fleet) -> None:
    project = fleet.project()
    plan = plan_rekey(project)
    assert plan
    assert not apply_rekey(project, plan, accept=("all",)).blocked


def codes(fleet: Fleet) -> set[str]:
    return {str(item.code) for item in check(fleet.project()) if item.path == DOCUMENT}


def test_without_groups_in_the_rule_there_is_one_of_all(fleet: Fleet) -> None:
    groups, threshold = new_groups(fleet.project().registry, wanted(fleet))
    assert named(fleet, groups) == [{"alice", *NAMES}]
    assert threshold is None
    native, _ = new_groups(fleet.project().registry, wanted(fleet), Form.NATIVE)
    assert all(text.startswith("ssh-ed25519 ") for text in native[0])


def test_an_admin_whom_no_group_names_is_in_each(fleet: Fleet) -> None:
    rule(fleet, GROUPS, 2)
    groups, threshold = new_groups(fleet.project().registry, wanted(fleet))
    assert named(fleet, groups) == [{"alice", name} for name in NAMES]
    assert threshold == 2
    rule(fleet, [["alice"], ["web1", "web2"], ["web3"]])
    groups, threshold = new_groups(fleet.project().registry, wanted(fleet))
    assert named(fleet, groups) == [{"alice"}, {"web1", "web2"}, {"web3"}]
    assert threshold == 3  # all, when the rule does not say


def test_groups_of_the_registry_and_hosts_without_a_key(fleet: Fleet) -> None:
    pending = '[groups]\nfront = ["web1", "new"]\n[hosts.new]\nstatus = "pending"\n'
    rule(fleet, [["alice", "@front"], ["web2"]], extra=pending)
    groups, _ = new_groups(fleet.project().registry, wanted(fleet))
    assert named(fleet, groups) == [{"alice", "web1"}, {"web2"}]
    rule(fleet, [["alice"], ["new"]], extra=pending)
    with pytest.raises(RefusedInput) as refused:
        new_groups(fleet.project().registry, wanted(fleet))
    assert refused.value.code is Code.REG_EMPTY
    assert "new" in refused.value.message


def test_a_threshold_of_one_is_refused_before_anything_is_written(fleet: Fleet) -> None:
    rule(fleet, GROUPS, 1)
    with pytest.raises(RefusedInput) as refused:
        new_groups(fleet.project().registry, wanted(fleet))
    assert refused.value.code is Code.RULES


def test_two_of_three_open_it_and_one_does_not(fleet: Fleet, peer: Callable[[str], str]) -> None:
    sops = peer("sops")
    path = put(fleet, DOCUMENT, [["alice", *NAMES]])
    rule(fleet, [["alice"], ["web1", "web2"], ["web3"]], 2)
    assert quick_drift(fleet.project(), DOCUMENT).drifts
    rekey(fleet)
    assert named(fleet, metadata_of(path)) == [{"alice"}, {"web1", "web2"}, {"web3"}]
    key = {**fleet.users, **fleet.hosts}
    for name in ("alice", *NAMES, "bob"):
        assert opened_by_sops(sops, path, key[name]) is None
    for one, other in itertools.combinations(("alice", "web1", "web3"), 2):
        assert opened_by_sops(sops, path, key[one], key[other]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, path, key["web1"], key["web2"]) is None  # one group
    assert opened_by_sops(sops, path, key["alice"], key["bob"]) is None
    assert not plan_rekey(fleet.project())
    assert Code.DRIFT not in codes(fleet)


def test_the_lock_leaves_groups_to_the_file(fleet: Fleet) -> None:
    put(fleet, DOCUMENT, [["alice", *NAMES]])
    rule(fleet, GROUPS, 2)
    rekey(fleet)
    entry = fleet.project().lock.files[DOCUMENT]
    assert entry.recipients == ()
    assert entry.basis == "wrote"


@pytest.mark.parametrize(
    ("groups", "threshold"),
    [
        ([["alice", "web1"], ["alice", "web2", "web3"], ["alice", "web1"]], 2),
        ([["alice", *NAMES], ["alice", "web3"]], 2),
        (GROUPS, 3),
    ],
)
def test_other_groups_are_drift_that_everybody_sees(
    fleet: Fleet, groups: list[list[str]], threshold: int
) -> None:
    path = put(fleet, DOCUMENT, [["alice", name] for name in NAMES], threshold=2)
    rule(fleet, groups, threshold)
    assert readers(fleet).regrouped
    assert not readers(fleet).drift
    assert Code.DRIFT in codes(fleet)
    assert [item.drift for item in list_secrets(fleet.project())] == [True]
    planned = plan_rekey(fleet.project()).files
    assert [(item.add, item.remove, item.why) for item in planned] == [
        ((), (), "its key groups are not those of the rules")
    ]
    before = path.read_bytes()
    rekey(fleet)
    assert path.read_bytes() != before
    assert not readers(fleet)
    assert Code.DRIFT not in codes(fleet)


def test_the_order_of_groups_and_keys_means_nothing(fleet: Fleet) -> None:
    put(fleet, DOCUMENT, [["alice", "web3"], ["web1", "alice"], ["alice", "web2"]], threshold=2)
    rule(fleet, GROUPS, 2)
    assert not readers(fleet)
    assert not plan_rekey(fleet.project())


def test_who_joins_a_group_costs_the_metadata_alone(fleet: Fleet, peer: Callable[[str], str]) -> None:
    path = put(fleet, DOCUMENT, [["alice", name] for name in NAMES], threshold=2)
    rule(fleet, [["web1"], ["web2", "bob"], ["web3"]], 2)
    found = readers(fleet)
    assert found.drift.add == (fleet.key("bob").fingerprint,)
    assert not found.needs_new_key
    before = path.read_bytes()
    rekey(fleet)
    assert before.split(b"\nsops:")[0] == path.read_bytes().split(b"\nsops:")[0]
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.users["bob"], fleet.hosts["web3"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, path, fleet.users["bob"], fleet.hosts["web2"]) is None


def test_groups_go_when_the_rule_says_one(fleet: Fleet, peer: Callable[[str], str]) -> None:
    path = put(fleet, DOCUMENT, [["alice", "web1"], ["alice", "web2"]])
    rule(fleet, [["alice", *NAMES]])
    rekey(fleet)
    assert named(fleet, metadata_of(path)) == [{"alice", *NAMES}]
    assert opened_by_sops(peer("sops"), path, fleet.hosts["web3"]) == CLEAR[".yaml"]
    assert fleet.project().lock.files[DOCUMENT].recipients != ()


def test_too_few_groups_here_is_blocked(fleet: Fleet) -> None:
    path = put(fleet, DOCUMENT, [["alice", "bob"], ["web1"], ["web2"]], threshold=2)
    before = path.read_bytes()
    project = fleet.project()
    plan = plan_rekey(project)
    assert [item.blocked for item in plan.files] == [True]  # bob should go, and alice opens one group of two
    result = apply_rekey(project, plan, accept=("all",))
    assert (result.rekeyed, result.blocked) == ((), (DOCUMENT,))
    assert path.read_bytes() == before


def test_groups_that_no_rule_describes_are_kept_and_reported(fleet: Fleet) -> None:
    path = put(fleet, DOCUMENT, [["alice", "web1"], ["alice", "web2"]])
    before = path.read_bytes()
    assert readers(fleet).kept
    assert not readers(fleet)
    assert readers(fleet).missing == (fleet.key("web3").fingerprint,)
    plan = plan_rekey(fleet.project())
    assert not plan
    assert len(plan.notes) == 1 and "web3 cannot be added" in plan.notes[0]
    found = [item for item in check(fleet.project()) if item.code == Code.KEY_GROUPS]
    assert [(item.path, item.severity) for item in found] == [(DOCUMENT, "warning")]
    assert "web3 should read it and cannot" in found[0].message
    assert "key_groups" in found[0].hint
    assert path.read_bytes() == before


def test_whoever_is_not_wanted_leaves_a_kept_group_that_has_others(
    fleet: Fleet, peer: Callable[[str], str]
) -> None:
    path = put(fleet, DOCUMENT, [["alice", "bob"], ["alice", "web2"]])
    planned = plan_rekey(fleet.project()).files
    assert [item.remove for item in planned] == [(fleet.key("bob").fingerprint,)]
    assert "its key groups, which no rule describes, stay" in planned[0].why
    project = fleet.project()
    done = apply_rekey(project, plan_rekey(project), accept=("all",)).rekeyed
    assert "dropped bob; its key groups, which no rule describes, stay" in done[0].change
    assert named(fleet, metadata_of(path)) == [{"alice"}, {"alice", "web2"}]
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.users["alice"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, path, fleet.users["bob"], fleet.hosts["web2"]) is None
    assert fleet.project().lock.files[DOCUMENT].recipients == ()


def test_the_last_who_opens_kept_groups_alone_does_not_leave_them_to_nobody(fleet: Fleet) -> None:
    """alice is admin and cannot be added: two hosts would be needed to open it ever again."""
    path = put(fleet, DOCUMENT, [["bob", "web1"], ["bob", "web2"]])
    rule(fleet, None)
    before = path.read_bytes()
    plan = plan_rekey(fleet.project())
    assert not plan
    assert [(error.code, error.path) for error in plan.unread] == [(Code.NO_ADMIN, DOCUMENT)]
    assert "without bob no admin's key would open it" in plan.unread[0].message
    with pytest.raises(RefusedInput) as refused:
        rotate_secrets(fleet.project(), [DOCUMENT], accept=["all"])
    assert refused.value.code is Code.NO_ADMIN
    assert path.read_bytes() == before
    assert quick_drift(fleet.project(), DOCUMENT).drift.remove == (fleet.key("bob").fingerprint,)


def test_whoever_is_alone_in_a_kept_group_stays_and_is_reported(fleet: Fleet) -> None:
    path = put(fleet, DOCUMENT, [["alice", "web1"], ["bob"]])
    assert not plan_rekey(fleet.project())
    assert readers(fleet).stuck == (fleet.key("bob").fingerprint,)
    found = [item.message for item in check(fleet.project()) if item.code == Code.KEY_GROUPS]
    assert "bob should not read it, and is all that one of its groups has" in found[0]
    assert named(fleet, metadata_of(path)) == [{"alice", "web1"}, {"bob"}]


def test_a_kept_group_of_strangers_alone_is_not_emptied(fleet: Fleet) -> None:
    stranger = keys.ed25519_key().public
    path = put(fleet, DOCUMENT, [[], ["alice"]], also=[" ".join(stranger.split()[:2])])
    before = path.read_bytes()
    plan = plan_rekey(fleet.project(), drop_unknown=True)
    assert not plan
    assert [error.code for error in plan.unread] == [Code.RECIPIENT_MISSING]
    assert DOCUMENT in plan.unread[0].message
    assert path.read_bytes() == before


def test_a_kept_group_of_pgp_alone_stays(fleet: Fleet) -> None:
    path = put(fleet, DOCUMENT, [["alice"], ["web2"]])
    put_pgp(path, 1, alone=True)
    assert not plan_rekey(fleet.project())
    assert readers(fleet).left == ("pgp",)
    plan = plan_rekey(fleet.project(), drop_unknown=True)
    assert not plan
    assert [error.code for error in plan.unread] == [Code.RECIPIENT_MISSING]


def test_an_age_file_cannot_have_groups(fleet: Fleet) -> None:
    project = fleet.project()
    store_value(project, prepare_write(project, "secrets/web/db.age", accept=["all"]), Sensitive(b"hunter2"))
    rule(fleet, [["alice"], ["web1"]])
    with pytest.raises(RefusedInput) as refused:
        prepare_write(fleet.project(), "secrets/web/new.age", accept=["all"])
    assert refused.value.code is Code.KEY_GROUPS
    plan = plan_rekey(fleet.project())
    assert not plan
    assert [error.path for error in plan.unread] == ["secrets/web/db.age"]
    found = {item.path: item.severity for item in check(fleet.project()) if item.code == Code.KEY_GROUPS}
    assert found == {"secrets/web/db.age": "error"}
