"""``rotate``: new keys for the same values, and what goes with it as in every write."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet
from sessions import Recorded
from sopsfleet import (
    CLEAR,
    SEALED,
    metadata_of,
    opened_by_sops,
    outside_block,
    put,
    put_pgp,
    values_masked,
)

from secretsmith.cli.arguments.files import RotateParameters
from secretsmith.cli.commands import rotate as command
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, NotFound, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.operations.rotate import Rotated, rotate_secrets
from secretsmith.operations.show import show_secret

YAML = "secrets/web/app.yaml"
AGE = "secrets/web/db.age"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.accept_all()
    put(made, YAML, [["alice", "web1", "web2"]])
    made.put(AGE, b"hunter2")
    return made


def rotate(fleet: Fleet, *paths: str, who: str = "alice", drop_unknown: bool = False) -> tuple[Rotated, ...]:
    return rotate_secrets(fleet.project(who), paths, drop_unknown=drop_unknown)


def both(fleet: Fleet) -> tuple[bytes, bytes]:
    return (fleet.root / YAML).read_bytes(), (fleet.root / AGE).read_bytes()


def exposed(fleet: Fleet) -> bool:
    return any(item.code == Code.KEY_EXPOSED for item in check(fleet.project()))


def drop_web2_keeping_the_key(fleet: Fleet) -> None:
    fleet.rules["secrets/web/**"] = ("web1",)
    fleet.write()
    project = fleet.project()
    apply_rekey(project, plan_rekey(project), accept=("all",), keep_data_key=True)


@pytest.mark.parametrize("suffix", sorted(CLEAR))
def test_every_sealed_text_changes_and_nothing_else(
    fleet: Fleet, suffix: str, peer: Callable[[str], str]
) -> None:
    name = f"secrets/web/one{suffix}"
    path = put(fleet, name, [["alice", "web1", "web2"]])
    before = path.read_bytes()
    assert rotate(fleet, name) == (Rotated(name, ""),)
    after = path.read_bytes()
    assert not {*SEALED.findall(before)} & {*SEALED.findall(after)}
    assert values_masked(outside_block(path, after)) == values_masked(outside_block(path, before))
    assert len(metadata_of(path)[0]) == 3
    for who in ("web1", "web2"):
        assert opened_by_sops(peer("sops"), path, fleet.hosts[who]) == CLEAR[suffix]


def test_age_files_get_a_new_key_and_the_same_readers(fleet: Fleet, peer: Callable[[str], str]) -> None:
    before = (fleet.root / AGE).read_bytes()
    rotate(fleet, AGE)
    after = (fleet.root / AGE).read_bytes()
    assert not {*before.splitlines()[1:-2]} & {*after.splitlines()[1:-2]}
    for who in ("alice", "web1", "web2"):
        done = subprocess.run(
            [peer("age"), "-d", "-i", str(fleet.identity(who)), str(fleet.root / AGE)],
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"hunter2"


def test_several_at_once_are_all_or_none(fleet: Fleet) -> None:
    put(fleet, "secrets/web/shut.yaml", [["web2"]])
    before = both(fleet)
    with pytest.raises(CannotDecrypt) as refused:
        rotate(fleet, AGE, YAML, "secrets/web/shut.yaml")
    assert refused.value.message.startswith("secrets/web/shut.yaml: ")
    assert any("web2" in hint for hint in refused.value.hints)
    assert both(fleet) == before
    assert [item.path for item in rotate(fleet, AGE, YAML, AGE)] == [AGE, YAML]
    assert all(new != old for new, old in zip(both(fleet), before, strict=True))


def test_the_lock_knows_what_was_written(fleet: Fleet) -> None:
    rotate(fleet, YAML)
    entry = fleet.project().lock.files[YAML]
    assert entry.sha256 == hashlib.sha256((fleet.root / YAML).read_bytes()).hexdigest()
    assert entry.recipients == tuple(
        sorted(fleet.key(name).fingerprint for name in ("alice", "web1", "web2"))
    )
    assert entry.basis == "wrote"


def test_it_ends_the_exposure_of_a_kept_data_key(fleet: Fleet) -> None:
    drop_web2_keeping_the_key(fleet)
    assert exposed(fleet)
    rotate(fleet, YAML)
    assert not exposed(fleet)


def test_readers_become_the_wanted_ones(fleet: Fleet, peer: Callable[[str], str]) -> None:
    fleet.hosts["web3"] = keys.ed25519_key("root@web3")
    fleet.rules["secrets/web/**"] = ("web1", "web3")
    fleet.write()
    before = both(fleet)
    with pytest.raises(RefusedInput) as refused:
        rotate(fleet, YAML, AGE)
    assert refused.value.code is Code.KEY_ACCEPT
    assert both(fleet) == before
    fleet.accept_all()
    assert {item.change for item in rotate(fleet, YAML, AGE)} == {"added web3; dropped web2"}
    sops = peer("sops")
    assert opened_by_sops(sops, fleet.root / YAML, fleet.hosts["web3"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, fleet.root / YAML, fleet.hosts["web2"]) is None
    assert show_secret(fleet.project("web3"), AGE).expose() == b"hunter2"


def test_an_injected_recipient_stops_all(fleet: Fleet) -> None:
    stranger = " ".join(keys.ed25519_key().public.split()[:2])
    put(fleet, YAML, [["alice", "web1", "web2"]], also=[stranger])
    before = both(fleet)
    with pytest.raises(IntegrityFailure) as refused:
        rotate(fleet, AGE, YAML)
    assert refused.value.code is Code.RECIPIENT_EXTRA
    assert both(fleet) == before
    rotate(fleet, AGE, YAML, drop_unknown=True)
    assert len(metadata_of(fleet.root / YAML)[0]) == 3


def test_keys_of_other_services_cannot_be_given_a_new_one(fleet: Fleet, peer: Callable[[str], str]) -> None:
    path = fleet.root / YAML
    put_pgp(path)
    before = both(fleet)
    with pytest.raises(RefusedInput) as refused:
        rotate(fleet, AGE, YAML)
    assert refused.value.code is Code.UNSUPPORTED
    assert "PGP" in refused.value.message
    assert both(fleet) == before
    rotate(fleet, YAML, drop_unknown=True)
    assert b"PGP" not in path.read_bytes()
    assert opened_by_sops(peer("sops"), path, fleet.hosts["web1"]) == CLEAR[".yaml"]


def test_key_groups_stay(fleet: Fleet, peer: Callable[[str], str]) -> None:
    path = put(fleet, YAML, [["alice", "web1"], ["alice"], ["web2"]], threshold=2)
    before = SEALED.findall(path.read_bytes())
    rotate(fleet, YAML)
    assert [len(group) for group in metadata_of(path)] == [2, 1, 1]
    assert not {*before} & {*SEALED.findall(path.read_bytes())}
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["web1"]) is None
    assert opened_by_sops(sops, path, fleet.hosts["web1"], fleet.hosts["web2"]) == CLEAR[".yaml"]


def session(fleet: Fleet, folder: Path) -> Recorded:
    environ = {"HOME": str(fleet.home), "SECRETSMITH_IDENTITY": str(fleet.identity("alice"))}
    return Recorded(folder, environ)


def test_the_command_takes_secrets_as_people_name_them(fleet: Fleet) -> None:
    recorded = session(fleet, fleet.root)
    command.run(recorded.session, RotateParameters(secrets=("web/db", "web/app")))
    assert recorded.err == f"{AGE}: new data key\n{YAML}: new data key\n"
    with pytest.raises(NotFound):
        command.run(session(fleet, fleet.root).session, RotateParameters(secrets=("web/none",)))


def test_a_file_that_no_registry_knows_is_rotated_for_whom_it_has(
    fleet: Fleet, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    path = outside / "app.yaml"
    path.write_bytes((fleet.root / YAML).read_bytes())
    before = path.read_bytes()
    command.run(session(fleet, outside).session, RotateParameters(secrets=("app.yaml",)))
    assert not {*SEALED.findall(before)} & {*SEALED.findall(path.read_bytes())}
    assert len(metadata_of(path)[0]) == 3
    assert opened_by_sops(peer("sops"), path, fleet.hosts["web2"]) == CLEAR[".yaml"]
