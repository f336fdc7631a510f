"""Rekeying sops documents: what changes in the file, what is opened for it, and who opens it afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

from secretsmith.cli.arguments.readers import RekeyParameters
from secretsmith.cli.commands import rekey as command
from secretsmith.crypto import valuecipher
from secretsmith.crypto.publickey import Form
from secretsmith.documents import sopsopen, sopswrite
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import read_document
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import CannotDecrypt, Code, Conflict, ExitCode, IntegrityFailure, RefusedInput
from secretsmith.operations.check import check
from secretsmith.operations.rekey import RekeyResult, apply_rekey, plan_rekey
from secretsmith.operations.show import show_secret

FORMATS = sorted(CLEAR)
YAML = "secrets/web/app.yaml"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(tmp_path)


def path_of(suffix: str) -> str:
    return f"secrets/web/app{suffix}"


def rekey(fleet: Fleet, who: str = "alice", form: Form | None = None, **more: Any) -> RekeyResult:
    project = fleet.project(who)
    plan = plan_rekey(project, form=form, drop_unknown=more.get("drop_unknown", False))
    return apply_rekey(project, plan, **{"accept": ("all",), **more})


def join(fleet: Fleet, name: str = "web3") -> None:
    fleet.hosts[name] = keys.ed25519_key(f"root@{name}")
    fleet.rules["secrets/web/**"] = (*fleet.rules["secrets/web/**"], name)
    fleet.write()


def leave(fleet: Fleet, name: str = "web2") -> None:
    fleet.rules["secrets/web/**"] = tuple(word for word in fleet.rules["secrets/web/**"] if word != name)
    fleet.write()


def findings(fleet: Fleet, code: Code) -> list[str]:
    return [item.path for item in check(fleet.project()) if item.code == code]


@pytest.fixture
def opened_values(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the values that are opened or sealed; nothing else is different."""
    seen: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **more: Any) -> Any:
            seen.append(name)
            return real(*args, **more)

        return count

    monkeypatch.setattr(sopsopen, "open_sealed", counting("opened", valuecipher.open_sealed))
    monkeypatch.setattr(sopswrite, "seal_value_text", counting("sealed", valuecipher.seal_value_text))
    return seen


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_new_reader_costs_the_metadata_alone(
    fleet: Fleet, suffix: str, opened_values: list[str], peer: Callable[[str], str]
) -> None:
    path = put(fleet, path_of(suffix), [["alice", "web1", "web2"]])
    before = path.read_bytes()
    join(fleet)
    opened_values.clear()
    assert [item.path for item in rekey(fleet).rekeyed] == [path_of(suffix)]
    assert opened_values == []
    after = path.read_bytes()
    assert outside_block(path, after) == outside_block(path, before)
    for kept in (b"lastmodified", *SEALED.findall(before)):
        assert kept in after  # the MAC among them
    old, new = (read_document(format_of(path.name), data).metadata for data in (before, after))
    assert (new.mac, new.lastmodified) == (old.mac, old.lastmodified)
    assert new.groups[0].age[: len(old.groups[0].age)] == old.groups[0].age
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["web3"]) == CLEAR[suffix]
    assert opened_by_sops(sops, path, fleet.hosts["web1"]) == CLEAR[suffix]
    assert not plan_rekey(fleet.project())


def test_the_counting_counts(fleet: Fleet, opened_values: list[str]) -> None:
    put(fleet, YAML, [["alice", "web1", "web2"]])
    leave(fleet)
    opened_values.clear()
    rekey(fleet)
    assert {*opened_values} == {"opened", "sealed"}


def test_no_full_yaml_reader_is_loaded_to_add_a_reader(fleet: Fleet) -> None:
    put(fleet, YAML, [["alice", "web1", "web2"]])
    join(fleet)
    program = (
        "import sys\n"
        "from secretsmith.cli.door import main\n"
        "code = main(['rekey', '--accept', 'all'])\n"
        "assert not any(name.split('.')[0] == 'ruamel' for name in sys.modules), 'ruamel'\n"
        "raise SystemExit(code)\n"
    )
    environ = {
        "HOME": str(fleet.home),
        "PYTHONPATH": ":".join(sys.path),
        "SECRETSMITH_IDENTITY": str(fleet.identity("alice")),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=fleet.root, env=environ, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"added web3" in done.stderr


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_removed_reader_costs_a_new_data_key(fleet: Fleet, suffix: str, peer: Callable[[str], str]) -> None:
    path = put(fleet, path_of(suffix), [["alice", "web1", "web2"]])
    before = path.read_bytes()
    leave(fleet)
    assert "dropped web2" in rekey(fleet).rekeyed[0].change
    after = path.read_bytes()
    old, new = SEALED.findall(outside_block(path, before)), SEALED.findall(outside_block(path, after))
    assert len(old) == len(new) > 0
    assert not {*old} & {*new}
    assert values_masked(outside_block(path, after)) == values_masked(outside_block(path, before))
    was, now = (read_document(format_of(path.name), data).metadata for data in (before, after))
    assert was.mac != now.mac
    assert was.lastmodified != now.lastmodified
    assert (was.version, was.selection, was.order) == (now.version, now.selection, now.order)
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["web2"]) is None
    assert opened_by_sops(sops, path, fleet.hosts["web1"]) == CLEAR[suffix]
    assert opened_by_sops(sops, path, fleet.users["alice"]) == CLEAR[suffix]
    entry = fleet.project().lock.files[path_of(suffix)]
    assert entry.recipients == tuple(sorted(fleet.key(name).fingerprint for name in ("alice", "web1")))
    assert not entry.key_exposed


@pytest.mark.parametrize("keep", [True, False])
def test_an_old_stanza_opens_only_a_kept_data_key(
    fleet: Fleet, keep: bool, peer: Callable[[str], str]
) -> None:
    path = put(fleet, path_of(".json"), [["alice", "web1", "web2"]])
    stanza = json.loads(path.read_bytes())["sops"]["age"][2]
    leave(fleet)
    rekey(fleet, keep_data_key=keep)
    document = json.loads(path.read_bytes())
    document["sops"]["age"].append(stanza)
    path.write_text(json.dumps(document))
    found = opened_by_sops(peer("sops"), path, fleet.hosts["web2"])
    assert found == (CLEAR[".json"] if keep else None)


def test_a_kept_data_key_is_recorded_and_reported_until_it_is_renewed(
    fleet: Fleet, opened_values: list[str]
) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    before = path.read_bytes()
    leave(fleet)
    opened_values.clear()
    result = rekey(fleet, keep_data_key=True)
    assert "its data key was kept: secretsmith rotate secrets/web/app.yaml" in result.rekeyed[0].change
    assert opened_values == []
    assert outside_block(path, path.read_bytes()) == outside_block(path, before)
    assert len(metadata_of(path)[0]) == 2
    assert findings(fleet, Code.KEY_EXPOSED) == [YAML]
    join(fleet)  # a write that keeps the data key does not clear it
    rekey(fleet)
    assert findings(fleet, Code.KEY_EXPOSED) == [YAML]
    leave(fleet, "web3")  # one that renews it does
    rekey(fleet)
    assert findings(fleet, Code.KEY_EXPOSED) == []


def test_keeping_the_data_key_is_nothing_to_a_reader_who_comes(fleet: Fleet) -> None:
    put(fleet, YAML, [["alice", "web1", "web2"]])
    join(fleet)
    rekey(fleet, keep_data_key=True)
    assert findings(fleet, Code.KEY_EXPOSED) == []


def test_the_form_changes_and_the_data_key_stays(
    fleet: Fleet, opened_values: list[str], peer: Callable[[str], str]
) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    before = path.read_bytes()
    opened_values.clear()
    result = rekey(fleet, form=Form.NATIVE)
    assert result.rekeyed[0].change == "the recipients get the native form"
    assert opened_values == []
    assert all(text.startswith("ssh-ed25519 ") for text in metadata_of(path)[0])
    assert outside_block(path, path.read_bytes()) == outside_block(path, before)
    sops = peer("sops")
    assert opened_by_sops(sops, path, fleet.hosts["web1"]) is None
    assert opened_by_sops(sops, path, native=fleet.identity("web1")) == CLEAR[".yaml"]
    assert not plan_rekey(fleet.project(), form=Form.NATIVE)
    join(fleet)  # who comes gets the form of the file
    rekey(fleet)
    assert all(text.startswith("ssh-ed25519 ") for text in metadata_of(path)[0])
    rekey(fleet, form=Form.DERIVED)
    assert opened_by_sops(sops, path, fleet.hosts["web3"]) == CLEAR[".yaml"]
    assert findings(fleet, Code.KEY_EXPOSED) == []


def test_an_injected_recipient_stops_it(fleet: Fleet, peer: Callable[[str], str]) -> None:
    stranger = keys.ed25519_key("mallory")
    text = " ".join(stranger.public.split()[:2])
    path = put(fleet, YAML, [["alice", "web1", "web2"]], also=[text])
    other = put(fleet, "secrets/web/other.yaml", [["alice", "web1"]])
    before = path.read_bytes(), other.read_bytes()
    with pytest.raises(IntegrityFailure) as refused:
        rekey(fleet)
    assert refused.value.exit_code == 6
    assert refused.value.code is Code.RECIPIENT_EXTRA
    assert "SHA256:" in refused.value.message
    assert (path.read_bytes(), other.read_bytes()) == before
    assert findings(fleet, Code.RECIPIENT_EXTRA) == [YAML]
    rekey(fleet, drop_unknown=True)
    assert len(metadata_of(path)[0]) == 3
    sops = peer("sops")
    assert opened_by_sops(sops, path, native=stranger.write(fleet.home, "mallory")) is None
    assert opened_by_sops(sops, path, fleet.hosts["web2"]) == CLEAR[".yaml"]
    assert opened_by_sops(sops, other, fleet.hosts["web2"]) == CLEAR[".yaml"]
    assert findings(fleet, Code.RECIPIENT_EXTRA) == []


def test_a_key_never_accepted_in_this_clone_stops_it(fleet: Fleet) -> None:
    path = put(fleet, YAML, [["alice", "web1"]])
    before = path.read_bytes()
    with pytest.raises(RefusedInput) as refused:
        rekey(fleet, accept=(fleet.key("web1").fingerprint,))
    assert refused.value.code is Code.KEY_ACCEPT
    assert fleet.key("web2").fingerprint in refused.value.message
    assert path.read_bytes() == before
    both = tuple(fleet.key(name).fingerprint for name in ("web1", "web2"))
    assert rekey(fleet, accept=both).rekeyed
    assert all(fleet.project().accepted.contains(key) for key in both)


def test_what_nobody_here_opens_is_blocked_and_the_rest_is_done(fleet: Fleet) -> None:
    shut = put(fleet, "secrets/web/shut.yaml", [["web2"]])
    put(fleet, YAML, [["alice", "web1"]])
    before = shut.read_bytes()
    planned = plan_rekey(fleet.project()).files
    assert {item.path: item.blocked for item in planned} == {YAML: False, "secrets/web/shut.yaml": True}
    result = rekey(fleet)
    assert [item.path for item in result.rekeyed] == [YAML]
    assert result.blocked == ("secrets/web/shut.yaml",)
    assert shut.read_bytes() == before


def test_a_document_that_changed_since_the_plan_is_a_conflict(fleet: Fleet) -> None:
    put(fleet, YAML, [["alice", "web1"]])
    plan = plan_rekey(fleet.project())
    put(fleet, YAML, [["alice", "web2"]])
    with pytest.raises(Conflict):
        apply_rekey(fleet.project(), plan, accept=("all",))


def test_keys_of_other_services_stay_while_readers_come(fleet: Fleet) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    put_pgp(path)
    block = path.read_text().split("pgp:")[1]
    assert findings(fleet, Code.KEY_SERVICE) == [YAML]
    assert not plan_rekey(fleet.project())
    join(fleet)
    rekey(fleet)
    assert path.read_text().split("pgp:")[1] == block
    assert len(metadata_of(path)[0]) == 4
    # The lock knows nothing of such keys, so the file is read each time.
    assert findings(fleet, Code.KEY_SERVICE) == [YAML]


def test_a_new_data_key_is_refused_while_other_services_are_to_have_it(fleet: Fleet) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    put_pgp(path)
    before = path.read_bytes()
    leave(fleet)
    with pytest.raises(RefusedInput) as refused:
        rekey(fleet)
    assert refused.value.code is Code.UNSUPPORTED
    assert refused.value.message.startswith(f"{YAML}: is also encrypted under PGP")
    assert "secretsmith rekey secrets/web/app.yaml --drop-unknown" in refused.value.hints[0]
    assert path.read_bytes() == before
    assert rekey(fleet, keep_data_key=True).rekeyed  # that needs no new one
    assert "PGP MESSAGE" in path.read_text()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_document_is_moved_to_age_keys_alone(fleet: Fleet, suffix: str, peer: Callable[[str], str]) -> None:
    path = put(fleet, path_of(suffix), [["alice", "web1", "web2"]])
    put_pgp(path)
    stale = SEALED.findall(path.read_bytes())
    assert rekey(fleet, drop_unknown=True).rekeyed[0].change == "not under PGP any more"
    assert b"PGP" not in path.read_bytes()
    assert not {*stale} & {*SEALED.findall(path.read_bytes())}
    assert opened_by_sops(peer("sops"), path, fleet.hosts["web2"]) == CLEAR[suffix]
    assert findings(fleet, Code.KEY_SERVICE) == []
    assert not plan_rekey(fleet.project(), drop_unknown=True)


def test_services_can_go_and_the_data_key_stay(fleet: Fleet, opened_values: list[str]) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    put_pgp(path)
    opened_values.clear()
    rekey(fleet, drop_unknown=True, keep_data_key=True)
    assert opened_values == []
    assert b"PGP" not in path.read_bytes()
    assert findings(fleet, Code.KEY_EXPOSED) == [YAML]


def test_a_document_written_by_a_later_sops_is_left_alone(fleet: Fleet) -> None:
    path = put(fleet, YAML, [["alice", "web1"]])
    path.write_bytes(path.read_bytes().replace(b"version: 3.11.0", b"version: 4.0.0"))
    before = path.read_bytes()
    with pytest.raises(RefusedInput) as refused:
        rekey(fleet)
    assert refused.value.code is Code.VERSION
    assert YAML in refused.value.message
    assert path.read_bytes() == before


def test_a_document_that_was_tampered_with_gets_no_new_data_key(fleet: Fleet) -> None:
    path = put(fleet, YAML, [["alice", "web1", "web2"]])
    lines = path.read_bytes().splitlines(keepends=True)
    at = [number for number, line in enumerate(lines) if line.startswith(b"    - ENC")]
    path.write_bytes(b"".join(line for number, line in enumerate(lines) if number != at[-1]))
    before = path.read_bytes()
    leave(fleet)
    with pytest.raises(IntegrityFailure) as refused:
        rekey(fleet)
    assert refused.value.code is Code.MAC
    assert YAML in refused.value.message
    assert path.read_bytes() == before


def test_documents_and_age_files_in_one_run(fleet: Fleet) -> None:
    fleet.put("secrets/web/db.age", b"hunter2")
    put(fleet, YAML, [["alice", "web1", "web2"]])
    join(fleet)
    assert {item.path for item in rekey(fleet).rekeyed} == {YAML, "secrets/web/db.age"}
    assert show_secret(fleet.project("web3"), YAML, "mail/smtp").expose() == b"hunter2"
    assert show_secret(fleet.project("web3"), "secrets/web/db.age").expose() == b"hunter2"


def run(fleet: Fleet, *, code: int | None = 0, **given: Any) -> Recorded:
    environ = {"HOME": str(fleet.home), "SECRETSMITH_IDENTITY": str(fleet.identity("alice"))}
    recorded = Recorded(fleet.root, environ)
    assert command.run(recorded.session, RekeyParameters(**given)) == code
    return recorded


def test_the_command_plans_and_says_what_it_did(fleet: Fleet) -> None:
    put(fleet, YAML, [["alice", "web1"]])
    planned = json.loads(run(fleet, plan=True, json=True, code=ExitCode.FINDINGS).out)
    assert planned == {
        "files": [
            {
                "path": YAML,
                "add": ["web2"],
                "remove": [],
                "blocked": False,
                "rules": ["secrets/web/**"],
                "why": "web2 is wanted (rule secrets/web/**)",
            }
        ]
    }
    assert f"{YAML}: added web2\n1 file rekeyed\n" in run(fleet, accept=("all",)).err
    leave(fleet)
    said = run(fleet, keep_data_key=True).err
    assert f"{YAML}: dropped web2; its data key was kept: secretsmith rotate {YAML}" in said


def test_the_command_speaks_of_kept_groups_though_nothing_drifts(fleet: Fleet) -> None:
    put(fleet, YAML, [["alice"], ["web1"]])
    said = run(fleet).err
    assert f"note: {YAML} has key groups that no rule describes: web2 cannot be added" in said
    assert "nothing to do" in said


def test_blocked_documents_end_in_exit_5(fleet: Fleet) -> None:
    put(fleet, YAML, [["web1"]])
    with pytest.raises(CannotDecrypt) as refused:
        run(fleet, accept=("all",))
    assert YAML in refused.value.message


def test_a_file_that_cannot_be_judged_keeps_nobody_waiting(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path)
    folder = fleet.root / "secrets/web"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clear.yaml").write_text("a: hunter2\n")
    alone = [fleet.key("alice").derived]
    (folder / "app.yaml").write_bytes(new_document(Format.YAML, b"a: 1\n", [alone]))
    plan = plan_rekey(fleet.project())
    assert [file.path for file in plan.files] == ["secrets/web/app.yaml"]
    assert [(error.code, error.path) for error in plan.unread] == [(Code.FORMAT, "secrets/web/clear.yaml")]
    assert "hunter2" not in plan.unread[0].message
    assert apply_rekey(fleet.project(), plan, accept=["all"]).rekeyed
