"""Killed at any instant, custom paths are old or new, nothing half-made stays, and nothing becomes a stranger."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sites import Site

from secretsmith.activation.places import renames
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Method

CALLS = ("open", "write", "fchown", "fchmod", "fsync", "mkdir", "rename", "symlink", "unlink")
KILLED = 9


def old_world(folder: Path) -> Site:
    """A copy that changes, a copy that goes, a copy that becomes a link, a link that becomes a copy, a link that goes."""
    site = Site(folder)
    etc = folder / "etc"
    site.copy("changes", etc / "changes", b"old")
    site.copy("goes", etc / "goes", b"old")
    site.copy("to-link", etc / "to-link", b"old")
    site.add("to-copy", etc / "to-copy")
    site.add("link-goes", etc / "link-goes")
    assert not site.run()
    return site


def new_world(site: Site) -> None:
    etc = site.folder / "etc"
    site.copy("changes", etc / "changes", b"new", mode="0440")
    site.drop("goes")
    site.add("to-link", etc / "to-link", method=Method.LINK)
    site.copy("to-copy", etc / "to-copy", b"new")
    site.drop("link-goes")
    site.copy("comes", etc / "comes", b"new")


def third_world(site: Site) -> None:
    """Before the next run the manifest changes once more: what was half-made is not wanted at all."""
    for name in ("to-copy", "comes", "to-link"):
        site.drop(name)
    site.copy("changes", site.folder / "etc" / "changes", b"third")


def assert_between(site: Site) -> None:
    """Each path is as before or as wanted, at every instant."""
    etc = site.folder / "etc"
    assert (etc / "changes").read_bytes() in (b"old", b"new")
    assert (etc / "to-link").is_symlink() or (etc / "to-link").read_bytes() == b"old"
    assert (etc / "to-copy").is_symlink() or (etc / "to-copy").read_bytes() == b"new"
    for name in ("goes", "comes"):
        assert not (etc / name).exists() or (etc / name).read_bytes() in (b"old", b"new")


def assert_done(site: Site, *names: str) -> None:
    assert not site.run()
    assert not site.places.stuck
    assert {found.name for found in (site.folder / "etc").iterdir()} == set(names)
    assert site.in_place()
    assert not site.leftovers()
    assert len(site.before()) == len(names)


def counted(act: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``act`` before the n-th system call with n, for all calls that this module names and renameat2."""
    number = 0

    def watch(holder: Any, call: str) -> None:
        real = getattr(holder, call)

        def watched(*given: object, **named: object) -> object:
            nonlocal number
            number += 1
            act(number)
            return real(*given, **named)

        monkeypatch.setattr(holder, call, watched)

    for call in CALLS:
        watch(os, call)
    watch(renames, "_renameat2")


def killed_at(site: Site, at: int) -> bool:
    """Activate in a child that dies before its system call number ``at``; whether it got that far."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # pytest-xdist has threads; the child does not touch them
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            patch = pytest.MonkeyPatch()
            counted(lambda number: os._exit(KILLED) if number == at else None, patch)
            site.run()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


# Each run of the shorter ones meets another part of the calls.
STEPS = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])


@STEPS
@pytest.mark.parametrize("then", ["same", "third"])
def test_killed_before_every_system_call(tmp_path: Path, then: str, step: int) -> None:
    tmp_path.chmod(0o755)
    at = 1 + os.getpid() % step
    while True:
        folder = tmp_path / str(at)
        folder.mkdir(mode=0o755)
        site = old_world(folder)
        new_world(site)
        if not killed_at(site, at):
            break
        assert_between(site)
        if then == "third":
            third_world(site)
            assert_done(site, "changes")
            assert (folder / "etc" / "changes").read_bytes() == b"third"
        else:
            assert_done(site, "changes", "to-link", "to-copy", "comes")
        at += step
    assert at > 60, "most of what a run does was met"


def test_killed_twice(tmp_path: Path) -> None:
    """The second run is killed as well, after it recorded what it meant to do and before it was done."""
    tmp_path.chmod(0o755)
    site = old_world(tmp_path)
    new_world(site)
    site.begin()
    site.copy("changes", tmp_path / "etc" / "changes", b"newer")
    site.begin()
    site.copy("changes", tmp_path / "etc" / "changes", b"newest")
    assert_done(site, "changes", "to-link", "to-copy", "comes")
    assert (tmp_path / "etc" / "changes").read_bytes() == b"newest"


@STEPS
@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES])
def test_every_failing_call_leaves_a_whole_world(
    tmp_path: Path, reason: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    at = 1 + os.getpid() % step
    while True:
        folder = tmp_path / str(at)
        folder.mkdir(mode=0o755)
        site = old_world(folder)
        new_world(site)
        met = False

        def fail(number: int, at: int = at) -> None:
            nonlocal met
            if number == at:
                met = True
                raise OSError(reason, os.strerror(reason))

        with monkeypatch.context() as patch:
            counted(fail, patch)
            with contextlib.suppress(SecretsmithError):  # and no other kind of error
                site.run()
        if not met:
            break
        assert_between(site)
        assert_done(site, "changes", "to-link", "to-copy", "comes")
        at += step
    assert at > 60


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("mode", [0o440, 0o040, 0o600])
def test_no_copy_is_ever_wider_or_of_another_owner(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at before every single system call: root's with no more than root's own bits, then the owner's."""
    tmp_path.chmod(0o755)
    site = Site(tmp_path)
    etc = tmp_path / "etc"
    seen: set[tuple[int, int, int]] = set()

    def look(_: int) -> None:
        for path in etc.iterdir() if etc.exists() else ():
            found = path.lstat()
            seen.add((found.st_uid, found.st_gid, found.st_mode & 0o7777))

    with monkeypatch.context() as patch:
        counted(look, patch)
        for value in (b"1", b"2"):
            site.copy("db", etc / "db", value, mode=f"{mode:04o}", owner="1", group="2")
            assert not site.run()
    # Between chown and chmod the owner has it with the few bits that it was made with.
    assert seen == {(0, 0, mode & 0o600), (1, 2, mode & 0o600), (1, 2, mode)}
