"""The hostile inputs of files and activation, one test for each row of the list, through the real program.

Each ends with its exit code, one line that says what and where, and files that are as they were, byte for byte. Rows of
signatures are void: nothing is signed yet.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hosts import IS_ROOT, Host, environment, mount, mounts_below
from worlds import OPTIONS, copied, everything

from secretsmith.activation.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID

Done = subprocess.CompletedProcess[str]
SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC
PRECIOUS = "precious, and of somebody else"


@pytest.fixture
def site(host: Host) -> Host:
    """A host with one good secret installed, and a new value of it that waits."""
    host.add("good", b"old")
    host.run(paths=str(host.paths_file))
    host.add("good", b"new")
    return host


def errors(done: Done) -> list[str]:
    """The lines of errors, after a check of all that a run may print."""
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if "NOT RAM" not in line]
    assert all(
        line.startswith(("secretsmith: error: ", "secretsmith: hint: ", "secretsmith: note: "))
        for line in lines
    ), lines
    return [line.removeprefix("secretsmith: error: ") for line in lines if "error: " in line[:22]]


def refused(host: Host, code: int, *said: str, options: Sequence[str] = OPTIONS) -> Done:
    """The program stops with one line, and everything is as it was."""
    before = world(host)
    done = host.door(*options)
    assert world(host) == before
    assert done.returncode == code, done.stderr
    (line,) = errors(done)
    assert all(word in line for word in said), line
    assert done.stdout == ""
    return done


def world(host: Host) -> dict[str, tuple[object, ...]]:
    """All but what the test writes itself, and the lock, which every run takes and which holds nothing."""
    own = {str(host.folder), str(host.folder / "manifest.json"), str(host.directory.parent)}
    found = everything(host.folder)
    return {path: what for path, what in found.items() if path not in own and not path.endswith(".lock")}


def one_fails(host: Host, code: int, name: str, *said: str) -> Done:
    """One secret fails with one line, and the others are installed."""
    done = host.door(*OPTIONS)
    assert done.returncode == code, done.stderr
    (line,) = errors(done)
    assert line.startswith(f"web1: {name}: "), line
    assert all(word in line for word in said), line
    assert host.installed()["good"] == b"new"
    return done


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "a/../../x", "..", ".", "a//b", "a\nb", "-\x1b[2J"])
def test_row_73_a_name_that_leads_elsewhere(site: Host, name: str) -> None:
    site.manifest["secrets"].append({**site.manifest["secrets"][0], "name": name})
    done = refused(site, 2, "secrets[1]", "name")
    assert "\x1b" not in done.stderr and "new" not in done.stderr


def test_row_74_an_absolute_name(site: Host) -> None:
    site.manifest["secrets"].append({**site.manifest["secrets"][0], "name": "/etc/cron.d/x"})
    refused(site, 2, "secrets[1]", "name")
    assert not Path("/etc/cron.d/x").exists()


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "A"), ("good", "good")])
def test_row_75_names_that_clash(site: Host, names: tuple[str, str]) -> None:
    first = site.manifest["secrets"][0]
    site.manifest["secrets"] += [{**first, "name": name} for name in names]
    refused(site, 2, "manifest: ", repr(names[0]))


def test_row_76_a_symlink_loop(site: Host) -> None:
    site.add("bad")
    source = site.folder / "bad.age"
    source.unlink()
    source.symlink_to(source)
    one_fails(site, 1, "bad", str(source), "is a symlink")


@pytest.mark.parametrize("kind", ["link", "fifo", "device", "folder", "socket"])
def test_row_77_a_source_that_is_no_file(site: Host, kind: str) -> None:
    site.add("bad")
    source = site.folder / "bad.age"
    source.unlink()
    if kind == "link":
        source.symlink_to("/etc/shadow")
    elif kind == "fifo":
        os.mkfifo(source)
    elif kind == "folder":
        source.mkdir()
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(source))
    else:
        site.manifest["secrets"][-1]["source"] = "/dev/zero"
    named = "/dev/zero" if kind == "device" else str(source)
    one_fails(site, 1, "bad", named, "is a")


def test_row_78_permission_denied() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is for its user only
        folder = Path(name)
        folder.chmod(0o755)
        host = Host(folder)
        host.add("good", b"new")
        host.add("bad")
        (folder / "bad.age").chmod(0)
        done = as_nobody(host) if IS_ROOT else host.door(*OPTIONS)
        assert done.returncode == 1, done.stderr
        assert errors(done) == [f"web1: bad: {folder}/bad.age: permission denied"]
        assert host.installed() == {"good": b"new"}


def as_nobody(host: Host) -> Done:
    """Run the program as an ordinary user."""
    command = host.command("--plain-folder", "--owner-self")
    for path in (host.folder, *host.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    # Imported as root, as the interpreter itself may be out of nobody's reach; then nobody for good.
    script = (
        "import os, sys; import secretsmith.cli.activate as door, secretsmith.activation.decide;"
        "import secretsmith.activation.install, secretsmith.activation.opening.hostkeys, nacl._sodium, ctypes, encodings.ascii;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(door.main())"
    )
    return subprocess.run(
        [command[0], "-c", script, *command[3:]],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("method", ["link", "copy"])
@pytest.mark.parametrize("kind", ["writable", "foreign", "symlink"])
def test_row_79_a_folder_on_the_way_that_a_user_can_change(site: Host, kind: str, method: str) -> None:
    folder = site.folder / "etc" / "app"
    folder.mkdir(parents=True)
    if kind == "writable":
        folder.chmod(0o777)
    elif kind == "symlink":
        folder.rmdir()
        folder.symlink_to(site.folder)
    elif not IS_ROOT:
        pytest.skip("needs root")
    else:
        os.chown(folder, 1, 1)
    site.add("bad", method=method, path=str(folder / "bad"), plaintext_on_disk=True)
    one_fails(site, 1, "bad", str(folder))
    assert not os.path.lexists(site.folder / "bad")
    assert not os.path.lexists(folder / "bad")


@pytest.mark.parametrize("method", ["link", "copy"])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "hard link"])
def test_row_80_a_real_file_in_the_way(site: Host, kind: str, method: str) -> None:
    place, other = site.folder / "etc" / "db", site.folder / "etc" / "other"
    place.parent.mkdir()
    other.write_text(PRECIOUS)
    if kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(other)
    elif kind == "hard link":
        os.link(other, place)
    else:
        place.write_text(PRECIOUS)
    before = everything(place.parent)
    site.add("bad", method=method, path=str(place), plaintext_on_disk=True)
    done = one_fails(site, 1, "bad", f"{place} is taken by")
    assert f"mv {place} {place}.old" in done.stderr
    after = everything(place.parent)
    assert {**after, str(place.parent): ()} == {**before, str(place.parent): ()}


@pytest.mark.parametrize("kind", ["folder", "file", "link elsewhere"])
def test_row_81_the_directory_is_not_our_link(site: Host, kind: str) -> None:
    site.directory.unlink()
    if kind == "folder":
        site.directory.mkdir()
        (site.directory / "precious").write_text(PRECIOUS)
    elif kind == "file":
        site.directory.write_text(PRECIOUS)
    else:
        site.directory.symlink_to("/etc")
    refused(site, 1, str(site.directory))


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("options", ["mode=0751", "noswap,mode=0777"])
def test_row_81_a_foreign_mount(host: Host, options: str) -> None:
    host.add("good")
    host.generations.mkdir(parents=True)
    mount("tmpfs", host.generations, options, SAFE)
    for option in ((), ("--no-mount",)):
        refused(host, 1, str(host.generations), options=option)
    assert not list(host.generations.iterdir())


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("limit", ["size=16k", "nr_inodes=7"])
def test_row_82_the_filesystem_is_full(host: Host, limit: str) -> None:
    host.add("good", b"old")
    host.generations.mkdir(parents=True)
    mount("tmpfs", host.generations, f"noswap,mode=0751,{limit}", SAFE)
    assert host.door("--no-mount").returncode == 0
    old = host.installed()
    for number in range(6):
        host.add(f"more{number}", bytes(4096))
    done = host.door("--no-mount")
    assert done.returncode == 1
    assert errors(done) == [f"{host.generations}: no space left on device"]
    assert "secretsmith: hint: generation 1 stays live" in done.stderr
    assert host.installed() == old
    assert {path.name for path in host.generations.iterdir()} == {"1", "state.json"}


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("field", ["owner", "group"])
def test_row_83_an_unknown_owner(site: Host, field: str) -> None:
    site.add("bad", b"value", **{field: "no-such-name"})
    one_fails(site, 1, "bad", "no-such-name does not exist on this host")
    assert "bad" not in site.installed()


@pytest.mark.parametrize("mode", ["4755", "999", "0o7777", 256, "", "0402", "0400 ", None])
def test_row_84_a_mode_that_is_none(site: Host, mode: object) -> None:
    site.manifest["secrets"][0]["mode"] = mode
    refused(site, 2, "secrets[0]", "mode")


@pytest.mark.usefixtures("as_root")
def test_row_85_a_read_only_root(host: Host) -> None:
    host.add("good")
    below = host.directory.parent
    below.mkdir()
    mount("tmpfs", below, "mode=0755", 1)  # MS_RDONLY
    refused(host, 1, "read-only file system")


@pytest.mark.usefixtures("as_root")
def test_row_85_a_read_only_place_of_a_copy(site: Host) -> None:
    folder = site.folder / "etc"
    folder.mkdir()
    mount("tmpfs", folder, "mode=0755", 1)
    site.add("bad", **copied(folder / "bad"))
    one_fails(site, 1, "bad", str(folder / "bad"), "read-only file system")


@pytest.mark.usefixtures("as_root")
def test_row_85_a_read_only_record_and_status(site: Host) -> None:
    """Both are said, and the secrets are in place all the same: a host must not lack them for want of a record."""
    folder = site.folder / "state"
    folder.mkdir(exist_ok=True)
    site.paths_file.unlink(missing_ok=True)
    mount("tmpfs", folder, "mode=0755", 1)
    site.status_file = folder / "status.json"
    site.add("good", b"new", path=str(site.folder / "etc" / "good"))
    done = site.door(*OPTIONS)
    assert done.returncode == 1
    found = errors(done)
    assert len(found) >= 2 and all("read-only file system" in line for line in found)
    assert (site.folder / "etc" / "good").read_bytes() == b"new"


def test_row_86_two_at_once(site: Host) -> None:
    lock = site.generations.with_name("secrets.d.lock")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = refused(site, 9, "another activation", str(lock), options=(*OPTIONS, "--wait", "0"))
        assert "hint: run it again when that one is done" in done.stderr
        waiting = subprocess.Popen(
            site.command(*OPTIONS, "--wait", "60"), env=environment(), stderr=-1, stdout=-1
        )
        time.sleep(0.3)
        assert waiting.poll() is None
        assert site.installed() == {"good": b"old"}
        fcntl.flock(held, fcntl.LOCK_UN)
    assert waiting.wait(60) == 0
    waiting.communicate()
    assert site.installed() == {"good": b"new"}


@pytest.mark.parametrize("wall", [0, -1, 4_102_444_800, 253_402_300_800])
def test_row_87_the_clock_says_anything(site: Host, wall: int) -> None:
    script = (
        f"import sys, time; time.time = lambda: {wall}.5; from secretsmith.cli import activate as door;"
        "sys.exit(door.main())"
    )
    for name in ("good", "more"):
        site.add(name, b"new")
        command = site.command(*OPTIONS)
        done = subprocess.run(
            [command[0], "-c", script, *command[3:]],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not errors(done)
    assert site.installed() == {"good": b"new", "more": b"new"}
    assert site.status()["time"][:4] in ("1970", "1969", "2100", "1000")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "bytes": lambda _: os.urandom(100),
    "another version": lambda data: json.dumps({**json.loads(data), "version": 99}).encode(),
    "wrong types": lambda _: b'{"version": 1, "records": [], "paths": [], "phases": [], "secrets": []}',
    "deep": lambda _: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", ["status.json", "state.json", "paths.json"])
def test_row_88_a_damaged_record_is_said_loudly(host: Host, which: str, damage: str) -> None:
    host.add("good", b"old", **copied(host.folder / "etc" / "good"))
    host.add("gone", b"old", **copied(host.folder / "etc" / "gone"))
    record = str(host.paths_file)
    host.run(paths=record)
    files = (host.status_file, host.generations / "state.json", host.paths_file)
    path = next(file for file in files if file.name == which)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    done = host.door(*OPTIONS)  # with the same input: it is no reason not to look
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "E_STATE" in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"secretsmith: note: E_STATE: {path} ")
    assert {json.loads(file.read_bytes())["version"] for file in files} == {1}, "made anew"
    assert not [note for note in host.run(paths=record).notes if "E_STATE" in note], "once"
    # And what it knew is known again: the copy that is no longer wanted is found and goes.
    host.drop("gone")
    host.run(paths=record)
    assert [file.name for file in (host.folder / "etc").iterdir()] == ["good"]


def text_of(manifest: dict[str, Any], member: str, value: str) -> str:
    return json.dumps({**manifest, member: "HERE"}).replace('"HERE"', value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(
            ("version", value)
            for value in ("1.0", "1e0", "-1", "NaN", "9223372036854775808", "true", '"1"', "2")
        ),
        *(
            ("keep", value)
            for value in ("2.5", "9223372036854775808", "-1", "0", "NaN", "Infinity", "-Infinity")
        ),
        ("keep", "1" + "0" * 5000),
        ("host", '"web1", "host": "web2"'),
        ("host", '"\\ud800"'),
        ("host", "[" * 100_000),
    ],
)
def test_row_89_a_manifest_with_odd_numbers_and_keys_given_twice(site: Host, member: str, value: str) -> None:
    path = site.folder / "odd.json"
    path.write_text(text_of(site.manifest, member, value))
    path.chmod(0o644)
    before = world(site)
    command = site.command(*OPTIONS)
    done = subprocess.run(
        [*command[:-1], str(path)], env=environment(), capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 2, done.stderr
    assert len(errors(done)) == 1
    assert len(done.stderr) < 1000
    assert world(site) == before


def test_row_89_a_name_given_twice_in_a_secret(site: Host) -> None:
    path = site.folder / "odd.json"
    path.write_text(json.dumps(site.manifest).replace('"name": "good"', '"name": "good", "name": "../x"'))
    path.chmod(0o644)
    command = [sys.executable, "-m", "secretsmith.cli.activate", "--plain-folder", str(path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = errors(done)
    assert "name" in line
    assert site.installed() == {"good": b"old"}


@pytest.mark.usefixtures("as_root")
def test_no_row_leaves_a_mount(site: Host) -> None:
    site.add("bad", path="/proc/x")
    assert site.door().returncode == 2
    assert not mounts_below(site.folder)
