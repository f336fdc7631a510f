"""Documents that move and are copied: bytes, data keys and readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet
from sopsfleet import CLEAR, SEALED, metadata_of, opened_by_sops, outside_block, put, put_pgp, values_masked

from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.copy import copy_secret
from secretsmith.operations.move import Moved, move_secret, plan_move
from secretsmith.operations.readers import found_entry
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.policy.lock import Debt, dump_lock
from secretsmith.record import replace

SOURCE = "secrets/web/app.yaml"
SAME = "secrets/web/new.yaml"
OTHER = "secrets/db/app.yaml"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path, ("web1", "web2", "db1"))
    made.rules["secrets/web/**"] = ("web1", "web2")
    made.rules["secrets/db/**"] = ("web1", "db1")
    made.write()
    put(made, SOURCE, [["alice", "web1", "web2"]])
    return made


def move(fleet: Fleet, target: str, *, rekey: bool = False) -> Moved:
    project = fleet.project()
    return move_secret(project, plan_move(project, SOURCE, target), rekey=rekey, accept=("all",))


def owe(fleet: Fleet) -> None:
    lock = fleet.project().lock.with_debt([Debt(SOURCE, "mail/smtp", "db1", "revoked", "2026-01-02")])
    (fleet.root / "secretsmith.lock").write_text(dump_lock(lock))


def test_the_bytes_move(fleet: Fleet) -> None:
    before = (fleet.root / SOURCE).read_bytes()
    assert move(fleet, SAME).outcome == "same"
    assert (fleet.root / SAME).read_bytes() == before
    assert not (fleet.root / SOURCE).exists()
    moved = move_secret(fleet.project(), plan_move(fleet.project(), SAME, OTHER), rekey=False)
    assert (moved.outcome, moved.change) == ("drifts", "added db1; dropped web2")
    assert (fleet.root / OTHER).read_bytes() == before
    assert list(fleet.project().lock.files) == [OTHER]


def test_a_move_that_rekeys(fleet: Fleet, peer: Callable[[str], str]) -> None:
    before = (fleet.root / SOURCE).read_bytes()
    owe(fleet)
    assert move(fleet, OTHER, rekey=True).outcome == "rekeyed"
    path = fleet.root / OTHER
    assert not (fleet.root / SOURCE).exists()
    assert not {*SEALED.findall(before)} & {*SEALED.findall(path.read_bytes())}
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["db1"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, path, fleet.hosts["web2"]) is None
    lock = fleet.project().lock
    assert list(lock.files) == [OTHER]
    assert lock.files[OTHER].recipients == tuple(
        sorted(fleet.key(name).fingerprint for name in ("alice", "web1", "db1"))
    )
    assert [debt.path for debt in lock.debt] == [OTHER]
    assert not plan_rekey(fleet.project())


def test_a_move_that_only_adds_keeps_the_data_key_and_its_exposure(fleet: Fleet) -> None:
    fleet.rules["secrets/db/**"] = ("web1", "db1", "web2")
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    project = fleet.project()
    apply_rekey(project, plan_rekey(project), accept=("all",), keep_data_key=True)
    before = (fleet.root / SOURCE).read_bytes()
    move(fleet, OTHER, rekey=True)
    path = fleet.root / OTHER
    assert outside_block(path, path.read_bytes()) == outside_block(path, before)
    assert len(metadata_of(path)[0]) == 4
    assert [item.path for item in check(fleet.project()) if item.code == Code.KEY_EXPOSED] == [OTHER]


def test_a_move_to_other_key_groups_drifts(fleet: Fleet) -> None:
    del fleet.rules["secrets/db/**"]
    fleet.extra = (
        '[[rules]]\npath = "secrets/db/**"\nreaders = ["web1", "web2"]\nkey_groups = [["web1"], ["web2"]]\n'
    )
    fleet.write()
    assert plan_move(fleet.project(), SOURCE, OTHER).change == "other key groups"
    assert move(fleet, OTHER, rekey=True).outcome == "rekeyed"
    assert [len(group) for group in metadata_of(fleet.root / OTHER)] == [2, 2]
    assert not plan_rekey(fleet.project())


def test_a_move_that_cannot_open_it_moves_nothing(fleet: Fleet) -> None:
    before = (fleet.root / SOURCE).read_bytes()
    project = fleet.project("db1")
    with pytest.raises(CannotDecrypt):
        move_secret(project, plan_move(project, SOURCE, OTHER), rekey=True, accept=("all",))
    assert (fleet.root / SOURCE).read_bytes() == before
    assert not (fleet.root / OTHER).exists()


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [
        (SOURCE, "secrets/web/app.json", "--output-type json"),
        (SOURCE, "secrets/web/app.age", "secretsmith decrypt secrets/web/app.yaml |"),
        ("secrets/web/db.age", "secrets/web/db.yaml", "secretsmith show secrets/web/db.age |"),
    ],
)
def test_another_format_is_refused_with_the_command_that_converts(
    fleet: Fleet, source: str, target: str, hint: str
) -> None:
    fleet.put("secrets/web/db.age", b"hunter2")
    project = fleet.project()
    for attempt in (
        lambda: plan_move(project, source, target),
        lambda: copy_secret(project, source, target, accept=("all",)),
    ):
        with pytest.raises(RefusedInput) as refused:
            attempt()
        assert refused.value.code is Code.FORMAT
        assert hint in refused.value.hints[0]
    assert not (fleet.root / target).exists()


def test_a_copy_has_its_own_data_key_and_the_readers_of_its_path(
    fleet: Fleet, peer: Callable[[str], str]
) -> None:
    before = (fleet.root / SOURCE).read_bytes()
    owe(fleet)
    written = copy_secret(fleet.project(), SOURCE, OTHER, accept=("all",))
    assert (written.created, set(written.readers)) == (True, {"alice", "web1", "db1"})
    path = fleet.root / OTHER
    assert (fleet.root / SOURCE).read_bytes() == before
    assert not {*SEALED.findall(before)} & {*SEALED.findall(path.read_bytes())}
    assert values_masked(outside_block(path, path.read_bytes())) == values_masked(outside_block(path, before))
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["db1"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, path, fleet.hosts["web2"]) is None
    assert [debt.path for debt in fleet.project().lock.debt] == [OTHER, SOURCE]
    assert not plan_rekey(fleet.project(), [OTHER])


def test_even_a_copy_for_the_same_readers_has_its_own_data_key(fleet: Fleet) -> None:
    before = (fleet.root / SOURCE).read_bytes()
    lock = fleet.project().lock.with_file(
        SOURCE, replace(found_entry(fleet.project(), SOURCE), key_exposed=True)
    )
    (fleet.root / "secretsmith.lock").write_text(dump_lock(lock))
    copy_secret(fleet.project(), SOURCE, SAME, accept=("all",))
    assert not {*SEALED.findall(before)} & {*SEALED.findall((fleet.root / SAME).read_bytes())}
    assert not fleet.project().lock.files[SAME].key_exposed


def test_a_copy_keeps_key_groups_that_no_rule_describes(fleet: Fleet, peer: Callable[[str], str]) -> None:
    put(fleet, SOURCE, [["alice", "web1"], ["alice", "web2"]])
    written = copy_secret(fleet.project(), SOURCE, SAME, accept=("all",))
    assert [len(group) for group in metadata_of(fleet.root / SAME)] == [2, 2]
    assert any("key groups" in note for note in written.notes)
    sops = peer("sops")
    assert opened_by_sops(sops, fleet.root / SAME, fleet.hosts["web1"]) is None
    assert opened_by_sops(sops, fleet.root / SAME, fleet.users["alice"]) == CLEAR[".yaml"]


def test_a_copy_to_a_path_without_rule_takes_to(fleet: Fleet) -> None:
    written = copy_secret(fleet.project(), SOURCE, "secrets/mail.yaml", to=("db1",), accept=("all",))
    assert set(written.readers) == {"alice", "db1"}
    assert not plan_rekey(fleet.project(), ["secrets/mail.yaml"])


def test_a_copy_is_not_made_of_what_somebody_slipped_into(fleet: Fleet) -> None:
    stranger = " ".join(keys.ed25519_key().public.split()[:2])
    put(fleet, SOURCE, [["alice", "web1", "web2"]], also=[stranger])
    with pytest.raises(IntegrityFailure):
        copy_secret(fleet.project(), SOURCE, SAME, accept=("all",))
    with pytest.raises(IntegrityFailure):
        move(fleet, OTHER, rekey=True)
    assert not (fleet.root / SAME).exists()


def test_a_copy_for_keys_of_other_services_is_refused(fleet: Fleet) -> None:
    put_pgp(fleet.root / SOURCE)
    with pytest.raises(RefusedInput) as refused:
        copy_secret(fleet.project(), SOURCE, SAME, accept=("all",))
    assert refused.value.code is Code.UNSUPPORTED
    assert f"secretsmith rekey {SOURCE} --drop-unknown" in refused.value.hints[0]
    assert not (fleet.root / SAME).exists()
