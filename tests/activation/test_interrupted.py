"""Failing and interrupted inside the process: a reader sees the old or the new world, and the next run heals.

The same for the real program, at every system call that writes, is in test_killed.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hosts import Host, environment, mounts_below
from worlds import World

from secretsmith.activation import engine, folders, generations
from secretsmith.activation.places import acting, places
from secretsmith.activation.plan import State
from secretsmith.errors import Code, ExitCode, SecretsmithError
from secretsmith.manifest import Phase


@pytest.fixture
def world(host: Host) -> World:
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    return World(Host(folder))


@pytest.mark.usefixtures("as_root")
def test_killed_at_the_mount(host: Host, peer: Callable[[str], str]) -> None:
    host.add("db")
    command = [peer("strace"), "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount:signal=KILL:when=1"]
    killed = subprocess.run([*command, *host.command()], env=environment(), capture_output=True, check=False)
    assert killed.returncode != 0
    assert not os.path.lexists(host.directory)
    assert host.door().returncode == 0
    assert len(mounts_below(host.folder)) == 1
    assert host.installed() == {"db": b"value"}


FAULTS = ("mkdir", "rename", "symlink", "write", "fchown", "fchmod", "open")


@pytest.mark.parametrize("call", FAULTS)
def test_every_failing_call_leaves_a_whole_world(
    world: World, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call fails once with each error, at each place: a full disk, no permission, no descriptors, I/O errors."""
    world.reset()
    real = getattr(os, call)
    step = 1 if os.environ.get("SLOW") == "1" else (20 if call == "open" else 4)
    for number in range(1 + os.getpid() % step, 600, step):
        seen = 0
        reason = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES)[number % 4]

        def fail(*given: object, _at: int = number, _reason: int = reason, **named: object) -> object:
            nonlocal seen
            # Only what activation does itself, by descriptor; not Python's own imports.
            seen += "dir_fd" in named or "src_dir_fd" in named or call in ("write", "fchown", "fchmod")
            if seen == _at:
                raise OSError(_reason, os.strerror(_reason))
            return real(*given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            stale = False
            with contextlib.suppress(SecretsmithError):  # and no other kind of error
                reports = world.run().reports
                stale = any(item.state is State.STALE for report in reports for item in report.decisions)
        if not stale:  # a key or source that could not be read: single values stay as they were, promise 2
            world.assert_whole()
        world.assert_heals()
        if seen < number:
            assert seen, "the call was never met"
            return
        world.reset()
    pytest.fail("no end")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_drops_the_draft(
    world: World, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reset()
    real = folders.write_whole

    def stop(fd: int, data: bytes) -> None:
        real(fd, data)
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(generations, "write_whole", stop)
        with pytest.raises(kind):
            world.run()
    assert {path.name for path in world.host.generations.iterdir()} == {"1", "state.json"}
    world.assert_whole()
    world.assert_heals()


def test_short_writes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("db", b"a longer value")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    host.run()
    assert host.installed() == {"db": b"a longer value"}


def test_a_record_that_cannot_be_read_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reboot only the record knows of old copies; a passing error of its disk must not make them strangers."""

    def failing(*_: object) -> None:
        raise SecretsmithError(Code.IO, "input/output error")

    world.reset()
    shutil.rmtree(world.host.directory.parent)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "load_placed", failing)
        outcome = world.run()
    assert Code.IO in {error.code for error in outcome.errors()}
    assert outcome.exit_code is ExitCode.ERROR
    assert (world.etc / "copy-old").exists()
    world.assert_known()
    world.assert_heals()


def test_a_copy_whose_folder_cannot_be_entered_any_more_stays_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reset()
    real = acting.place_folder
    switched: list[bool] = []

    def failing(parent: str, *given: Any, **named: Any) -> Any:
        if switched and parent == str(world.etc):
            raise SecretsmithError(Code.IO, "input/output error")
        return real(parent, *given, **named)

    commit = places.Places.commit

    def after(self: places.Places) -> dict[str, SecretsmithError]:
        switched.append(True)
        return commit(self)

    with monkeypatch.context() as patch:
        patch.setattr(places, "place_folder", failing)
        patch.setattr(places.Places, "commit", after)
        assert world.run(phase=Phase.SERVICES).exit_code is ExitCode.ERROR
    assert (world.etc / ".copy-new.secretsmith-tmp").exists()
    world.assert_known()
    # The next manifest does not want it at all, and there was a reboot in between.
    shutil.rmtree(world.host.directory.parent)
    world.host.manifest["secrets"], world.host.manifest["templates"] = [], []
    assert world.run().exit_code is ExitCode.OK
    assert not list(world.etc.glob("*copy*")) and not list(world.etc.glob(".*"))


def test_a_record_that_was_lost_is_made_anew_by_a_run_that_has_nothing_to_do(world: World) -> None:
    world.reset()
    world.run()
    world.host.paths_file.unlink()
    assert all(report.nothing_done for report in world.run().reports)
    world.assert_known()
    world.assert_heals()
