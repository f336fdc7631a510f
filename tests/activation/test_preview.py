"""``--dry-run``: says what would happen, and leaves everything as it is, byte for byte and time for time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, mounts_below
from keys import ed25519_key

from secretsmith.errors import Code, ExitCode, SecretsmithError

pytestmark = pytest.mark.usefixtures("open_descriptors")


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that a write would change: inode, mode, owner, times of every file and folder."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        state = path.lstat()
        text = os.readlink(path) if path.is_symlink() else ""
        found[str(path)] = (
            state.st_ino,
            state.st_mode,
            state.st_uid,
            state.st_mtime_ns,
            state.st_ctime_ns,
            text,
        )
    return found


def test_before_the_first_activation(host: Host) -> None:
    host.add("db", b"canary", path=str(host.folder / "etc" / "db"), mode="0440")
    before = everything(host.folder)
    outcome = host.preview()
    assert everything(host.folder) == before
    assert outcome.exit_code is ExitCode.OK
    lines = [*outcome.lines()]
    assert lines[0] == "web1: dry run: no generation: +1 new, 0 changed, 0 unchanged, 0 removed"
    assert "  new db root:root 0440" in lines
    assert any(line.endswith(str(host.folder / "etc" / "db")) for line in lines)


def test_changes_are_named_and_nothing_is_touched(host: Host) -> None:
    host.add("same", b"1")
    host.add("other", b"1")
    host.add("mode", b"1")
    host.add("gone", b"1", path=str(host.folder / "etc" / "gone"))
    host.run()
    host.add("other", b"2", restart_units=["db.service"])
    host.add("mode", b"1", mode="0440")
    host.drop("gone")
    host.add("new", b"1")
    before = everything(host.folder)
    outcome = host.preview()
    assert everything(host.folder) == before
    lines = [*outcome.lines()]
    assert lines[0] == "web1: dry run: generation 1: +1 new, 2 changed, 1 unchanged, 1 removed"
    words = [line.split()[:2] for line in lines[1:]]
    for expected in (["new", "new"], ["changed", "other"], ["changed", "mode"], ["removed", "gone"]):
        assert expected in words
    assert ["new", "same"] not in words
    assert ["remove", str(host.folder / "etc" / "gone")] in words
    # What it said is what happens.
    report = host.run()
    assert report.summary() == "web1: generation 2: +1 new, 2 changed, 1 unchanged, 1 removed"


def test_what_cannot_be_opened_is_said(host: Host) -> None:
    host.add("db", b"1")
    host.add("good", b"1")
    host.run()
    host.encrypt("db", b"2", ed25519_key())
    outcome = host.preview()
    assert outcome.exit_code is ExitCode.CANNOT_DECRYPT
    assert any(error.code is Code.NO_IDENTITY for error in outcome.errors())
    assert "1 stale" in next(iter(outcome.lines()))


def test_a_target_that_activation_refuses(host: Host) -> None:
    host.add("db")
    host.directory.mkdir(parents=True)
    with pytest.raises(SecretsmithError) as caught:
        host.preview()
    assert caught.value.code is Code.TARGET


def test_why_a_path_is_not_safe(host: Host) -> None:
    host.add("db", path=str(host.folder / "open/db"))
    (host.folder / "open").mkdir()
    (host.folder / "open").chmod(0o777)
    assert [*host.preview().lines()][-1] == (
        f"  unsafe {host.folder}/open/db: {host.folder}/open is writable by others (mode 0777)"
    )


def test_nothing_to_do(host: Host) -> None:
    host.add("db")
    host.run()
    assert [*host.preview().lines()] == ["web1: generation 1: nothing to do, 1 unchanged"]


def test_the_door_decrypts_and_leaves_nothing(host: Host) -> None:
    host.add("db", b"canary-of-the-dry-run")
    host.write_manifest()
    before = everything(host.folder)
    owner = () if IS_ROOT else ("--owner-self",)
    done = host.door("--dry-run", *owner)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("secretsmith: web1: dry run: no generation: +1 new")
    assert "canary" not in done.stdout + done.stderr
    after = everything(host.folder)
    manifest = str(host.folder / "manifest.json")  # which the test itself writes again
    assert {**after, manifest: ()} == {**before, manifest: ()}
    assert not mounts_below(host.folder)


def test_a_path_that_is_taken_is_no_success(host: Host) -> None:
    taken = host.folder / "etc" / "db"
    taken.parent.mkdir()
    taken.write_text("mine")
    host.add("db", path=str(taken))
    outcome = host.preview()
    assert any("occupied" in line for line in outcome.lines())
    assert outcome.exit_code is ExitCode.ERROR
