from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet

from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence, seal_value
from secretsmith.errors import Code, Conflict, IntegrityFailure, RefusedInput
from secretsmith.operations.rekey import apply_rekey, plan_rekey
from secretsmith.operations.show import show_secret
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"
TLS = "secrets/web/tls.age"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    made.put(TLS, b"\x00\xff key")
    return made


def replace_host(fleet: Fleet, name: str) -> None:
    """Reinstall a host: its old key is in the registry as retired."""
    old = fleet.hosts[name].public
    (fleet.home / f"{name}.key").rename(fleet.home / f"{name}.old") if (
        fleet.home / f"{name}.key"
    ).exists() else None
    fleet.hosts[name] = keys.ed25519_key(f"root@{name}")
    fleet.extra = f'[[hosts.{name}.retired]]\nkey = "{old}"\nsince = "2026-01-02"\nuntil = "2026-11-20"\nreason = "reinstalled"\n'
    fleet.write()


def test_nothing_to_do_writes_nothing(fleet: Fleet) -> None:
    before = {path: path.stat().st_ino for path in (fleet.root / "secrets").rglob("*.age")}
    plan = plan_rekey(fleet.project())
    assert not plan
    assert apply_rekey(fleet.project(), plan).rekeyed == ()
    assert before == {path: path.stat().st_ino for path in (fleet.root / "secrets").rglob("*.age")}


def test_plan_names_who_comes_and_goes_and_why(fleet: Fleet) -> None:
    old = fleet.key("web1").fingerprint
    replace_host(fleet, "web1")
    planned = {item.path: item for item in plan_rekey(fleet.project()).files}
    assert set(planned) == {DB, TLS}
    assert planned[DB].add == (fleet.key("web1").fingerprint,)
    assert planned[DB].remove == (old,)
    assert planned[DB].rules == ("secrets/web/**",)
    assert "retired" in planned[DB].why
    assert not planned[DB].blocked


def test_only_drifted_files_are_touched(fleet: Fleet) -> None:
    fleet.hosts["web3"] = keys.ed25519_key("root@web3")
    fleet.rules[DB] = ("web3",)
    fleet.write()
    untouched = (fleet.root / TLS).read_bytes()
    plan = plan_rekey(fleet.project())
    assert [item.path for item in plan.files] == [DB]
    apply_rekey(fleet.project(), plan, accept=("all",))
    assert (fleet.root / TLS).read_bytes() == untouched
    assert show_secret(fleet.project("web3"), DB).expose() == b"hunter2"
    assert not plan_rekey(fleet.project())


def test_the_real_age_opens_with_the_new_key_and_not_with_the_old(
    fleet: Fleet, peer: Callable[[str], str], tmp_path: Path
) -> None:
    age = peer("age")
    old = fleet.hosts["web1"].write(tmp_path, "old")
    replace_host(fleet, "web1")
    apply_rekey(fleet.project(), plan_rekey(fleet.project()), accept=("all",))
    opened = subprocess.run(
        [age, "-d", "-i", str(fleet.identity("web1")), str(fleet.root / DB)], capture_output=True, check=True
    )
    assert opened.stdout == b"hunter2"
    refused = subprocess.run(
        [age, "-d", "-i", str(old), str(fleet.root / DB)], capture_output=True, check=False
    )
    assert refused.returncode != 0
    assert refused.stdout == b""


def test_a_key_never_accepted_in_this_clone_stops_it(fleet: Fleet) -> None:
    fleet.hosts["web3"] = keys.ed25519_key("root@web3")
    fleet.rules[DB] = ("web3",)
    fleet.write()
    before = (fleet.root / DB).read_bytes()
    with pytest.raises(RefusedInput) as refused:
        apply_rekey(fleet.project(), plan_rekey(fleet.project()))
    assert refused.value.code is Code.KEY_ACCEPT
    assert fleet.key("web3").fingerprint in refused.value.message
    assert (fleet.root / DB).read_bytes() == before
    apply_rekey(fleet.project(), plan_rekey(fleet.project()), accept=(fleet.key("web3").fingerprint,))
    assert (fleet.root / DB).read_bytes() != before


def inject(fleet: Fleet, path: str) -> None:
    """Do what somebody with push access can: encrypt the file to one key more."""
    stranger = keys.ed25519_key("mallory").public
    recipients = [fleet.key(name).text for name in ("alice", "web1", "web2")]
    (fleet.root / path).write_bytes(
        seal_value(
            Format.AGE, Sensitive(b"hunter2"), [*recipients, " ".join(stranger.split()[:2])], armor=True
        )
    )


def test_an_injected_recipient_stops_it_and_leaves_all_files(fleet: Fleet) -> None:
    inject(fleet, DB)
    fleet.hosts["web3"] = keys.ed25519_key("root@web3")
    fleet.rules["secrets/**"] = ("web3",)
    fleet.write()
    before = {name: (fleet.root / name).read_bytes() for name in (DB, TLS)}
    with pytest.raises(IntegrityFailure) as refused:
        apply_rekey(fleet.project(), plan_rekey(fleet.project()), accept=("all",))
    assert refused.value.code is Code.RECIPIENT_EXTRA
    assert before == {name: (fleet.root / name).read_bytes() for name in (DB, TLS)}
    apply_rekey(fleet.project(), plan_rekey(fleet.project()), accept=("all",), drop_unknown=True)
    assert len(evidence(Format.AGE, (fleet.root / DB).read_bytes())) == 4


def test_files_that_nobody_here_opens_are_listed_not_fatal(fleet: Fleet) -> None:
    only_web2 = seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("web2").text], armor=True)
    (fleet.root / TLS).write_bytes(only_web2)
    replace_host(fleet, "web1")
    plan = plan_rekey(fleet.project())
    assert {item.path: item.blocked for item in plan.files} == {DB: False, TLS: True}
    result = apply_rekey(fleet.project(), plan, accept=("all",))
    assert [item.path for item in result.rekeyed] == [DB]
    assert result.blocked == (TLS,)
    assert (fleet.root / TLS).read_bytes() == only_web2


def test_a_file_that_changed_since_the_plan_is_a_conflict(fleet: Fleet) -> None:
    replace_host(fleet, "web1")
    plan = plan_rekey(fleet.project())
    fleet.put(DB, b"other")
    with pytest.raises(Conflict) as refused:
        apply_rekey(fleet.project(), plan, accept=("all",))
    assert refused.value.code is Code.CHANGED


@pytest.mark.parametrize("armor", [True, False])
def test_existing_files_keep_armor_and_form(fleet: Fleet, armor: bool) -> None:
    derived = [fleet.key(name).derived for name in ("alice", "web1")]
    (fleet.root / DB).write_bytes(seal_value(Format.AGE, Sensitive(b"v"), derived, armor=armor))
    apply_rekey(fleet.project(), plan_rekey(fleet.project(), [DB]), accept=("all",), drop_unknown=True)
    data = (fleet.root / DB).read_bytes()
    assert data.startswith(b"-----BEGIN") is armor
    assert {item.kind for item in evidence(Format.AGE, data)} == {"x25519"}
    assert show_secret(fleet.project("web2"), DB).expose() == b"v"


def test_the_form_changes_when_asked(fleet: Fleet) -> None:
    plan = plan_rekey(fleet.project(), [DB], form=Form.DERIVED)
    assert [item.path for item in plan.files] == [DB]
    apply_rekey(fleet.project(), plan, accept=("all",))
    assert {item.kind for item in evidence(Format.AGE, (fleet.root / DB).read_bytes())} == {"x25519"}
    assert not plan_rekey(fleet.project(), [DB], form=Form.DERIVED)
    assert show_secret(fleet.project("web1"), DB).expose() == b"hunter2"


def test_a_second_rekey_does_nothing(fleet: Fleet) -> None:
    replace_host(fleet, "web1")
    apply_rekey(fleet.project(), plan_rekey(fleet.project()), accept=("all",))
    after = {name: (fleet.root / name).read_bytes() for name in (DB, TLS)}
    assert not plan_rekey(fleet.project())
    assert after == {name: (fleet.root / name).read_bytes() for name in (DB, TLS)}
