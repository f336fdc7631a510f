"""Promise 5: units are restarted or reloaded once, in one batch, after the switch, only when bytes, owner or mode changed.

What systemctl is asked, and how its answers are read, is in ../test_units.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakesystemctl import ACTIVE, FakeSystemctl
from hosts import IS_ROOT, Host
from keys import ed25519_key
from worlds import add_template, copied

from secretsmith.activation.generations import LiveLink
from secretsmith.activation.places.places import Places
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.report import Report
from secretsmith.activation.units import telling as units
from secretsmith.activation.units.telling import Notify, UnitOptions, UnitResult
from secretsmith.errors import Code, ExitCode, SecretsmithError
from secretsmith.manifest import Phase

pytestmark = pytest.mark.usefixtures("open_descriptors")
ALL = [f"{name}.service" for name in ("db", "web", "shared", "users", "template", "copy", "reload")]
TOLD = UnitOptions(Notify.SYSTEMCTL)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    fake = FakeSystemctl(tmp_path / "fake")
    fake.units |= dict.fromkeys(ALL, ACTIVE)
    fake.prepare()
    monkeypatch.setattr(units, "_SEARCHED", (str(fake.bin),))
    monkeypatch.setattr(units, "_BOOTED", str(tmp_path))
    return fake


@pytest.fixture
def site(host: Host, systemctl: FakeSystemctl) -> Host:
    """One of each, installed; the units of all have heard of it."""
    host.add("db", b"1", restart_units=["db.service", "shared.service"])
    host.add("web", b"1", restart_units=["shared.service"], reload_units=["reload.service"])
    host.add("password", b"1", phase="users", restart_units=["users.service", "shared.service"])
    host.add("copy", b"1", restart_units=["copy.service"], **copied(host.folder / "etc" / "copy"))
    add_template(host, "app.env", "A=@a@", {"@a@": "web"}, restart_units=["template.service"])
    assert host.run_all(units=TOLD).exit_code is ExitCode.OK
    systemctl.prepare()
    return host


def calls_of(site: Host, systemctl: FakeSystemctl, **changes: object) -> list[str]:
    systemctl.prepare()
    assert site.run_all(units=TOLD, **changes).exit_code is ExitCode.OK
    return systemctl.calls()


def test_all_of_a_run_in_one_batch(host: Host, systemctl: FakeSystemctl) -> None:
    host.add("db", b"1", restart_units=["db.service", "shared.service"])
    host.add("web", b"1", restart_units=["shared.service"], reload_units=["reload.service", "db.service"])
    host.add("password", b"1", phase="users", restart_units=["users.service", "shared.service"])
    add_template(host, "app.env", "A=@a@", {"@a@": "web"}, restart_units=["template.service"])
    outcome = host.run_all(units=TOLD)
    assert systemctl.calls() == [
        "restart -- db.service shared.service template.service users.service",
        "reload-or-restart -- reload.service",
    ]
    assert "restarted db.service, shared.service, template.service, users.service" in [*outcome.lines()]
    assert "reloaded reload.service" in [*outcome.lines()]


def test_unchanged_input_tells_nobody(site: Host, systemctl: FakeSystemctl) -> None:
    assert calls_of(site, systemctl) == []
    assert systemctl.records() == [], "systemctl is not even started"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("db", ["restart -- db.service shared.service"]),
        ("web", ["restart -- shared.service template.service", "reload-or-restart -- reload.service"]),
        ("password", ["restart -- shared.service users.service"]),
        ("copy", ["restart -- copy.service"]),
    ],
)
@pytest.mark.parametrize("what", ["bytes", "mode", "owner"])
def test_only_whose_bytes_owner_or_mode_changed(
    site: Host, systemctl: FakeSystemctl, name: str, told: list[str], what: str
) -> None:
    secret = next(one for one in site.manifest["secrets"] if one["name"] == name)
    if what == "bytes":
        site.encrypt(name, b"2")
    elif what == "mode":
        secret["mode"] = "0440"
    elif not IS_ROOT:
        pytest.skip("owners")
    else:
        secret["owner"] = "1"
    if what != "bytes" and name == "web":
        told = ["restart -- shared.service", "reload-or-restart -- reload.service"]  # not the template's
    assert calls_of(site, systemctl) == told
    assert calls_of(site, systemctl) == []


@pytest.mark.parametrize(
    "what", ["ciphertext", "key touched", "path", "name of a unit", "another secret", "link"]
)
def test_nobody_else(site: Host, systemctl: FakeSystemctl, what: str) -> None:
    if what == "ciphertext":
        site.encrypt("db", b"1")
    elif what == "key touched":
        site.key_file.touch()
    elif what == "path":
        site.manifest["secrets"][0]["path"] = str(site.folder / "etc" / "db")
    elif what == "name of a unit":
        site.manifest["secrets"][0]["restart_units"] = ["web.service"]
    elif what == "another secret":
        site.add("more", b"1")
    else:
        site.manifest["secrets"][3].pop("method")
        (site.folder / "etc" / "copy").unlink()
    assert calls_of(site, systemctl) == []


def test_a_template_whose_text_changed(site: Host, systemctl: FakeSystemctl) -> None:
    site.manifest["templates"][0]["content"] = "B=@a@"
    assert calls_of(site, systemctl) == ["restart -- template.service"]


def test_a_stale_value_restarts_nobody_and_its_recovery_does(site: Host, systemctl: FakeSystemctl) -> None:
    site.encrypt("db", b"2", ed25519_key())
    systemctl.prepare()
    assert site.run_all(units=TOLD).exit_code is ExitCode.CANNOT_DECRYPT
    assert systemctl.calls() == []
    site.encrypt("db", b"2")
    assert calls_of(site, systemctl) == ["restart -- db.service shared.service"]


def test_after_the_switch_and_after_the_custom_paths(
    host: Host, systemctl: FakeSystemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all phases: a unit that is told of one secret may read them all."""
    events: list[str] = []

    def watch(holder: type, name: str) -> None:
        real: Callable[..., object] = getattr(holder, name)

        def watched(*given: object, **named: object) -> object:
            assert systemctl.records() == []
            events.append(name)
            return real(*given, **named)

        monkeypatch.setattr(holder, name, watched)

    watch(LiveLink, "switch")
    watch(Places, "commit")
    host.add("password", b"1", phase="users", restart_units=["users.service"])
    host.add("db", b"1", restart_units=["db.service"], path=str(host.folder / "etc" / "db"))
    host.run_all(units=TOLD)
    assert events == ["switch", "commit", "switch", "commit"]
    assert systemctl.calls() == ["restart -- db.service users.service"]


def test_one_phase_alone_tells_its_own(site: Host, systemctl: FakeSystemctl) -> None:
    site.encrypt("db", b"2")
    site.encrypt("password", b"2")
    assert calls_of(site, systemctl, phase=Phase.USERS) == ["restart -- shared.service users.service"]
    assert calls_of(site, systemctl) == ["restart -- db.service shared.service"]


def test_a_dry_run_only_asks(site: Host, systemctl: FakeSystemctl) -> None:
    site.encrypt("db", b"2")
    systemctl.prepare()
    outcome = site.preview(units=TOLD)
    assert "would restart db.service, shared.service" in [*outcome.lines()]
    assert systemctl.calls() == []
    assert systemctl.records()


class TestWhatWasNotHeard:
    """What could not be handed over is remembered, and told by the next run, changed or not."""

    def pending(self, host: Host) -> set[str]:
        state = json.loads((host.generations / "state.json").read_text())
        return {*state["pending"]["restart"], *state["pending"]["reload"]}

    def test_systemd_does_not_answer(self, site: Host, systemctl: FakeSystemctl) -> None:
        site.encrypt("db", b"2")
        systemctl.acts["show"] = {"status": 1}
        systemctl.prepare()
        outcome = site.run_all(units=TOLD)
        assert (outcome.exit_code, [error.code for error in outcome.errors()]) == (
            ExitCode.ERROR,
            [Code.UNITS],
        )
        assert site.installed()["db"] == b"2", "the secret itself is in place"
        assert self.pending(site) == {"db.service", "shared.service"}
        systemctl.acts.clear()
        assert calls_of(site, systemctl) == ["restart -- db.service shared.service"]
        assert self.pending(site) == set()
        assert calls_of(site, systemctl) == []

    def test_killed_after_the_switch(
        self, site: Host, systemctl: FakeSystemctl, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        site.encrypt("db", b"2")
        with monkeypatch.context() as patch:
            patch.setattr(units, "notify_units", killed)
            with pytest.raises(KeyboardInterrupt):
                site.run_all(units=TOLD)
        assert systemctl.calls() == []
        assert calls_of(site, systemctl) == ["restart -- db.service shared.service"]

    def test_a_unit_that_fails_was_told(self, site: Host, systemctl: FakeSystemctl) -> None:
        site.encrypt("db", b"2")
        systemctl.acts["restart"] = {"status": 1, "then": {"db.service": {"ActiveState": "failed"}}}
        systemctl.prepare()
        outcome = site.run_all(units=TOLD)
        assert [error.message.split()[2] for error in outcome.errors()] == ["db.service"]
        systemctl.acts.clear()
        assert calls_of(site, systemctl) == [], "once, not at every activation from now on"


@pytest.mark.usefixtures("as_root")
def test_not_before_a_generation_that_fails(
    host: Host, systemctl: FakeSystemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add("db", b"1", restart_units=["db.service"])
    assert host.run_all(units=TOLD, memory=Memory.MOUNT).exit_code is ExitCode.OK

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    host.encrypt("db", b"2")
    systemctl.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(LiveLink, "switch", full)
        with pytest.raises(SecretsmithError):
            host.run_all(units=TOLD, memory=Memory.MOUNT)
    assert systemctl.records() == []
    assert calls_of(host, systemctl, memory=Memory.MOUNT) == ["restart -- db.service"]


def test_nobody_is_told_with_units_none(host: Host, systemctl: FakeSystemctl) -> None:
    host.add("db", b"1", restart_units=["db.service"])
    outcome = host.run_all(units=UnitOptions(Notify.NONE))
    assert outcome.units == UnitResult()
    assert systemctl.records() == []
    report: Report = outcome.reports[0]
    assert report.units.restart == {"db.service"}
