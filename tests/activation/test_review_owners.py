"""What the owner of a secret can do to his own file, and what must not come of it: for root, and for other owners."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import Host, mount
from keys import ed25519_key

from secretsmith.activation import generations, install, mounts
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import ExitCode

pytestmark = [pytest.mark.usefixtures("as_root", "open_descriptors"), pytest.mark.root]


def mapped(file: Path) -> mmap.mmap:
    """A file mapped for writing, as its owner can, with its mode as it was; a tmpfs stamps no write from now on."""
    mode = file.stat().st_mode & 0o777
    file.chmod(0o600)
    with file.open("r+b") as opened:
        found = mmap.mmap(opened.fileno(), 0)
    found[:] = found[:]
    file.chmod(mode)
    return found


@pytest.fixture
def secret(host: Host) -> Path:
    """The file of a secret of user 1, in memory as it would be."""
    host.add("bad", b"good", owner="1", group="1")
    host.run(memory=Memory.MOUNT)
    return (host.directory / "bad").resolve()


def given_to_another(host: Host) -> dict[str, bytes]:
    """What is installed when the source cannot be opened any more, and the owner is user 2 now."""
    host.encrypt("bad", b"new", ed25519_key())
    host.manifest["secrets"][0] |= {"owner": "2"}
    host.run(memory=Memory.MOUNT)
    return host.installed()


def test_a_touched_file_is_written_anew(host: Host, secret: Path) -> None:
    """Its owner still has it mapped: were it taken over as it is, what he writes later would pass for ours."""
    with mapped(secret) as memory:
        host.run(memory=Memory.MOUNT)
        memory[:] = b"evil"
        assert given_to_another(host) == {"bad": b"good"}


@pytest.mark.parametrize("when", ["written", "switched"])
def test_a_file_touched_while_activation_runs(host: Host, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    maps: list[mmap.mmap] = []
    write, finish = generations.Generations.write, install._finish

    def after_writing(self: generations.Generations, number: int, files: object) -> object:
        done = write(self, number, files)  # type: ignore[arg-type]
        maps.append(mapped(host.generations / str(number) / "bad"))
        return done

    def after_switching(*given: object) -> object:
        maps.append(mapped((host.directory / "bad").resolve()))
        return finish(*given)  # type: ignore[arg-type]

    host.add("bad", b"good", owner="1", group="1")
    with monkeypatch.context() as patch:
        if when == "written":
            patch.setattr(generations.Generations, "write", after_writing)
        else:
            patch.setattr(install, "_finish", after_switching)
        host.run(memory=Memory.MOUNT)
    (memory,) = maps
    memory[:] = b"evil"
    memory.close()
    assert given_to_another(host) == {}


@pytest.mark.parametrize("runs", [1, 2])
def test_what_an_owner_wrote_is_not_washed_by_a_run(host: Host, secret: Path, runs: int) -> None:
    """Carried to himself, it becomes no value that activation wrote."""
    secret.write_bytes(b"evil")
    host.encrypt("bad", b"new", ed25519_key())
    for number in range(runs):
        host.add("other", str(number).encode())  # a new generation, written by activation
        host.run(memory=Memory.MOUNT)
    assert host.installed()["bad"] == b"evil"
    assert b"evil" not in given_to_another(host).values()


def test_nor_by_a_template_of_his(host: Host, secret: Path) -> None:
    template = {
        "name": "app.conf",
        "content": "x={{x}}",
        "owner": "1",
        "group": "1",
        "placeholders": {"{{x}}": {"secret": "bad"}},
    }
    host.manifest["templates"] = [template]
    host.run(memory=Memory.MOUNT)
    (host.directory / "bad").resolve().write_bytes(b"evil")
    host.encrypt("bad", b"new", ed25519_key())
    host.run(memory=Memory.MOUNT)
    assert host.installed()["app.conf"] == b"x=evil"
    template |= {"owner": "0"}
    assert "app.conf" not in given_to_another(host)


def test_a_good_value_goes_to_a_new_owner_after_many_runs(host: Host, secret: Path) -> None:
    host.encrypt("bad", b"new", ed25519_key())
    for number in range(3):
        host.add("other", str(number).encode())
        host.run(memory=Memory.MOUNT)
    assert secret.name == "bad"
    assert given_to_another(host)["bad"] == b"good"


@pytest.fixture
def leased(host: Host) -> Iterator[Callable[[Path], None]]:
    """Let user 1 hold a lease on a file of his: whoever opens it, root too, has to wait for him."""
    children: list[int] = []

    def lease(file: Path) -> None:
        file.chmod(0o600)
        inside, outside = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                held = os.open(file, os.O_RDWR)
                os.setuid(1)
                signal.signal(signal.SIGIO, signal.SIG_IGN)
                fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                os.write(outside, b"1")
                signal.pause()
            finally:
                os._exit(1)
        os.close(outside)
        children.append(child)
        assert os.read(inside, 1) == b"1"
        os.close(inside)

    yield lease
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_lease_stops_nobody_else(host: Host, leased: Callable[[Path], None]) -> None:
    copy = host.folder / "copy"
    host.add("mine", b"1", owner="1", mode="0600", path=str(copy), method="copy", plaintext_on_disk=True)
    host.add("other", b"old")
    host.run()
    leased((host.directory / "mine").resolve())
    leased(copy)
    host.add("other", b"new")
    report = host.run()
    assert report.exit_code is ExitCode.OK
    assert host.installed() == {"mine": b"1", "other": b"new"}
    assert copy.read_bytes() == b"1"


def test_a_mount_over_a_file_stops_nobody_else(host: Host) -> None:
    """Users can mount over a file of their own (fusermount); it can be neither read nor removed then."""
    host.manifest["keep"] = 1
    host.add("mine", b"1", owner="1")
    host.add("other", b"0")
    host.run()
    over = (host.directory / "mine").resolve()
    subprocess.run(["mount", "--bind", "/dev/null", over], check=True)
    for value in (b"1", b"2"):
        host.add("other", value)
        report = host.run()
        assert report.exit_code is ExitCode.OK
        assert any("mounted" in note for note in report.notes)
        assert host.installed() == {"mine": b"1", "other": value}
        assert [path.name for path in over.parent.iterdir()] == ["mine"]
    subprocess.run(["umount", over], check=True)
    host.run()
    assert not over.parent.exists()


def test_a_mount_over_a_file_that_never_went_live(host: Host) -> None:
    """A kill between the new generation and its link leaves one that its owner can reach."""
    host.add("mine", b"1", owner="1")
    host.run()
    late = host.generations / "2"
    late.mkdir()
    (late / "mine").write_bytes(b"2")
    subprocess.run(["mount", "--bind", "/dev/null", late / "mine"], check=True)
    host.add("mine", b"3", owner="1")
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == {"mine": b"3"}


def test_where_a_copy_lies_is_asked_as_root(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 5.14 tells nobody else of a process that is not dumpable."""
    home = host.folder / "home"
    home.mkdir()
    mount("tmpfs", home, "mode=0755")
    os.chown(home, 1, 1)
    asked: list[int] = []
    real = mounts.mount_of

    def spy(descriptor: int) -> mounts.Mount:
        asked.append(os.geteuid())
        return real(descriptor)

    monkeypatch.setattr("secretsmith.activation.places.custody.mount_of", spy)
    host.add("db", owner="1", group="1", path=str(home / "db"), method="copy", plaintext_on_disk=True)
    host.preview()
    host.run()
    assert (home / "db").read_bytes() == b"value"
    assert set(asked) == {0}


def test_a_value_that_its_owner_may_write_is_not_called_changed(host: Host) -> None:
    """Not known to be ours is one thing, changed by hand another, which `status` would report."""
    host.add("db", b"good", owner="1", mode="0600")
    host.run()
    host.encrypt("db", b"new", ed25519_key())
    host.add("other")
    host.run()
    found = (host.directory / "db").stat()
    record = json.loads((host.generations / "state.json").read_text())["records"]["2"]["files"]["db"]
    assert not record["ours"]
    assert record["stamp"][:3] == [found.st_ino, found.st_size, found.st_mtime_ns]
