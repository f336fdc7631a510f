"""Killed, or failing, at each system call that writes: the old or the new world is whole, and the next run heals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from hosts import Host, environment
from injection import CALLS, Point, points_of, sample, traced
from worlds import OPTIONS, TEMPORARY, World

WRITES = f"{CALLS},symlink,symlinkat,chmod,chown,fchownat,fremovexattr,mount"
# Each run takes other points, so that a few runs meet all of them; EVERY_POINT=1 takes them all at once, and long.
EVERY_POINT = bool(os.environ.get("EVERY_POINT"))
ERRORS = ("ENOSPC", "EIO", "EMFILE")


def activate(world: World, tracer: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = world.host.command(*OPTIONS)
    return traced(tracer, options, command, cwd=world.folder, environ=environment(), stdin=b"")


def all_points(world: World, tracer: str, *, first: bool) -> list[Point]:
    world.reset(first=first)
    log = world.folder.parent / "trace"
    whole = activate(world, tracer, "-o", str(log), "-e", f"trace={WRITES}")
    assert whole.returncode == 0, whole.stderr
    world.assert_new()
    points = points_of(log)
    log.unlink()
    assert len(points) > 60, points
    assert {point.call for point in points} >= {"write", "fchown", "fchmod", "openat", "pwrite64", "unlinkat"}
    return points


def some(points: list[Point], most: int) -> Iterator[Point]:
    yield from points if EVERY_POINT else sample(points, most)


@pytest.fixture
def world(host: Host) -> World:
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    return World(Host(folder))


AMOUNTS = [4, pytest.param(16, marks=pytest.mark.slow)]


@pytest.mark.parametrize("most", AMOUNTS)
@pytest.mark.parametrize("first", [False, True], ids=["next", "first"])
def test_killed_at_every_system_call_that_writes(
    world: World, first: bool, most: int, peer: Callable[[str], str]
) -> None:
    tracer = peer("strace")
    for point in some(all_points(world, tracer, first=first), most):
        world.reset(first=first)
        killed = activate(world, tracer, *point.killing())
        assert killed.returncode != 0, f"{point} was not reached"
        world.assert_whole(first=first)
        world.assert_heals()


@pytest.mark.parametrize("most", AMOUNTS)
@pytest.mark.parametrize("error", ERRORS)
def test_failing_at_every_system_call_that_writes(
    world: World, error: str, most: int, peer: Callable[[str], str]
) -> None:
    tracer = peer("strace")
    for point in some(all_points(world, tracer, first=False), most):
        world.reset()
        failed = activate(world, tracer, *point.failing(error))
        said = failed.stderr.decode()
        assert "Traceback" not in said and "internal error" not in said, (point, said)
        assert failed.returncode in (0, 1), (point, said)
        world.assert_whole()
        if failed.returncode == 0 and "an old path stays" not in said:
            world.assert_new()
        elif failed.returncode == 0:
            assert "note: an old path stays" in said
        else:
            assert "secretsmith: error: " in said, point
            if point.call != "unlinkat":  # what failed may be the tidying itself
                assert not list(world.etc.glob(f".*{TEMPORARY}")), point
        world.assert_heals()
