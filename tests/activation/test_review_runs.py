"""Runs of other manifests, at the same time, on read-only disks and with very many secrets."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hosts import Host, mount

from secretsmith.activation import engine, folders, state
from secretsmith.activation.accounts import Caller
from secretsmith.activation.plan import Decision, State
from secretsmith.activation.scope import settled, surroundings
from secretsmith.activation.target import locked_target
from secretsmith.activation.units.waypoints import make_waypoints
from secretsmith.errors import Code, ExitCode
from secretsmith.manifest import Phase, Scope, parse_manifest

pytestmark = pytest.mark.usefixtures("open_descriptors")


@pytest.fixture
def other(host: Host) -> Host:
    """Another host's manifest, with places of its own and the same status file."""
    folder = host.folder / "other"
    folder.mkdir(mode=0o755)
    made = Host(folder)
    made.manifest["host"] = "web2"
    made.status_file = host.status_file
    return made


def test_a_status_file_of_another_manifest_says_nothing(host: Host, other: Host) -> None:
    """Its generation may have the very number of ours."""
    host.add("db")
    host.run()
    other.add("mail")
    other.add("password", phase="users")
    other.run_all()
    assert not host.run().nothing_done
    assert (host.status()["host"], host.states()) == ("web1", {"db": "unchanged"})
    assert list(host.status()["phases"]) == ["services"]
    assert host.run().nothing_done


def test_a_manifest_that_was_moved(host: Host) -> None:
    host.add("db")
    host.run(source="/etc/old.json")
    assert not host.run(source="/etc/new.json").nothing_done
    assert host.status()["manifest"] == "/etc/new.json"
    assert host.run(source="/etc/new.json").nothing_done


def test_two_phases_at_once_both_stay_in_the_status(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("db")
    host.add("password", phase="users")
    waited: list[bool] = []

    @contextlib.contextmanager
    def slow(*given: Any) -> Iterator[Any]:
        if not waited:
            waited.append(True)
            host.run_all(phase=Phase.USERS)
        with locked_target(*given) as target:
            yield target

    monkeypatch.setattr(engine, "locked_target", slow)
    host.run_all(phase=Phase.SERVICES)
    assert host.states() == {"password": "fresh", "db": "fresh"}


def test_a_folder_that_another_activation_makes_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.manifest["directory"] = str(host.folder / "new" / "run" / "secrets")
    host.manifest["generations"] = str(host.folder / "new" / "run" / "secrets.d")
    host.add("db", path=str(host.folder / "etc" / "db"))
    real = os.mkdir

    def late(name: Any, *given: Any, **named: Any) -> None:
        if name in ("new", "run", "etc", "state"):
            real(name, *given, **named)
        real(name, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", late)
        report = host.run(paths=str(host.paths_file))
    assert report.exit_code is ExitCode.OK
    assert host.paths_file.exists()


def test_a_folder_that_somebody_else_makes_first_is_not_trusted(
    host: Host, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sticky folder anybody can."""
    host.folder.chmod(0o1777)
    host.add("db", path=str(host.folder / "etc" / "db"))
    real = os.mkdir

    def late(name: Any, *given: Any, **named: Any) -> None:
        if name == "etc":
            real(host.folder / "etc", 0o777)
            os.chown(host.folder / "etc", 1, 1)
        real(name, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", late)
        (problem,) = host.run().problems
    assert problem.error.code is Code.PATH_UNSAFE
    assert not os.listdir(host.folder / "etc")


def test_nothing_to_do_on_a_read_only_disk_is_no_failure(host: Host, as_root: None) -> None:
    """The copy is right and the record says so; after a reboot that is looked at again."""
    disk = host.folder / "disk"
    disk.mkdir()
    mount("tmpfs", disk, "mode=0755")
    host.paths_file = disk / "state" / "paths.json"
    host.add("db", path=str(disk / "db"), method="copy", plaintext_on_disk=True)
    host.run(paths=str(host.paths_file))
    shutil.rmtree(host.folder / "run")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    report = host.run(paths=str(host.paths_file))
    assert [problem.error.message for problem in report.problems] == []
    assert host.run(paths=str(host.paths_file)).nothing_done


def test_what_is_on_a_read_only_disk_was_not_removed(host: Host, as_root: None) -> None:
    disk = host.folder / "disk"
    disk.mkdir()
    mount("tmpfs", disk, "mode=0755")
    (disk / "there").write_text("x")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    folder = os.open(disk, os.O_RDONLY)
    try:
        folders.remove_if_there(folder, "missing")
        with pytest.raises(OSError, match="Read-only"):
            folders.remove_if_there(folder, "there")
    finally:
        os.close(folder)


def test_a_state_that_cannot_be_saved_after_units_were_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is done by then, so the report and the status file must say what."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "")

    host.add("db", restart_units=["app.service"])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "save_state", full)
        outcome = host.run_all()
    assert [error.code for error in outcome.errors()] == [Code.NOSPC]
    assert outcome.exit_code is ExitCode.ERROR
    assert host.states() == {"db": "fresh"}
    assert host.status()["exit_code"] == ExitCode.ERROR


def test_the_state_of_many_generations_can_be_read_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than its reader's limit would be taken for damaged, and last good values forgotten."""
    monkeypatch.setattr(state, "_MAX_BYTES", 16_000)
    monkeypatch.setattr(state, "_MAX_RECORDS", 8_000)
    host.manifest["keep"] = 100
    for number in range(20):
        host.add(f"secret-{number % 10}", str(number).encode())
        report = host.run()
        assert not any("damaged" in note for note in report.notes)
    assert (host.generations / "state.json").stat().st_size < 16_000
    kept = {path.name for path in host.generations.iterdir() if path.is_dir()}
    records = json.loads((host.generations / "state.json").read_text())["records"].keys()
    assert {"19", "20"} <= records <= kept
    assert len(kept - records) <= 1  # goes at the next run


def test_ten_thousand_secrets_without_a_key_are_compared_with_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reinstallation all fail alike; each compared with each took minutes."""
    base = host.add("a")
    host.manifest["secrets"] = [{**base, "name": f"secret-{number}"} for number in range(300)]
    host.reinstall()
    compared: list[object] = []

    def equal(self: Decision, other: object) -> bool:
        compared.append(other)
        return self is other

    monkeypatch.setattr(Decision, "__eq__", equal)
    report = host.run()
    assert {decision.state for decision in report.decisions} == {State.MISSING}
    assert not compared


def test_a_filesystem_of_a_user_is_no_internal_error(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that a user has mounted (FUSE) is shut to root; the others are still made."""
    real = os.fstat
    shut = host.folder / "a-shut"
    shut.mkdir()
    inode = shut.stat().st_ino

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if found.st_ino == inode:
            raise PermissionError(errno.EACCES, "")
        return found

    host.add("a", path=str(shut / "x" / "a"))
    host.add("b", path=str(host.folder / "open" / "x" / "b"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fstat)
        make_waypoints(parse_manifest(host.data()), Caller.current())
    assert (host.folder / "open" / "x").is_dir()


def test_a_home_that_is_reached_by_a_link(host: Host) -> None:
    """/home is a link on some systems, and folders on the way to files must be none."""
    (host.folder / "real").mkdir()
    link = host.folder / "home"
    link.symlink_to("real")
    real = str((host.folder / "real").resolve())
    environ = {"HOME": str(link), "XDG_RUNTIME_DIR": str(link)}
    host.manifest |= {
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
    }
    host.add("db", path="$HOME/.config/db")
    uid = os.getuid() or 1
    os.chown(real, uid, -1)
    caller = Caller(uid, uid, frozenset({uid}), trusted=frozenset({0, uid}))
    manifest = settled(parse_manifest(host.data()), environ, caller)
    assert manifest.generations == f"{real}/secrets.d"
    assert manifest.secrets[0].path == f"{real}/.config/db"
    usual = surroundings(Scope.USER, environ, caller)
    assert usual.status == f"{real}/secretsmith/status.json"
    assert usual.paths == f"{real}/.local/state/secretsmith/paths.json"
