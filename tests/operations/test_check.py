from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet

from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.operations.check import check
from secretsmith.sensitive import Sensitive

DB = "secrets/web/db.age"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(DB, b"hunter2")
    return made


def found(fleet: Fleet, *, deep: bool = False) -> dict[str, Finding]:
    """What check says beyond alice being the only admin, which every fleet here has."""
    project = fleet.project()
    return {item.code: item for item in check(project, deep=deep) if item.code != Code.SINGLE_ADMIN}


def test_a_healthy_repository_has_no_findings_but_the_single_admin(fleet: Fleet) -> None:
    assert found(fleet) == {}
    assert [item.code for item in check(fleet.project())] == [Code.SINGLE_ADMIN]


def test_a_second_admin_settles_the_warning(fleet: Fleet) -> None:
    fleet.extra = f'[users.bob]\nkeys = ["{keys.ed25519_key().public}"]\nadmin = true\n'
    fleet.write()
    assert Code.SINGLE_ADMIN not in {item.code for item in check(fleet.project())}


def test_it_needs_no_private_key(fleet: Fleet) -> None:
    from secretsmith.record import replace

    project = replace(fleet.project(), environ={"HOME": str(fleet.home / "nowhere")})
    assert {item.code for item in check(project)} == {Code.SINGLE_ADMIN}
    assert {item.code for item in check(project, deep=True)} == {Code.SINGLE_ADMIN, Code.NO_IDENTITY}


def test_drift_names_who_and_the_command(fleet: Fleet) -> None:
    fleet.hosts["web3"] = keys.ed25519_key()
    fleet.rules["secrets/web/**"] = ("web1", "web3")
    fleet.write()
    drift = [item for item in check(fleet.project()) if item.code == Code.DRIFT]
    assert [item.severity for item in drift] == ["error", "error"]
    assert "web3 should read it and cannot" in drift[0].message
    assert "web2 should not read it and can" in drift[1].message
    assert drift[0].hint == f"secretsmith rekey {DB}"


@pytest.mark.parametrize("deep", [True, False])
def test_an_unknown_recipient_is_an_error(fleet: Fleet, deep: bool) -> None:
    recipients = [fleet.key(name).text for name in ("alice", "web1", "web2")]
    stranger = " ".join(keys.ed25519_key().public.split()[:2])
    (fleet.root / DB).write_bytes(
        seal_value(Format.AGE, Sensitive(b"x"), [*recipients, stranger], armor=True)
    )
    item = found(fleet, deep=deep)[Code.RECIPIENT_EXTRA]
    assert item.severity == "error"
    assert item.path == DB


def test_a_file_replaced_behind_the_lock_is_judged_by_itself(fleet: Fleet) -> None:
    alone = seal_value(Format.AGE, Sensitive(b"x"), [fleet.key("alice").text], armor=True)
    (fleet.root / DB).write_bytes(alone)
    assert "web1, web2 should read it and cannot" in found(fleet)[Code.DRIFT].message


def test_anonymous_recipients_are_said_to_be_assumed(fleet: Fleet) -> None:
    everyone = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    (fleet.root / DB).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), everyone, armor=True))
    assert found(fleet)[Code.ASSUMED].severity == "info"
    (fleet.root / DB).write_bytes(seal_value(Format.AGE, Sensitive(b"x"), everyone[:2], armor=True))
    assert Code.ASSUMED not in found(fleet)


def test_plaintext_among_the_secrets(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/oops.age").write_text("hunter2\n")
    item = found(fleet)[Code.PLAINTEXT]
    assert item.path == "secrets/web/oops.age"
    assert item.severity == "error"
    assert "hunter2" not in item.message + item.hint


def test_a_damaged_file_is_one_finding_not_the_end(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/cut.age").write_bytes(b"age-encryption.org/v1\n-> X25519 ")
    (fleet.root / "secrets/web/empty.age").write_bytes(b"")
    fleet.put("secrets/web/fine.age", b"v")
    assert found(fleet).keys() == {Code.AGE_HEADER, Code.EMPTY}


def test_files_without_a_rule(fleet: Fleet) -> None:
    (fleet.root / "secrets/stray.age").write_bytes((fleet.root / DB).read_bytes())
    item = found(fleet)[Code.NO_RULE]
    assert item.path == "secrets/stray.age"
    assert item.hint == "secretsmith grant 'secrets/stray.age' --to WHO"


def test_a_readme_is_no_secret(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/README.md").write_text("about these\n")
    assert found(fleet) == {}


def test_a_lock_entry_without_file(fleet: Fleet) -> None:
    (fleet.root / DB).unlink()
    assert found(fleet)[Code.LOCK_STALE].path == DB


def test_a_pending_host_is_said(fleet: Fleet) -> None:
    fleet.extra = '[hosts.new]\nkeys = []\nstatus = "pending"\n'
    fleet.write()
    assert "new" in found(fleet)[Code.PENDING].message


def test_one_key_under_two_names(fleet: Fleet) -> None:
    fleet.hosts["clone"] = fleet.hosts["web1"]
    fleet.write()
    assert found(fleet)[Code.REG_DUP].severity == "warning"


def test_untracked_and_ignored_files(fleet: Fleet, peer: Callable[[str], str]) -> None:
    subprocess.run([peer("git"), "init", "-q", str(fleet.root)], check=True)
    assert found(fleet)[Code.UNTRACKED].path == DB
    (fleet.root / ".gitignore").write_text("*.age\n")
    assert found(fleet)[Code.IGNORED].path == DB


def test_limited_to_paths_it_says_nothing_of_the_rest(fleet: Fleet) -> None:
    (fleet.root / "secrets/web/oops.age").write_text("hunter2\n")
    assert check(fleet.project(), [DB]) == ()
    assert [item.code for item in check(fleet.project(), ["secrets/web"])] == [Code.PLAINTEXT]
