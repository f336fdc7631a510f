"""Telling units: one batch, only those it concerns, and nothing that systemctl says is passed on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakesystemctl import ACTIVE, FAILED, INACTIVE, NEVER_RAN, FakeSystemctl

from secretsmith.activation.units import lists as unitlists
from secretsmith.activation.units import telling as units
from secretsmith.activation.units.changes import UnitChanges
from secretsmith.activation.units.telling import (
    Notify,
    UnitOptions,
    UnitResult,
    notify_units,
    systemd_runs,
    unit_facts,
    unit_options,
)
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Scope

WAITING = {**NEVER_RAN, "WantedBy": "multi-user.target"}


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemctl:
    fake = FakeSystemctl(tmp_path / "fake")
    monkeypatch.setattr(units, "_SEARCHED", (str(tmp_path / "nowhere"), str(fake.bin)))
    monkeypatch.setattr(units, "_BOOTED", str(tmp_path))
    return fake


@pytest.fixture
def tell(systemctl: FakeSystemctl) -> Callable[..., UnitResult]:
    def call(
        restart: str = "", reload: str = "", *, dry_run: bool = False, block: bool = True, **more: Any
    ) -> UnitResult:
        systemctl.prepare()
        changes = UnitChanges(frozenset(restart.split()), frozenset(reload.split()))
        return notify_units(changes, UnitOptions(Notify.SYSTEMCTL, block=block, **more), dry_run=dry_run)

    return call


Tell = Callable[..., UnitResult]


def test_one_call_for_all_that_restart_and_one_for_all_that_reload(
    systemctl: FakeSystemctl, tell: Tell
) -> None:
    systemctl.units |= dict.fromkeys(("a.service", "b.service", "c.service", "d.socket"), ACTIVE)
    found = tell("b.service a.service", "c.service d.socket")
    assert systemctl.calls() == [
        "restart -- a.service b.service",
        "reload-or-restart -- c.service d.socket",
    ]
    assert found == UnitResult(restarted=("a.service", "b.service"), reloaded=("c.service", "d.socket"))


def test_nothing_to_tell_starts_nothing(systemctl: FakeSystemctl, tell: Tell) -> None:
    assert tell() == UnitResult()
    assert not systemctl.records()


def test_a_unit_in_both_lists_is_restarted_only(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units["a.service"] = ACTIVE
    assert tell("a.service", "a.service") == UnitResult(restarted=("a.service",))
    assert systemctl.calls() == ["restart -- a.service"]


def test_two_names_of_one_unit_count_once(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units |= {name: {**ACTIVE, "Id": "ssh.service"} for name in ("ssh.service", "sshd.service")}
    assert tell("sshd.service", "ssh.service") == UnitResult(restarted=("sshd.service",))
    assert systemctl.calls() == ["restart -- sshd.service"]


def test_what_does_not_run_is_left_alone(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units["stopped.service"] = {**INACTIVE, "WantedBy": "multi-user.target"}
    systemctl.units["ending.service"] = {**ACTIVE, "ActiveState": "deactivating"}
    systemctl.units["by-hand.service"] = NEVER_RAN
    systemctl.units["elsewhere.service"] = {**NEVER_RAN, "WantedBy": "rescue.target"}
    systemctl.units["rescue.target"] = NEVER_RAN
    found = tell("stopped.service ending.service by-hand.service", "elsewhere.service")
    assert not systemctl.calls()
    assert found == UnitResult(
        idle=("by-hand.service", "ending.service", "stopped.service", "elsewhere.service")
    )


def test_a_failed_unit_gets_another_chance(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units |= {"a.service": FAILED, "b.service": FAILED}
    assert tell("a.service", "b.service").restarted == ("a.service", "b.service")
    # A unit that failed too often is not started without a reset.
    assert systemctl.calls() == ["reset-failed -- a.service b.service", "restart -- a.service b.service"]


def test_a_unit_that_is_starting_is_restarted_since_it_cannot_be_reloaded(
    systemctl: FakeSystemctl, tell: Tell
) -> None:
    systemctl.units["a.service"] = {**ACTIVE, "ActiveState": "activating"}
    assert tell("", "a.service").restarted == ("a.service",)
    assert systemctl.calls() == ["restart -- a.service"]


@pytest.mark.parametrize("want", ["WantedBy", "RequiredBy"])
def test_what_could_not_start_for_want_of_its_secret_is_started(
    systemctl: FakeSystemctl, tell: Tell, want: str
) -> None:
    systemctl.units["waits.service"] = {**NEVER_RAN, want: "multi-user.target"}
    systemctl.units["runs.service"] = ACTIVE
    found = tell("runs.service waits.service")
    assert found == UnitResult(restarted=("runs.service",), started=("waits.service",))
    assert systemctl.calls() == ["restart -- runs.service waits.service"]


def test_at_boot_what_is_about_to_start_is_left_to_the_boot(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.system = "starting"
    systemctl.units["multi-user.target"] = {**NEVER_RAN, "Job": "3"}
    systemctl.units["soon.service"] = {**WAITING, "Job": "7"}
    assert tell("soon.service").idle == ("soon.service",)
    assert not systemctl.calls()


def test_at_boot_what_the_boot_gave_up_on_is_started_and_not_waited_for(
    systemctl: FakeSystemctl, tell: Tell
) -> None:
    systemctl.system = "starting"
    systemctl.units["multi-user.target"] = {**NEVER_RAN, "Job": "3"}
    systemctl.units["given-up.service"] = WAITING
    assert tell("given-up.service").started == ("given-up.service",)
    assert systemctl.calls() == ["--no-block restart -- given-up.service"]


def test_inside_a_unit_nothing_is_waited_for(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units |= {"a.service": ACTIVE, "b.service": ACTIVE}
    tell("a.service", "b.service", block=False)
    assert systemctl.calls() == [
        "--no-block restart -- a.service",
        "--no-block reload-or-restart -- b.service",
    ]


def test_a_dry_run_only_asks(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units |= {"a.service": ACTIVE, "b.service": FAILED, "c.service": WAITING}
    found = tell("a.service b.service c.service", dry_run=True)
    assert (found.restarted, found.started) == (("a.service", "b.service"), ("c.service",))
    assert systemctl.records()
    assert not systemctl.calls()


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("gone.service", {}, "not known"),
        ("masked.service", {"LoadState": "masked"}, "masked"),
        ("broken.service", {"LoadState": "bad-setting"}, "setting"),
        ("odd.service", {"LoadState": "merged"}, "could not be loaded"),
        ("template@.service", None, "template"),
        ("@x.service", None, "template"),
    ],
)
def test_a_unit_that_cannot_be_told_is_a_problem_and_hinders_no_other(
    systemctl: FakeSystemctl, tell: Tell, name: str, state: dict[str, str] | None, said: str
) -> None:
    systemctl.units["good.service"] = ACTIVE
    if state is not None:
        systemctl.units[name] = state
    found = tell(f"{name} good.service")
    assert found.restarted == ("good.service",)
    (problem,) = found.problems
    assert problem.code is Code.UNITS
    assert name in problem.message
    assert said in problem.message
    # The real systemctl shows nothing at all once a name is none.
    assert state is not None or not any(name in words for words, _ in systemctl.records())


def test_a_unit_that_does_not_come_up_is_named(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units |= {"a.service": ACTIVE, "b.service": ACTIVE, "c.service": ACTIVE}
    systemctl.acts["restart"] = {
        "status": 1,
        "says": 'Job for b.service failed: hunter2\nSee "systemctl status b.service" for details.\n',
        "then": {"b.service": FAILED},
    }
    found = tell("a.service b.service", "c.service")
    assert (found.restarted, found.reloaded) == (("a.service",), ("c.service",))
    (problem,) = found.problems
    assert problem.message == "the unit b.service could not be restarted: it is failed (exit-code)"
    assert problem.hints == ("systemctl status --no-pager b.service",)
    # It was told, and what it does with it is its own business: there is nothing to repeat.
    assert not found.untold


@pytest.mark.parametrize(
    ("then", "blamed"), [({"b.service": FAILED}, ["b.service"]), ({}, ["a.service", "b.service"])]
)
def test_without_a_name_the_states_say_who_it_was(
    systemctl: FakeSystemctl, tell: Tell, then: dict[str, dict[str, str]], blamed: list[str]
) -> None:
    systemctl.units |= {"a.service": ACTIVE, "b.service": ACTIVE}
    systemctl.acts["restart"] = {"status": 1, "says": "hunter2", "then": then}
    found = tell("a.service b.service")
    assert [problem.message.split()[2] for problem in found.problems] == blamed
    assert "hunter2" not in repr(found)


def test_a_call_that_hangs_ends(
    systemctl: FakeSystemctl, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "_WAITING", 0.3)
    systemctl.units["a.service"] = ACTIVE
    systemctl.acts["restart"] = {"seconds": 30}
    (problem,) = tell("a.service").problems
    assert "did not end within" in problem.message
    assert problem.hints == ("systemctl list-jobs",)


@pytest.mark.parametrize("act", [{"status": 1, "says": "Failed to connect to bus"}, {"seconds": 30}])
def test_a_systemd_that_does_not_answer_is_asked_again_next_time(
    systemctl: FakeSystemctl, tell: Tell, monkeypatch: pytest.MonkeyPatch, act: dict[str, Any]
) -> None:
    monkeypatch.setattr(units, "_ASKING", 0.5)
    systemctl.acts["show"] = act
    found = tell("a.service", "b.service")
    assert [problem.code for problem in found.problems] == [Code.UNITS]
    assert found.untold == UnitChanges(frozenset({"a.service"}), frozenset({"b.service"}))


def test_an_answer_that_lacks_a_unit_is_not_trusted(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.units["a.service"] = {**ACTIVE, "Id": "a.service\n\nId=b.service"}
    (problem,) = tell("a.service").problems
    assert "every unit" in problem.message


def test_without_systemctl(systemctl: FakeSystemctl, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl.program.unlink()
    found = tell("a.service")
    assert "no systemctl in " in found.problems[0].message
    assert found.untold
    # What the caller calls systemctl is not it.
    other = systemctl.folder / "other"
    other.mkdir()
    (other / "systemctl").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(other))
    assert tell("a.service").problems


def test_without_systemd_there_is_a_note(
    systemctl: FakeSystemctl, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "_BOOTED", str(systemctl.folder / "nowhere"))
    found = tell("b.service", "a.service")
    assert found == UnitResult(
        notes=("systemd does not run here, so nothing was told of a change: a.service, b.service",)
    )
    assert not systemctl.records()


def test_a_machine_that_shuts_down_restarts_nothing(systemctl: FakeSystemctl, tell: Tell) -> None:
    systemctl.system = "stopping"
    systemctl.units["a.service"] = ACTIVE
    found = tell("a.service")
    assert "shutting down" in found.notes[0]
    assert not systemctl.calls()


def test_a_secret_cannot_restart_activation(systemctl: FakeSystemctl, tell: Tell) -> None:
    own = "secretsmith-activate.service secretsmith-mount.service secretsmith-secret@x.target"
    systemctl.units |= dict.fromkeys((*own.split(), "secretsmith-web.service"), ACTIVE)
    found = tell(f"{own} secretsmith-web.service", "secretsmith-users.service")
    assert systemctl.calls() == ["restart -- secretsmith-web.service"]
    assert len(found.notes) == 4


def test_as_many_units_as_a_manifest_may_name(systemctl: FakeSystemctl, tell: Tell) -> None:
    names = [f"{'x' * 200}{number}.service" for number in range(10_000)]
    systemctl.units |= dict.fromkeys(names, ACTIVE)
    assert len(tell(" ".join(names)).restarted) == 10_000


def test_systemctl_gets_a_clean_environment(
    systemctl: FakeSystemctl, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMD_EDITOR", "/bin/evil")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/evil")
    systemctl.units["a.service"] = ACTIVE
    tell("a.service")
    for words, environ in systemctl.records():
        assert environ.keys() - {"LC_CTYPE"} == {"PATH", "LANG", "SYSTEMD_COLORS", "SYSTEMD_PAGER"}
        assert words[:2] == ["--no-ask-password", "--no-pager"]


def test_units_of_a_user(systemctl: FakeSystemctl, tell: Tell) -> None:
    (systemctl.folder / "systemd").mkdir()
    systemctl.units["a.service"] = ACTIVE
    systemctl.acts["restart"] = {"status": 1}
    found = tell("a.service", user=True, environment={"XDG_RUNTIME_DIR": str(systemctl.folder)})
    for words, environ in systemctl.records():
        assert words[0] == "--user"
        assert environ["XDG_RUNTIME_DIR"] == str(systemctl.folder)
    assert found.problems[0].hints == ("systemctl --user status --no-pager a.service",)
    elsewhere = UnitOptions(Notify.SYSTEMCTL, user=True, environment={"XDG_RUNTIME_DIR": "/nowhere"})
    assert systemd_runs(UnitOptions(Notify.SYSTEMCTL))
    assert not systemd_runs(elsewhere)


def test_none_tells_nobody(systemctl: FakeSystemctl) -> None:
    systemctl.prepare()
    assert notify_units(UnitChanges(frozenset({"a.service"})), UnitOptions(Notify.NONE)) == UnitResult()
    assert not systemctl.records()


@pytest.mark.parametrize(
    ("environ", "scope", "chosen", "how", "block"),
    [
        ({}, Scope.SYSTEM, None, Notify.SYSTEMCTL, True),
        ({"INVOCATION_ID": "x"}, Scope.SYSTEM, None, Notify.SYSTEMCTL, False),
        ({"NIXOS_ACTION": "switch"}, Scope.SYSTEM, None, Notify.NIXOS, True),
        ({"NIXOS_ACTION": "test"}, Scope.SYSTEM, None, Notify.NIXOS, True),
        ({"NIXOS_ACTION": "dry-activate"}, Scope.SYSTEM, None, Notify.NIXOS, True),
        # No switch-to-configuration reads lists after one of these.
        ({"NIXOS_ACTION": "boot"}, Scope.SYSTEM, None, Notify.SYSTEMCTL, True),
        ({"NIXOS_ACTION": "switch"}, Scope.USER, None, Notify.SYSTEMCTL, True),
        ({"NIXOS_ACTION": "switch"}, Scope.SYSTEM, "none", Notify.NONE, True),
        ({}, Scope.SYSTEM, "nixos", Notify.NIXOS, True),
    ],
)
def test_who_is_to_restart_units(
    environ: dict[str, str], scope: Scope, chosen: str | None, how: Notify, block: bool
) -> None:
    found = unit_options(environ, scope, chosen)
    assert (found.how, found.block, found.user) == (how, block, scope is Scope.USER)


def test_where_a_users_systemd_is() -> None:
    assert unit_options({}, Scope.SYSTEM, None).environment == {}
    given = unit_options({"XDG_RUNTIME_DIR": "/run/user/7", "LD_PRELOAD": "x"}, Scope.USER, None)
    assert given.environment == {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert unit_options({}, Scope.USER, None).environment == {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}


@pytest.mark.parametrize(("scope", "chosen"), [(Scope.SYSTEM, "sysctl"), (Scope.USER, "nixos")])
def test_a_wrong_choice(scope: Scope, chosen: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        unit_options({}, scope, chosen)
    assert caught.value.code is Code.USAGE


def test_facts(systemctl: FakeSystemctl, tmp_path: Path) -> None:
    unit = tmp_path / "web.service"
    unit.write_text("[Service]\nLoadCredential=old:/run/secrets/old\n")
    drop_in = tmp_path / "more.conf"
    drop_in.write_text("[Service]\nLoadCredential=\nLoadCredential=db:/run/secrets/db\n")
    systemctl.units["web.service"] = {
        **ACTIVE,
        "SubState": "running",
        "Names": "web.service httpd.service",
        "UnitFileState": "enabled",
        "FragmentPath": str(unit),
        "DropInPaths": str(drop_in),
        "EnvironmentFiles": "/run/secrets/env 1 (ignore_errors=yes)\nEnvironmentFiles=/etc/x (ignore_errors=no)",
        "ActiveEnterTimestampMonotonic": "12500000",
        "ExecMainStartTimestampMonotonic": "12000000",
    }
    systemctl.prepare()
    found = unit_facts(["web.service", "gone.service", "template@.service"], UnitOptions(Notify.SYSTEMCTL))
    assert [fact.name for fact in found] == ["web.service", "gone.service"]
    web, gone = found
    assert (web.entered, web.started, web.enabled, web.is_running) == (12.5, 12.0, "enabled", True)
    assert web.credentials == ("/run/secrets/db",)
    assert web.is_called(["httpd.service"]) and web.is_called(["web.service"]) and not gone.is_called(["x"])
    assert web.environment_files == ("/run/secrets/env 1", "/etc/x")
    assert (gone.load, gone.entered, gone.started, gone.fragment, gone.is_running) == (
        *("not-found", None, None, None),
        False,
    )


def test_facts_without_systemd_or_its_answer(
    systemctl: FakeSystemctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl.acts["show"] = {"status": 1}
    systemctl.prepare()
    with pytest.raises(SecretsmithError) as caught:
        unit_facts(["*.service"], UnitOptions(Notify.SYSTEMCTL))
    assert caught.value.code is Code.UNITS
    monkeypatch.setattr(units, "_BOOTED", "/nowhere")
    assert unit_facts(["*.service"], UnitOptions(Notify.SYSTEMCTL)) == []


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "nixos"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(unitlists, "_FOLDER", str(folder))
    monkeypatch.setattr(unitlists, "_TRUSTED", frozenset({0, os.getuid()}))
    tmp_path.chmod(0o755)
    return folder


def _nixos(restart: str = "", reload: str = "", *, dry_run: bool = False) -> UnitResult:
    changes = UnitChanges(frozenset(restart.split()), frozenset(reload.split()))
    return notify_units(changes, UnitOptions(Notify.NIXOS), dry_run=dry_run)


@pytest.mark.parametrize(("dry_run", "prefix"), [(False, ""), (True, "dry-")])
def test_lists_of_nixos(lists: Path, as_root: None, dry_run: bool, prefix: str) -> None:
    written = lists / f"{prefix}activation-restart-list"
    written.write_text("other.service\nb.service")
    written.chmod(0o600)
    found = _nixos("b.service a.service", "c.service a.service", dry_run=dry_run)
    assert written.read_text() == "other.service\nb.service\na.service\n"
    assert (lists / f"{prefix}activation-reload-list").read_text() == "c.service\n"
    assert not found.problems
    assert len(found.notes) == 2
    _nixos("a.service", dry_run=dry_run)
    assert written.read_text() == "other.service\nb.service\na.service\n"
    assert {path.name for path in lists.iterdir()} == {
        f"{prefix}activation-restart-list",
        f"{prefix}activation-reload-list",
    }
    assert written.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "hard link", "writable", "foreign"])
def test_a_list_that_others_have_a_hand_in(lists: Path, as_root: None, kind: str) -> None:
    place, victim = lists / "activation-restart-list", lists / "victim"
    victim.write_text("kept\n")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(victim)
    elif kind == "hard link":
        place.hardlink_to(victim)
    else:
        place.write_text("kept\n")
        place.chmod(0o666 if kind == "writable" else 0o600)
        os.chown(place, 1234 if kind == "foreign" else 0, 0)
    found = _nixos("a.service")
    assert len(found.problems) == 1
    assert found.untold.restart == {"a.service"}
    assert victim.read_text() == "kept\n"
    assert not place.is_file() or place.read_text() == "kept\n"


def test_a_folder_of_lists_that_is_not_roots(lists: Path, as_root: None) -> None:
    os.chown(lists, 1234, 1234)
    (problem,) = _nixos("a.service").problems
    assert problem.code is Code.PATH_UNSAFE
    assert not list(lists.iterdir())


def test_no_switch_runs(lists: Path) -> None:
    lists.rmdir()
    found = _nixos("a.service")
    assert [problem.code for problem in found.problems] == [Code.UNITS]
    assert found.untold.restart == {"a.service"}
