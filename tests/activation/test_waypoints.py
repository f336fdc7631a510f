"""Folders of custom paths are made before the sandbox, and only where that is safe."""

from __future__ import annotations

import os
from pathlib import Path

from hosts import IS_ROOT, Host

from secretsmith.activation.accounts import Caller
from secretsmith.activation.units.waypoints import make_waypoints
from secretsmith.manifest import parse_manifest


def _make(host: Host, **paths: Path) -> None:
    for name, path in paths.items():
        host.add(name, path=str(path))
    make_waypoints(parse_manifest(host.data()), Caller.current())


def test_missing_folders_are_made(host: Host) -> None:
    old = os.umask(0o077)
    try:
        _make(host, a=host.folder / "one/two/a", b=host.folder / "b", c=host.folder / "one/c")
    finally:
        os.umask(old)
    assert (host.folder / "one/two").stat().st_mode & 0o7777 == 0o755
    assert {path.name for path in (host.folder / "one").iterdir()} == {"two"}
    assert not (host.folder / "b").exists()


def test_what_is_not_safe_is_passed_over(host: Host) -> None:
    victim, loose = host.folder / "victim", host.folder / "loose"
    victim.mkdir()
    (host.folder / "link").symlink_to(victim)
    loose.mkdir()
    loose.chmod(0o777)
    (host.folder / "file").write_text("")
    _make(
        host,
        a=host.folder / "link/new/a",
        b=host.folder / "loose/new/b",
        c=host.folder / "file/new/c",
        d=host.folder / "zz/d",
    )
    assert not list(victim.iterdir())
    assert not list(loose.iterdir())
    assert (host.folder / "zz").is_dir()


def test_a_folder_of_another_user_is_left_to_that_user(host: Host, as_root: None) -> None:
    home = host.folder / "home"
    home.mkdir()
    os.chown(home, 1234, 1234)
    _make(host, a=home / "new/a")
    assert not list(home.iterdir())


def test_the_program_does_nothing_else(host: Host) -> None:
    host.add("early", path=str(host.folder / "one/a"), phase="users")
    host.add("late", path=str(host.folder / "two/b"))
    more = () if IS_ROOT else ("--owner-self",)
    assert host.door("--make-folders", "--phase", "users", *more).returncode == 0
    assert (host.folder / "one").is_dir()
    assert not (host.folder / "two").exists()
    assert host.door("--make-folders", *more).returncode == 0
    assert (host.folder / "two").is_dir()
    assert not list((host.folder / "two").iterdir())
    assert not host.generations.exists()
    record = host.folder / "state/paths.json"
    assert host.door("--make-folders", "--paths", str(record), *more).returncode == 0
    assert record.parent.stat().st_mode & 0o7777 == 0o700
    assert not record.exists()
