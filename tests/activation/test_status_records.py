"""The look at a host: units, the status file and other records, phases."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hosts import ROOT, Host
from keys import ed25519_key
from looks import SOURCE, entry, inspect, install, install_placed, install_two, live, off, only, states, unit

from secretsmith.activation.inspection import inspecting as inspection
from secretsmith.activation.inspection.inspecting import inspect_host
from secretsmith.activation.preview import preview
from secretsmith.activation.state import Moment
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.activation.units.telling import Notify, UnitOptions
from secretsmith.errors import Code, SecretsmithError

SCHEMA = ROOT / "docs/reference/schemas/host-status.schema.json"


@pytest.fixture
def installed(host: Host) -> Host:
    return install_two(host)


@pytest.fixture
def placed(host: Host) -> Host:
    return install_placed(host)


@pytest.fixture
def with_units(host: Host) -> Host:
    host.moment = Moment(1_800_000_000.0, 1000.0, up=900.0)
    host.add("db", b"hunter2", restart_units=["db.service"], reload_units=["proxy.service"])
    host.add("smtp", b"hunter2", path=str(host.folder / "smtp"))
    install(host)
    return host


def test_units_that_started_before_their_value(with_units: Host) -> None:
    units = [
        unit("db.service", 899.0),
        unit("proxy.service", 1.0),
        unit("mail.service", 899.0, credentials=(str(with_units.folder / "smtp"),)),
        unit("all.service", 899.0, credentials=(str(with_units.directory),)),
        unit("env.service", 899.0, environment_files=(str(with_units.directory / "db"),)),
        unit("other.service", 1.0, credentials=("/etc/passwd",)),
    ]
    facts = inspect(with_units, units)
    assert {found.hint: found.message.rpartition(": ")[2] for found in off(facts)} == {
        "systemctl restart db.service": "db",
        "systemctl restart mail.service": "smtp",
        "systemctl restart all.service": "db, smtp",
        "systemctl restart env.service": "db",
    }
    assert {found.code for found in off(facts)} == {Code.UNITS}


def test_unit_that_is_named_by_an_alias(with_units: Host) -> None:
    late = unit("mariadb.service", 899.0, aliases=("mariadb.service", "db.service"))
    assert only(inspect(with_units, [late])).hint == "systemctl restart mariadb.service"


def test_units_that_started_after_or_do_not_run(with_units: Host) -> None:
    units = [
        unit("db.service", 901.0),
        unit("mail.service", 1.0, "inactive", credentials=(str(with_units.folder / "smtp"),)),
        unit("env.service", None, environment_files=(str(with_units.directory / "db"),)),
    ]
    assert not off(inspect(with_units, units))


def test_units_are_asked_for_by_name(with_units: Host) -> None:
    asked: list[str] = []

    def ask(patterns: Iterable[str], options: UnitOptions) -> list[UnitFacts]:
        asked.extend(patterns)
        return []

    inspect_host(with_units.data(), with_units.options(), clock=lambda: with_units.moment, ask_units=ask)
    assert asked == ["db.service", "*.service"]


def test_systemd_that_does_not_answer_is_a_finding(with_units: Host) -> None:
    def ask(patterns: Iterable[str], options: UnitOptions) -> list[UnitFacts]:
        raise SecretsmithError(Code.UNITS, "systemctl show did not end within 20 seconds")

    facts = inspect_host(
        with_units.data(), with_units.options(), clock=lambda: with_units.moment, ask_units=ask
    )
    assert only(facts).message == "systemctl show did not end within 20 seconds"


def test_units_that_were_not_told(with_units: Host) -> None:
    state = with_units.generations / "state.json"
    known = json.loads(state.read_text())
    known["pending"] = {"restart": ["db.service"], "reload": ["proxy.service"]}
    state.write_text(json.dumps(known))
    found = only(inspect(with_units))
    assert (
        found.message == "secrets changed, and these units were not told of it yet: db.service, proxy.service"
    )
    assert found.hint == f"secretsmith-activate {SOURCE}"


# Records


def test_status_file_has_the_shape_that_is_documented(installed: Host) -> None:
    installed.add("bad", b"x", ed25519_key())
    installed.manifest["templates"] = [{"name": "t", "content": "x\n"}]
    install(installed)
    installed.add("db", b"hunter2", ed25519_key())
    install(installed)
    status = installed.status()
    assert {found["state"] for found in status["secrets"].values()} >= {"stale", "missing", "unchanged"}
    jsonschema.validate(status, json.loads(SCHEMA.read_text()))


def test_no_status_file(installed: Host) -> None:
    installed.status_file.unlink()
    found = only(inspect(installed))
    assert (found.code, found.path) == (Code.STATE, str(installed.status_file))


def test_status_file_of_another_boot_generation_or_host(installed: Host) -> None:
    good = installed.status()
    for change, message in (
        ({"boot": 1001.0}, "is older than this boot"),
        ({"host": "web2"}, "is about another host than web1, whose manifest this is"),
        (
            {"phases": {"services": {**good["phases"]["services"], "generation": 9}}},
            "says that generation 9 of services is live, and it is 1",
        ),
    ):
        installed.status_file.write_text(json.dumps({**good, **change}))
        assert only(inspect(installed)).message == message


def test_another_manifest_was_activated(installed: Host) -> None:
    facts = inspect(installed, source="/etc/other.json")
    assert not off(facts)
    assert any(SOURCE in found.message for found in facts.findings if found.severity == "info")


def test_damaged_state(installed: Host) -> None:
    (installed.generations / "state.json").write_text("{")
    assert Code.STATE in {found.code for found in off(inspect(installed))}


def test_damaged_record_of_paths(placed: Host) -> None:
    record = placed.folder / "state/paths.json"
    record.parent.mkdir(mode=0o700)
    record.write_text("{")
    found = only(inspect(placed, paths=str(record)))
    assert found.code == Code.STATE
    assert "is damaged" in found.message


# Phases, scopes, callers


def test_phases_are_looked_at_one_by_one(installed: Host) -> None:
    installed.add("password", b"hunter2", phase="users")
    installed.add("luks", b"hunter2", phase="initrd", plaintext_on_disk=True)
    install(installed)
    users = Path(f"{installed.directory}-for-users")
    (users.resolve() / "password").chmod(0o444)
    facts = inspect(installed)
    assert [phase.phase for phase in facts.phases] == ["users", "services", "initrd"]
    assert only(facts).path == f"{users}/password"
    assert entry(facts, "password").phase == "users"
    assert any(found.code == Code.PLAINTEXT and found.path.endswith("/luks") for found in facts.findings)


def test_one_phase_that_cannot_be_looked_at_does_not_hide_the_others(installed: Host) -> None:
    installed.add("password", b"hunter2", phase="users")
    install(installed)
    users = Path(f"{installed.directory}-for-users")
    users.unlink()
    users.write_text("not ours")
    facts = inspect(installed)
    assert Code.TARGET in {found.code for found in off(facts)}
    assert states(facts) == {"db": "unchanged", "web/tls.key": "unchanged", "password": "unknown"}
    assert [phase.phase for phase in facts.phases] == ["users", "services"]
    assert facts.entries[0].name == "password"


def test_templates_are_compared_too(host: Host) -> None:
    host.add("db", b"hunter2")
    host.manifest["templates"] = [
        {"name": "app.env", "content": "A=@@\n", "placeholders": {"@@": {"secret": "db"}}}
    ]
    install(host)
    assert entry(inspect(host), "app.env").kind == "template"
    live(host, "app.env").chmod(0o600)
    live(host, "app.env").write_text("A=evil\n")
    live(host, "app.env").chmod(0o400)
    assert only(inspect(host)).path == str(host.directory / "app.env")


def test_an_activation_at_the_same_time_is_not_taken_for_drift(
    installed: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any, **named: Any) -> Any:
        found = preview(*arguments, **named)
        installed.add("db", b"hunter4")
        install(installed)
        return found

    monkeypatch.setattr(inspection, "preview", meanwhile)
    options = installed.options(source=SOURCE)
    facts = inspect_host(installed.data(), options, clock=lambda: installed.moment)
    assert (only(facts).code, only(facts).message) == (Code.CHANGED, "an activation ran at the same time")


def test_descriptors_are_closed(installed: Host, open_descriptors: None) -> None:
    live(installed, "db").unlink()
    inspect(installed)


def test_options_of_units_are_those_that_were_given(with_units: Host) -> None:
    mine = UnitOptions(Notify.SYSTEMCTL, user=True)
    facts = inspect(with_units, [unit("db.service", 1.0)], units=mine)
    assert only(facts).hint == "systemctl --user restart db.service"
