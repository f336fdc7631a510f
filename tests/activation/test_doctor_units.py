"""The examination of a host: the units of activation itself, and those that secrets name."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from doctors import off, only, prepare, told, unit
from hosts import Host

from secretsmith.activation.doctor.facts import Fact
from secretsmith.activation.doctor.units import own_unit_facts
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.activation.units.files import ACTIVATE, IDENTITY, MOUNT, RETRY, USERS, unit_files
from secretsmith.activation.units.telling import Notify, UnitOptions
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, Scope, parse_manifest
from secretsmith.record import replace

PROGRAM = "/usr/bin/env"  # any program that is there


@pytest.fixture
def healthy(host: Host) -> Host:
    return prepare(host)


def parsed(host: Host) -> Manifest:
    return parse_manifest(host.data())


def units(host: Host, *changed: UnitFacts, missing: Iterable[str] = ()) -> list[Fact | Finding]:
    """What is said with these units as they are, the others as they should be, and some not installed."""
    known = {found.name: found for found in changed} | {
        name: unit(name, load="not-found", active="inactive") for name in missing
    }
    options = UnitOptions(Notify.SYSTEMCTL)
    source = str(host.folder / "manifest.json")
    return list(
        own_unit_facts(
            parsed(host),
            parsed(host),
            source,
            options,
            lambda names, given: [known.get(name, unit(name)) for name in names],
        )
    )


def test_units_are_fine(healthy: Host) -> None:
    assert not off(units(healthy))
    assert f"{ACTIVATE}: active (exited), enabled" in told(units(healthy), "unit")


def test_units_are_not_installed(healthy: Host) -> None:
    found = only(units(healthy, missing=[ACTIVATE, IDENTITY]))
    assert (
        found.message == f"the unit {ACTIVATE} is not installed: nothing activates secrets at the next boot"
    )
    assert found.hint.startswith(
        f"secretsmith-activate --write-units /etc/systemd/system {healthy.folder}/manifest.json && systemctl daemon-reload"
    )


def test_one_unit_is_not_installed(healthy: Host) -> None:
    assert only(units(healthy, missing=[IDENTITY])).message == f"the unit {IDENTITY} is not installed"


def test_users_phase_wants_its_unit(healthy: Host) -> None:
    assert not off(units(healthy, missing=[USERS]))
    healthy.add("password", b"hunter2", phase="users")
    assert only(units(healthy, missing=[USERS])).message == f"the unit {USERS} is not installed"


@pytest.mark.parametrize(
    ("changed", "text", "hint"),
    [
        (
            unit(ACTIVATE, active="failed", result="exit-code"),
            "failed (exit-code)",
            f"journalctl -b -u {ACTIVATE}",
        ),
        (unit(ACTIVATE, enabled="disabled"), "is disabled", f"systemctl enable --now {ACTIVATE}"),
        (unit(ACTIVATE, active="inactive"), "has not run in this boot", f"systemctl start {ACTIVATE}"),
        (unit(IDENTITY, active="inactive"), "does not wait for a new key", f"systemctl start {IDENTITY}"),
        (unit(ACTIVATE, load="bad-setting"), "cannot be used: bad-setting", f"systemctl status {ACTIVATE}"),
        (unit(MOUNT, active="failed", result="timeout"), "failed (timeout)", f"journalctl -b -u {MOUNT}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unit_is_off(healthy: Host, changed: UnitFacts, text: str, hint: str) -> None:
    found = only(units(healthy, changed))
    assert text in found.message
    assert hint in found.hint


def test_retry_that_waits_is_told(healthy: Host) -> None:
    said = units(healthy, unit(RETRY, active="active", sub="waiting"))
    assert not off(said)
    assert any(isinstance(item, Finding) and RETRY in item.message for item in said)


def written(host: Host, text: str) -> UnitFacts:
    path = host.folder / ACTIVATE
    path.write_text(text)
    return unit(ACTIVATE, fragment=str(path))


def test_unit_file_as_it_would_be_written(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    text = unit_files(parsed(healthy), source, PROGRAM)[ACTIVATE]
    assert not off(units(healthy, written(healthy, text)))


def test_unit_file_of_an_older_manifest(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    text = unit_files(parsed(healthy), source, PROGRAM)[ACTIVATE]
    healthy.add("other", path="/etc/elsewhere/secret")
    found = only(units(healthy, written(healthy, text)))
    assert found.path == str(healthy.folder / ACTIVATE)
    assert "is not what would be written for this manifest now" in found.message


def test_unit_file_that_may_write_where_earlier_manifests_did(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    healthy.add("other", path="/etc/elsewhere/secret")
    text = unit_files(parsed(healthy), source, PROGRAM, placed=["/etc/old"])[ACTIVATE]
    assert "ReadWritePaths=-/etc\n" in text
    assert not off(units(healthy, written(healthy, text)))


def test_unit_file_that_somebody_edited(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    text = unit_files(parsed(healthy), source, PROGRAM)[ACTIVATE].replace("NoNewPrivileges=yes\n", "")
    assert "is not what would be written" in only(units(healthy, written(healthy, text))).message


def test_unit_file_for_another_manifest_or_program(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    other = unit_files(parsed(healthy), "/etc/other.json", PROGRAM)[ACTIVATE]
    assert (
        "activates another manifest: /etc/other.json" in only(units(healthy, written(healthy, other))).message
    )
    gone = unit_files(parsed(healthy), source, "/opt/gone/secretsmith-activate")[ACTIVATE]
    assert (
        "/opt/gone/secretsmith-activate is not there" in only(units(healthy, written(healthy, gone))).message
    )


def test_unit_file_of_a_person(healthy: Host) -> None:
    source = healthy.folder / "manifest.json"
    text = f"[Service]\nExecStart={PROGRAM} --no-mount {source} --wait 5\n"
    assert not off(units(healthy, written(healthy, text)))


def test_path_unit_that_waits_for_another_key(healthy: Host) -> None:
    source = str(healthy.folder / "manifest.json")
    files = unit_files(parsed(healthy), source, PROGRAM)
    path = healthy.folder / IDENTITY
    path.write_text(files[IDENTITY])
    here = [written(healthy, files[ACTIVATE]), unit(IDENTITY, fragment=str(path))]
    assert not off(units(healthy, *here))
    path.write_text(files[IDENTITY].replace("PathChanged=", "PathChanged=/etc/old"))
    assert only(units(healthy, *here)).path == str(path)


def test_units_that_secrets_name(healthy: Host) -> None:
    healthy.add("db", b"hunter2", restart_units=["db.service"], reload_units=["proxy.service"])
    assert not off(units(healthy))
    found = only(units(healthy, missing=["db.service"]))
    assert found.message == "systemd does not know the unit db.service, which is to hear of changes of db"


def test_unit_that_a_secret_names_by_an_alias(healthy: Host) -> None:
    healthy.add("db", b"hunter2", restart_units=["sshd.service"])
    behind = unit("ssh.service", aliases=("ssh.service", "sshd.service"))
    said = own_unit_facts(
        parsed(healthy),
        parsed(healthy),
        "/etc/manifest.json",
        UnitOptions(Notify.SYSTEMCTL),
        lambda names, given: [behind if name == "sshd.service" else unit(name) for name in names],
    )
    assert not off(said)


def test_commands_enable_what_the_manifest_needs(healthy: Host) -> None:
    healthy.add("password", b"hunter2", phase="users")
    assert only(units(healthy, missing=[ACTIVATE])).hint.endswith(f" --now {ACTIVATE} {USERS} {IDENTITY}")


def test_commands_of_a_user(healthy: Host) -> None:
    healthy.add("db", b"hunter2", restart_units=["gone.service"])
    manifest = replace(parsed(healthy), scope=Scope.USER)
    gone = [
        found
        for found in own_unit_facts(
            manifest,
            manifest,
            "/home/alice/m.json",
            UnitOptions(Notify.SYSTEMCTL, user=True),
            lambda names, given: [unit(name, load="not-found", active="inactive") for name in names],
        )
        if isinstance(found, Finding)
    ]
    install, unknown = gone
    assert install.hint.startswith("mkdir -p ~/.config/systemd/user && secretsmith-activate --write-units ")
    assert unknown.hint == "systemctl --user status gone.service"


def test_systemd_that_does_not_answer(healthy: Host) -> None:
    def ask(names: Iterable[str], options: UnitOptions) -> list[UnitFacts]:
        raise SecretsmithError(Code.UNITS, "no systemctl in /usr/bin")

    said = own_unit_facts(
        parsed(healthy), parsed(healthy), "/etc/manifest.json", UnitOptions(Notify.SYSTEMCTL), ask
    )
    assert only(said).message == "no systemctl in /usr/bin"


@pytest.mark.parametrize("key", ["", "host"])
def test_a_unit_that_is_not_handed_its_credential(healthy: Host, key: str) -> None:
    healthy.add("db", credentials=["web.service:pw", "app@.service:pw"])
    if key:
        healthy.manifest["credential_key"] = key
    place = "/var/lib/secretsmith/credstore/web.service:pw" if key else f"{healthy.directory}/db"
    assert not off(units(healthy, unit("web.service", credentials=(place,))))
    found = only(units(healthy, unit("web.service", credentials=("/run/other",))))
    assert found.message == "the unit web.service is not handed db as its credential pw"
    assert found.hint.startswith("secretsmith-activate --write-units ")
    assert only(units(healthy, missing=["web.service"])).message == (
        "systemd does not know the unit web.service, which is to be handed db"
    )
