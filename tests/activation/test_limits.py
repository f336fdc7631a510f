"""A filesystem in memory that is full, and no descriptors left: the old world stays, it is said, and the next run heals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Host, environment, mount, unmount_below
from worlds import OPTIONS, World, copied

from secretsmith.activation.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import Code, ExitCode, SecretsmithError

PAGE = 4096
ROUND = 64 * 1024


def mount_small(folder: Path, *more: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mount("tmpfs", folder, ",".join(("noswap,mode=0751", *more)), MS_NOSUID | MS_NODEV | MS_NOEXEC)


@pytest.fixture
def small(host: Host) -> Host:
    """A host whose generations have 64 KiB."""
    mount_small(host.generations, f"size={ROUND}")
    return host


def left(host: Host) -> set[str]:
    return {path.name for path in host.generations.iterdir()}


@pytest.mark.usefixtures("as_root")
def test_a_generation_that_does_not_fit(small: Host) -> None:
    host = small
    host.add("big", b"o" * 20 * 1024)
    host.add("small", b"old", **copied(host.folder / "etc" / "small"))
    assert host.door("--no-mount").returncode == 0
    old, status = host.installed(), host.status_file.read_bytes()
    host.add("big", b"n" * 60 * 1024)
    host.add("small", b"new", **copied(host.folder / "etc" / "small"))
    for _ in range(2):
        failed = host.door("--no-mount")
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr == (
            f"secretsmith: error: {host.generations}: no space left on device\n"
            "secretsmith: hint: generation 1 stays live\n"
        )
        assert host.installed() == old
        assert left(host) == {"1", "state.json"}
        assert [path.read_bytes() for path in (host.folder / "etc").iterdir()] == [b"old"]
        assert host.status_file.read_bytes() == status
    host.add("big", b"n" * 24 * 1024)
    assert host.door("--no-mount").returncode == 0
    assert host.installed() == {"big": b"n" * 24 * 1024, "small": b"new"}
    assert left(host) == {"1", "2", "state.json"}


@pytest.mark.usefixtures("as_root")
def test_every_size_around_the_limit(small: Host) -> None:
    """So that the last page is gone at each of the writes: of a value, of a folder, of the state before and after the switch."""
    host = small
    host.add("small", b"old")
    host.add("big", b"old")
    host.run(memory=Memory.VERIFY)
    good = host.installed()
    codes: set[Code | None] = set()
    for pages in range(8, 17):
        for size in (pages * PAGE - 1, pages * PAGE):
            host.add("small", str(size).encode())
            host.add("big", bytes(size))
            new = {"small": str(size).encode(), "big": bytes(size)}
            before = left(host)
            try:
                host.run(memory=Memory.VERIFY)
            except SecretsmithError as error:
                codes.add(error.code)
                assert host.installed() in (good, new)
                assert left(host) - {"state.json"} == before - {"state.json"}, size
            else:
                codes.add(None)
                assert host.installed() == new
            good = host.installed()
            # Small again, so that the next size meets an empty filesystem; what is older is pruned by two more.
            for word in (b"1", b"2"):
                host.add("big", word)
                assert host.run(memory=Memory.VERIFY).exit_code is ExitCode.OK
                good = host.installed()
    assert codes == {None, Code.NOSPC}


@pytest.mark.usefixtures("as_root")
def test_a_full_place_of_copies_is_a_failure_of_that_secret(host: Host) -> None:
    mount_small(host.folder / "etc", f"size={ROUND}")
    copies = {"path": str(host.folder / "etc" / "copy"), "method": "copy"}
    host.add("copy", b"old", **copies)
    host.add("other", b"old")
    host.run()
    host.add("copy", bytes(ROUND + 1), **copies)
    host.add("other", b"new")
    failed = host.door("--plain-folder")
    assert failed.returncode == 1
    assert f"web1: copy: {host.folder}/etc/copy: no space left on device" in failed.stderr
    assert (host.folder / "etc" / "copy").read_bytes() == b"old"
    assert host.installed()["other"] == b"new"
    assert [path.name for path in (host.folder / "etc").iterdir()] == ["copy"]
    host.add("copy", b"new", **copies)
    assert host.door("--plain-folder").returncode == 0
    assert (host.folder / "etc" / "copy").read_bytes() == b"new"


@pytest.mark.usefixtures("as_root")
def test_a_phase_that_does_not_fit_does_not_stop_the_others(host: Host) -> None:
    users = host.generations.with_name("secrets-for-users.d")
    mount_small(users, "size=8k")
    host.add("password", bytes(ROUND), phase="users")
    host.add("db", b"value")
    outcome = host.run_all(memory=Memory.MOUNT)
    assert [error.code for error in outcome.errors()] == [Code.NOSPC]
    assert outcome.exit_code is ExitCode.ERROR
    assert host.installed() == {"db": b"value"}
    assert not list(users.glob("[0-9]*"))


def starts(limit: int) -> bool:
    """Whether Python and the program's modules can be loaded at all with so many descriptors."""
    command = limited(limit, [sys.executable, "-c", "import secretsmith.cli.activate"])
    return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0


def limited(limit: int, command: list[str]) -> list[str]:
    return ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *command]


@pytest.fixture
def world(host: Host) -> Iterator[World]:
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    yield World(Host(folder))
    if os.geteuid() == 0:
        unmount_below(folder)


@pytest.mark.parametrize("first", [False, True], ids=["next", "first"])
def test_descriptors_at_the_limit(world: World, first: bool) -> None:
    """Every limit from what just starts Python up to what is enough."""
    least = next(limit for limit in range(4, 64) if starts(limit))
    for limit in range(least, 64):
        world.reset(first=first)
        done = subprocess.run(
            limited(limit, world.host.command(*OPTIONS)),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, (limit, done.stderr)
        assert "internal error" not in done.stderr, (limit, done.stderr)
        if done.returncode == 0:
            world.assert_new()
            assert limit > least, "the limit was never felt"
            return
        # A loader that has no descriptor left calls it a missing module, or a missing file.
        assert "secretsmith: error: " in done.stderr, (limit, done.stderr)
        assert done.returncode == 1, (limit, done.stderr)
        world.assert_whole(first=first)
        world.assert_heals()
    pytest.fail("never enough")
