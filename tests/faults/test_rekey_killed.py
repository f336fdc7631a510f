"""A rekey of 200 files, killed and starved of disk: no file is lost or half written, and the next run completes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keys
import pytest
from bigfleet import CLEAR, VALUE, BigFleet, make_big_fleet
from injection import CALLS, Point, points_of, traced
from repositories import Fleet

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code
from secretsmith.operations.check import check
from secretsmith.operations.rekey import plan_rekey
from secretsmith.operations.show import show_secret
from secretsmith.policy import edit
from secretsmith.store.atomic import is_temp_name
from secretsmith.store.journal import records_exist

FILES = 200
FRESH = keys.ed25519_key("root@host03")
LATE = keys.ed25519_key("root@late")
REKEY = ("rekey", "--accept", "all")
REPROVISION = ("host", "reprovision", "host03", "--key", FRESH.public, "--yes")
POINTS = pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder in memory when there is one: thousands of real fsyncs prove nothing more and take their time."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base, prefix="faults-test-") as folder:
        yield Path(folder)


def plant(folder: Path) -> BigFleet:
    """Make 200 files that all drift: a host was added to all, and a user removed from some."""
    made = make_big_fleet(folder, files=FILES, hosts=10, users=3, git=False)
    text = edit.add_host(made.fleet.registry, "late", [LATE.public])
    text = edit.grant(text, ["secrets/**"], ["late"])
    made.fleet.write_registry(edit.remove_user(text, "user00"))
    assert len(plan_rekey(made.fleet.project()).files) == FILES
    return made


def broken(fleet: Fleet) -> list[str]:
    """Name files that do not hold what they held, or are gone."""
    project = fleet.project()
    held = {format: value for format, value in [(Format.AGE, VALUE), *CLEAR.items()]}  # noqa: A001, C416
    found = [
        str(path.relative_to(fleet.root))
        for path in (fleet.root / "secrets").rglob("*")
        if path.is_file() and not is_temp_name(path.name)
    ]
    wrong = [path for path in found if show_secret(project, path).expose() != held[format_of(path)]]
    return wrong if len(found) == FILES else [*wrong, f"{len(found)} files"]


def unhealed(fleet: Fleet, argv: tuple[str, ...]) -> Iterator[str]:
    """Run the command again, and yield what is not as it has to be then."""
    fleet.run(*argv)
    yield from broken(fleet)
    project = fleet.project()
    if argv == REKEY and plan_rekey(project):
        yield "still drifts"
    yield from (
        f"{found.code} {found.path}" for found in check(project, deep=True) if found.code not in _KNOWN
    )
    # A young one in the state folder may be another process's; it is swept when it is old enough.
    temps = [path for path in fleet.root.rglob(".*") if is_temp_name(path.name)]
    if left := [path for path in temps if path.parent != project.state]:
        yield f"left: {left}"
    if records_exist(project.state):
        yield "a journal is left"


_KNOWN = (Code.SINGLE_ADMIN,)


def points(strace: str, whole: BigFleet, ground: Path, argv: tuple[str, ...], count: int) -> list[Point]:
    """Choose ``count`` system calls that write, at random."""
    shutil.copytree(whole.fleet.folder, ground / "trial", symlinks=True)
    trial, log = whole.fleet.at(ground / "trial"), ground / "trace"
    options = ("-e", f"trace={CALLS}", "-o", str(log))
    done = run(strace, trial, argv, *options)
    assert done == 0
    found = points_of(log, trial.folder)
    assert len(found) > FILES
    return random.sample(found, count)


def run(strace: str, fleet: Fleet, argv: tuple[str, ...], *options: str) -> int:
    return outcome(strace, fleet, argv, *options)[0]


def outcome(strace: str, fleet: Fleet, argv: tuple[str, ...], *options: str) -> tuple[int, bool]:
    """Return the exit code, and whether the program says that one of its workers was killed and it wrote nothing.

    strace counts the calls of each process for itself: a worker's n-th write, to its pipe, may come before the n-th of the first
    process, and is hit instead.
    """
    program = [sys.executable, "-m", "secretsmith", *argv]
    done = traced(strace, options, program, cwd=fleet.root, environ=fleet.environ, stdin=b"")
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, b"ended early (killed by signal 9); nothing was written" in done.stderr


def each(whole: BigFleet, ground: Path, chosen: list[Point]) -> Iterator[tuple[Point, Fleet]]:
    for number, point in enumerate(chosen):
        folder = ground / str(number)
        shutil.copytree(whole.fleet.folder, folder, symlinks=True)
        yield point, whole.fleet.at(folder)
        shutil.rmtree(folder)


@POINTS
def test_killed(count: int, ground: Path, peer: Callable[[str], str]) -> None:
    strace = peer("strace")
    whole = plant(ground / "whole")
    chosen = points(strace, whole, ground, REKEY, count)
    killed = workers = 0
    for point, fleet in each(whole, ground, chosen):
        before = fleet.files()
        code, worker = outcome(strace, fleet, REKEY, *point.killing())
        killed += code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        if worker:
            workers += 1
            assert (code, point.call) == (1, "write")
            assert fleet.files() == before
        assert broken(fleet) == [], point
        assert list(unhealed(fleet, REKEY)) == [], point
    assert killed + workers == count
    assert killed > workers


@POINTS
def test_the_disk_is_full(count: int, ground: Path, peer: Callable[[str], str]) -> None:
    strace = peer("strace")
    whole = plant(ground / "whole")
    chosen = points(strace, whole, ground, REKEY, -(-count // 4))
    for point, fleet in each(whole, ground, chosen):
        assert run(strace, fleet, REKEY, *point.failing("ENOSPC")) in (0, 1), point
        assert broken(fleet) == [], point
        assert list(unhealed(fleet, REKEY)) == [], point


@POINTS
def test_registry_and_files_change_together(count: int, ground: Path, peer: Callable[[str], str]) -> None:
    """Whatever kills a reprovision, after the next command the host has its new key everywhere or nowhere."""
    strace = peer("strace")
    whole = make_big_fleet(ground / "whole", files=FILES, hosts=10, users=3, git=False)
    its = whole.read_by("host03")
    chosen = points(strace, whole, ground, REPROVISION, -(-count // 4))
    for point, fleet in each(whole, ground, chosen):
        run(strace, fleet, REPROVISION, *point.killing())
        fleet.run("group", "add", "some", "host00")  # any command that writes
        project = fleet.project()
        done = FRESH.public in fleet.registry
        new = project.registry.hosts["host03"].keys[0].fingerprint
        assert all((new in project.lock.files[path].recipients) for path in its), point
        assert not plan_rekey(project), point
        assert broken(fleet) == [], point
        assert len(project.registry.hosts["host03"].retired) == done, point
