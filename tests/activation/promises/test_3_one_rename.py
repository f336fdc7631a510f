"""Promise 3: a generation is complete before the link moves, by one rename; unchanged input changes and restarts nothing.

Readers that poll while eight activate are in ../test_at_once.py, kills and failures at every system call in
../test_killed.py.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment
from worlds import OPTIONS, World, everything, tree

from secretsmith.activation import engine
from secretsmith.activation.generations import LiveLink
from secretsmith.activation.state import Moment
from secretsmith.activation.units import telling as units
from secretsmith.activation.units.changes import UnitChanges
from secretsmith.activation.units.telling import UnitOptions, UnitResult
from secretsmith.errors import ExitCode

pytestmark = pytest.mark.usefixtures("open_descriptors")


@pytest.fixture
def world(host: Host) -> World:
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    return World(Host(folder))


def record(told: list[UnitChanges]) -> Callable[..., UnitResult]:
    """Tells nobody, and remembers that it should have."""

    def notify(changes: UnitChanges, _: UnitOptions) -> UnitResult:
        told.append(changes)
        return UnitResult()

    return notify


def outsides(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every file of a generation as it is now, to the last bit of its metadata."""
    found = {str(path): path.stat() for path in (folder, *sorted(folder.rglob("*")))}
    return {
        path: (s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        for path, s in found.items()
    }


@pytest.mark.parametrize("first", [False, True], ids=["next", "first"])
def test_it_is_complete_before_the_link_moves(
    world: World, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reset(first=first)
    at_the_switch: dict[str, dict[str, tuple[int, ...]]] = {}
    real = LiveLink.switch

    def switch(link: LiveLink, number: int) -> None:
        folder = Path(link._generations) / str(number)
        phase = "users" if "users" in link._generations else "services"
        assert tree(folder) == world.expected("new")[phase]
        if not first:
            assert tree(world.lives[phase]) == world.expected("old")[phase], "the old one is live to the end"
        at_the_switch[phase] = outsides(folder)
        real(link, number)

    monkeypatch.setattr(LiveLink, "switch", switch)
    world.run()
    assert set(at_the_switch) == {"services", "users"}
    for phase, live in world.lives.items():
        assert outsides(live.resolve()) == at_the_switch[phase], "and nothing touches it afterwards"
    world.assert_new()


def test_custom_paths_follow_after_the_link(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy or link of the new world is never there while the old one is live."""
    world.reset()
    before = {path.name: path.lstat().st_ino for path in world.etc.iterdir()}
    real = LiveLink.switch
    passed: list[bool] = []

    def switch(link: LiveLink, number: int) -> None:
        if "users" not in link._generations:
            found = {p.name: p.lstat().st_ino for p in world.etc.iterdir() if not p.name.startswith(".")}
            passed.append(found == before)
        real(link, number)

    monkeypatch.setattr(LiveLink, "switch", switch)
    world.run()
    assert passed == [True]
    world.assert_new()


def test_the_link_moves_by_one_rename(world: World, peer: Callable[[str], str]) -> None:
    """Of the real program: the name of the link is given to the kernel once, as the target of a rename."""
    world.reset()
    log = world.folder.parent / "trace"
    calls = "rename,renameat,renameat2,unlink,unlinkat,symlink,symlinkat,link,linkat,rmdir"
    command = [peer("strace"), "-f", "-qq", "-o", str(log), "-e", f"trace={calls}"]
    done = subprocess.run(
        [*command, *world.host.command(*OPTIONS)], env=environment(PYTHONDONTWRITEBYTECODE="1"), check=False
    )
    assert done.returncode == 0
    for live in world.lives.values():
        name = re.escape(live.name)
        lines = [line for line in log.read_text().splitlines() if re.search(rf'"(\S*/)?{name}"', line)]
        assert len(lines) == 1, lines
        assert re.search(rf'rename\w*\(\d+, "\.{name}\.secretsmith-tmp", \d+, "{name}"\)\s+= 0', lines[0])
    world.assert_new()


def test_who_has_the_old_folder_open_reads_on(world: World) -> None:
    world.reset()
    folder = os.open(world.host.directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        world.run()
        fd = os.open("a", os.O_RDONLY, dir_fd=folder)
        assert os.read(fd, 100) == b"old a"
        os.close(fd)
    finally:
        os.close(folder)


def test_unchanged_input_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[UnitChanges] = []
    keys: list[str] = []
    world.reset()
    assert world.run().exit_code is ExitCode.OK
    monkeypatch.setattr(units, "notify_units", record(told))
    before = without_locks(world)
    world.host.moment = Moment(5e9, 9e9)
    for _ in range(3):
        outcome = engine.activate(
            world.host.data(),
            world.host.options(paths=str(world.host.paths_file)),
            shield=lambda: keys.append("read"),
        )
        assert [report.nothing_done for report in outcome.reports] == [True, True]
    assert without_locks(world) == before
    assert not told and not keys


def test_neither_does_the_program(world: World) -> None:
    world.reset()
    assert world.host.door(*OPTIONS).returncode == 0
    before = without_locks(world)
    found = world.host.door(*OPTIONS)
    assert found.returncode == 0
    assert found.stdout == (
        "secretsmith: web1: users: generation 2: nothing to do, 1 unchanged\n"
        "secretsmith: web1: generation 2: nothing to do, 6 unchanged\n"
    )
    manifest = str(world.folder / "manifest.json")  # which the test writes again
    folder = str(world.folder)
    assert {**without_locks(world), manifest: (), folder: ()} == {**before, manifest: (), folder: ()}


def without_locks(world: World) -> dict[str, tuple[object, ...]]:
    """The lock file holds the number of the last process."""
    return {path: found for path, found in everything(world.folder).items() if not path.endswith(".lock")}


@pytest.mark.parametrize("what", ["value", "copy", "copied mode", "template", "record", "status"])
def test_what_was_touched_is_no_unchanged_input(world: World, what: str) -> None:
    world.reset()
    world.run()
    live = world.host.directory.resolve()
    if what == "record":
        world.host.paths_file.unlink()
    elif what == "status":
        world.host.status_file.write_text("{}")
    elif what == "copy":
        (world.etc / "copy").unlink()
    else:
        path = {"value": live / "a", "template": live / "app.env"}.get(what, world.etc / "copy")
        path.chmod(0o600)
        if what != "copied mode":
            path.write_bytes(b"evil")
    if what == "copied mode":
        # A copy that somebody changed is not overwritten, and said to be in the way.
        assert world.run().exit_code is ExitCode.ERROR
        assert stat.S_IMODE((world.etc / "copy").stat().st_mode) == 0o600
        (world.etc / "copy").unlink()
    world.run()
    world.assert_new()
    assert all(report.nothing_done for report in world.run().reports)


def test_a_new_ciphertext_of_the_same_value_restarts_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[UnitChanges] = []
    place = {"path": str(host.folder / "etc" / "db"), "method": "copy", "plaintext_on_disk": True}
    host.add("db", b"same", restart_units=["db.service"], **place)
    host.run()
    before = (host.folder / "etc" / "db").stat()
    monkeypatch.setattr(units, "notify_units", record(told))
    host.add("db", b"same", restart_units=["db.service"], **place)
    report = host.run()
    assert (report.nothing_done, report.generation, told) == (False, 1, [])
    assert (host.folder / "etc" / "db").stat() == before


def test_a_change_in_one_phase_leaves_the_other_as_it_is(world: World) -> None:
    world.reset()
    world.run()
    users = world.lives["users"]
    before = os.readlink(users), outsides(users.resolve())
    world.host.add("more", b"more")
    assert [report.generation for report in world.run().reports] == [2, 3]
    assert (os.readlink(users), outsides(users.resolve())) == before


@pytest.mark.skipif(not IS_ROOT, reason="owners")
def test_a_new_owner_alone_is_a_new_generation(host: Host) -> None:
    host.add("db", b"same", owner="1")
    host.run()
    host.manifest["secrets"][0]["owner"] = "2"
    assert host.run().generation == 2
    assert (host.directory / "db").stat().st_uid == 2
    assert (host.generations / "1" / "db").stat().st_uid == 1, "the old generation is as it was"
