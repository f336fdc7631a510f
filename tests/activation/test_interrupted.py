"""Failing and interrupted inside the process: a reader sees the old or the new world, and the next run heals.

The same for the real program, at every system call that writes, is in test_killed.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable

import pytest
from hosts import Host, environment, mounts_below
from worlds import World

from secretsmith.activation import folders, generations
from secretsmith.errors import SecretsmithError


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
    step = 1 if os.environ.get("SLOW") == "1" else 4
    for number in range(1 + os.getpid() % step, 200, step):
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
            with contextlib.suppress(SecretsmithError):  # and no other kind of error
                world.run()
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
