"""Promise 4: plaintext only in memory that never swaps; never a wider mode, a wrong owner, a symlink on the way.

How mounts are verified is in ../test_target.py, custom paths one by one in ../test_places.py and ../test_place_folders.py,
and root against a user who swaps folders meanwhile in ../test_races.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment, mount, mounts_below, path_refused, unmount_below
from worlds import OPTIONS, add_template, copied

from secretsmith.activation import folders
from secretsmith.activation.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID
from secretsmith.activation.places import copies
from secretsmith.activation.ramdisk import Memory
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError

pytestmark = pytest.mark.usefixtures("open_descriptors")
CANARY = b"canary-4f2a91"


@pytest.fixture
def whole(host: Host) -> Host:
    """A canary in every kind of file: of each phase, in a template, at a link, in a copy in memory."""
    etc = host.folder / "etc"
    etc.mkdir()
    host.add("db", CANARY, path=str(etc / "db"))
    host.add("password", CANARY, phase="users")
    host.add("unlock", CANARY, phase="initrd", plaintext_on_disk=True)
    host.add("copy", CANARY, path=str(etc / "memory" / "copy"), method="copy")
    add_template(host, "app.env", "A=@a@", {"@a@": "db"})
    (etc / "memory").mkdir()
    if IS_ROOT:
        flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
        mount("tmpfs", etc / "memory", "noswap,mode=0755", flags)
    return host


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and CANARY in path.read_bytes()]


@pytest.mark.usefixtures("as_root")
def test_nothing_of_a_value_reaches_the_disk(whole: Host) -> None:
    for value in (CANARY, CANARY + b"2"):
        whole.add("db", value, path=str(whole.folder / "etc" / "db"))
        found = whole.door("--units", "none")
        assert found.returncode == 0, found.stderr
        assert CANARY.decode() not in found.stdout + found.stderr
    assert len(on_disk(whole.folder)) > 5
    unmount_below(whole.folder)
    assert on_disk(whole.folder) == []
    assert whole.status_file.exists() and whole.paths_file.exists()


@pytest.mark.usefixtures("as_root")
def test_every_filesystem_has_all_options(whole: Host) -> None:
    outcome = whole.run_all(memory=Memory.MOUNT)
    assert outcome.exit_code is ExitCode.OK, [*outcome.errors()]
    found = mounts_below(whole.folder / "run")
    assert {Path(point).name for point in found} == {
        "secrets.d",
        "secrets-for-users.d",
        "secrets-for-initrd.d",
    }
    for kind, options in found.values():
        assert kind == "tmpfs"
        assert {"noswap", "nosuid", "nodev", "noexec"} <= options


@pytest.mark.usefixtures("as_root")
def test_values_are_written_only_into_memory(whole: Host, peer: Callable[[str], str]) -> None:
    """By what the kernel is asked: each write that has a value in it, to which file, and in which order."""
    log = whole.folder / "trace"
    calls = "trace=write,pwrite64,writev,sendto,sendmsg,fchown,fchmod,chmod,chown,fchownat,fchmodat,lchown"
    command = [peer("strace"), "-f", "-y", "-s", "4096", "-o", str(log), "-e", calls]
    done = subprocess.run(
        [*command, *whole.command("--units", "none")], env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1)[1].strip() for line in log.read_text().splitlines()]
    log.unlink()
    places = [str(whole.folder / "run" / f"secrets{phase}.d/") for phase in ("", "-for-users", "-for-initrd")]
    places.append(str(whole.folder / "etc" / "memory/"))
    written = []
    for at, line in enumerate(lines):
        if CANARY.decode() in line:
            match = re.match(r"write\((\d+<[^>]*>)", line)
            assert match is not None, line
            assert any(f"<{place}" in match[1] for place in places), line
            # write, chown, chmod: in any other order a file would be open to the wrong ones for an instant, or lose bits.
            following = [other.split("(")[0] for other in lines[at + 1 :] if f"({match[1]}" in other][:2]
            assert following == ["fchown", "fchmod"], (line, following)
            written.append(match[1])
    assert len(written) == 6
    assert not any(line.startswith(("chmod(", "chown(", "lchown(")) for line in lines), "never by a path"


def test_no_file_is_ever_wider_or_of_another_owner(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every single system call on files, each value's mode lies within the wanted one, its owner is one of two."""
    etc = host.folder / "etc"
    wanted = {"a": 0o400, "deep/b": 0o040, "c": 0o440, "copy": 0o440, "app.env": 0o404}
    who = {"owner": "1", "group": "1"} if IS_ROOT else {}
    final = (1, 1) if IS_ROOT else (os.geteuid(), os.getegid())
    for name in ("a", "deep/b", "c"):
        host.add(name, name.encode(), mode=f"{wanted[name]:04o}", **who)
    host.add("copy", b"copy", mode="0440", **who, **copied(etc / "copy"))
    add_template(host, "app.env", "@a@", {"@a@": "a"}, mode="0404", **who)
    seen: set[tuple[str, int, int]] = set()

    def check(name: str, path: Path) -> None:
        found = path.lstat()
        assert found.st_mode & 0o7777 & ~wanted[name] == 0, (name, oct(found.st_mode))
        assert (found.st_uid, found.st_gid) in {(os.geteuid(), os.getegid()), final}
        if found.st_mode & 0o077:
            assert (found.st_uid, found.st_gid) == final, "open to others only once it is its owner's"
        seen.add((name, found.st_mode & 0o777, found.st_uid))

    def look() -> None:
        for draft in host.generations.glob("*") if host.generations.exists() else ():
            if draft.name.endswith(".tmp"):
                assert draft.stat().st_mode & 0o7777 in (0o700, 0o751)
            for path in draft.rglob("*"):
                if path.is_file():
                    check(str(path.relative_to(draft)), path)
        for path in etc.glob("*") if etc.exists() else ():
            check("copy", path)
        for path in (host.status_file, host.paths_file, host.generations / "state.json"):
            if path.exists():
                assert path.stat().st_mode & 0o7777 == 0o600

    def watch(call: str) -> None:
        real = getattr(os, call)

        def watched(*given: object, **named: object) -> object:
            try:
                return real(*given, **named)
            finally:
                look()

        monkeypatch.setattr(os, call, watched)

    for call in ("open", "write", "fchown", "fchmod", "close", "mkdir", "rename", "symlink", "unlink"):
        watch(call)
    for round_ in range(2):
        host.add("copy", b"copy%d" % round_, mode="0440", **who, **copied(etc / "copy"))
        assert host.run(paths=str(host.paths_file)).exit_code is ExitCode.OK
    assert len(seen) > len(wanted), "the files were met while they were made"


def test_a_poller_in_another_thread_finds_nothing_wider(host: Host) -> None:
    for number in range(30):
        host.add(f"s{number}", b"x", mode="0400")
    stop = threading.Event()
    wide: set[str] = set()

    def poll() -> None:
        while not stop.is_set():
            with contextlib.suppress(
                OSError
            ):  # a draft that became a generation, a generation that was pruned
                for folder in reversed([name for name in os.listdir(host.generations) if name[0].isdigit()]):
                    for name in os.listdir(host.generations / folder):
                        mode = os.lstat(host.generations / folder / name).st_mode & 0o7777
                        if mode & ~0o400:
                            wide.add(f"{folder}/{name} {mode:o}")

    poller = threading.Thread(target=poll)
    poller.start()
    for number in range(20):
        host.encrypt("s0", str(number).encode())
        host.run()
    stop.set()
    poller.join()
    assert not wide


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_can_write(host: Host, path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True)
    path.parent.parent.chmod(mode)
    message = path_refused(host, host.run(), Code.PATH_UNSAFE)
    assert "writable by others" in message
    assert not os.path.lexists(path)


def test_a_sticky_folder_is_allowed(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o1777)
    assert host.run().exit_code is ExitCode.OK


def test_a_symlink_on_the_way(host: Host, path: Path) -> None:
    elsewhere = host.folder / "elsewhere"
    elsewhere.mkdir()
    path.parent.parent.mkdir()
    path.parent.symlink_to(elsewhere)
    assert "is a symlink" in path_refused(host, host.run(), Code.PATH_UNSAFE)
    assert not list(elsewhere.iterdir())


def test_a_symlink_loop_on_the_way(host: Host, path: Path) -> None:
    path.parent.parent.symlink_to(path.parent.parent)
    assert "is a symlink" in path_refused(host, host.run(), Code.PATH_UNSAFE)


def test_a_file_on_the_way(host: Host, path: Path) -> None:
    path.parent.parent.write_text("")
    assert "is not a folder" in path_refused(host, host.run(), Code.PATH_UNSAFE)


@pytest.mark.usefixtures("as_root")
def test_a_folder_of_somebody_else(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent.parent, 1, 1)
    assert "belongs to user 1" in path_refused(host, host.run(), Code.PATH_UNSAFE)


@pytest.mark.usefixtures("as_root")
def test_a_home_is_written_as_its_owner(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent, 1, 1)
    path.parent.chmod(0o700)
    host.add("db", path=str(path), owner="1", group="1")
    assert host.run().exit_code is ExitCode.OK
    found = path.lstat()
    assert (found.st_uid, found.st_gid) == (1, 1)
    assert (os.geteuid(), os.getegid()) == (0, 0)
    host.drop("db")
    host.run()
    assert not os.path.lexists(path)


@pytest.mark.usefixtures("as_root")
def test_a_home_of_another_than_the_owner(host: Host, path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.chown(path.parent, 1, 1)
    host.add("db", path=str(path), owner="65534")
    path_refused(host, host.run(), Code.PATH_UNSAFE)


@pytest.mark.parametrize("place", ["directory", "generations"])
def test_unsafe_parents_of_the_whole(host: Host, place: str) -> None:
    host.add("db")
    parent = host.folder / "open"
    parent.mkdir()
    parent.chmod(0o777)
    host.manifest[place] = str(parent / "secrets")
    with pytest.raises(SecretsmithError) as caught:
        host.run()
    assert caught.value.code is Code.PATH_UNSAFE
    assert not list(parent.iterdir())


class TestCopiesOnADisk:
    """A copy on a disk, and the initial RAM disk, only where the manifest says that it may be."""

    @pytest.fixture
    def disk(self, host: Host) -> Path:
        probe = host.folder / "etc"
        if os.statvfs(host.folder).f_fsid == os.statvfs("/dev/shm").f_fsid:
            pytest.skip("the tests' folder is in memory")
        return probe / "copy"

    def test_without_a_word_it_is_refused(self, host: Host, disk: Path) -> None:
        host.add("db", b"value", path=str(disk), method="copy")
        host.add("other", b"value")
        assert "plaintext_on_disk" in "".join(next(host.run().errors()).hints)
        path_refused(host, host.run(), Code.PATH_UNSAFE)
        assert not disk.exists()

    def test_with_it_the_status_says_so(self, host: Host, disk: Path) -> None:
        host.add("db", b"value", **copied(disk))
        host.add("unlock", b"value", phase="initrd", plaintext_on_disk=True)
        host.add("other", b"value")
        assert host.run_all().exit_code is ExitCode.OK
        assert disk.read_bytes() == b"value"
        found = {name: "plaintext_on_disk" in secret for name, secret in host.status()["secrets"].items()}
        assert found == {"db": True, "unlock": True, "other": False}

    def test_it_is_taken_back(self, host: Host, disk: Path) -> None:
        """Once the manifest does not allow it any more, the copy that is there goes on as an error, not as a secret."""
        host.add("other", b"value")
        host.add("db", b"value", **copied(disk))
        assert host.run().exit_code is ExitCode.OK
        host.manifest["secrets"][1]["plaintext_on_disk"] = False
        report = host.run()
        assert [error.code for error in report.errors()] == [Code.PATH_UNSAFE]
        host.drop("db")
        assert host.run().exit_code is ExitCode.OK
        assert not disk.exists()

    def test_the_initial_ram_disk(self, host: Host) -> None:
        host.add("unlock", b"value", phase="initrd")
        with pytest.raises(RefusedInput) as caught:
            host.run_all()
        assert caught.value.code is Code.MANIFEST
        assert not host.generations.parent.exists()

    def test_memory_that_may_swap_is_a_disk(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, as_root: None
    ) -> None:
        from secretsmith.activation import mounts

        memory = host.folder / "etc"
        memory.mkdir()
        mount("tmpfs", memory, "mode=0755")
        host.add("db", b"value", path=str(memory / "copy"), method="copy")
        host.add("other", b"value")
        monkeypatch.setattr(mounts, "swap_is_active", lambda: True)
        path_refused(host, host.run(), Code.PATH_UNSAFE)
        monkeypatch.setattr(mounts, "swap_is_active", lambda: False)
        assert host.run().exit_code is ExitCode.OK


@pytest.mark.parametrize("place", ["/nix/store/x", "/proc/x", "/sys/x", "/dev/x", "/dev/shm/x", "relative"])
@pytest.mark.parametrize("method", ["link", "copy"])
def test_places_that_are_never_allowed(host: Host, place: str, method: str) -> None:
    host.add("db", path=place, method=method, plaintext_on_disk=True)
    with pytest.raises(RefusedInput):
        host.run()
    assert not host.generations.parent.exists()


def test_a_symlink_in_the_place_of_a_draft_or_copy_is_not_followed(host: Host) -> None:
    victim = host.folder / "victim"
    victim.write_text("precious")
    place = host.folder / "etc" / "copy"
    place.parent.mkdir()
    (place.parent / copies.temporary_name("copy")).symlink_to(victim)
    host.generations.mkdir(parents=True)
    (host.generations / f".state.json{folders.TEMPORARY}").symlink_to(victim)
    (host.generations / "1.tmp").symlink_to(host.folder)
    host.add("copy", b"value", **copied(place))
    assert host.run().exit_code is ExitCode.OK
    assert victim.read_text() == "precious"
    assert (place.read_bytes(), place.is_symlink()) == (b"value", False)


@pytest.mark.usefixtures("as_root")
def test_a_home_is_written_as_its_owner_by_the_program(host: Host, peer: Callable[[str], str]) -> None:
    """Below a home the kernel itself sees that user: nothing that is reached there can be more than that user's own."""
    home = host.folder / "home"
    (home / "deep").mkdir(parents=True)
    for folder in (home, home / "deep"):
        os.chown(folder, 1, 1)
    host.add("token", path=str(home / "deep" / "token"), owner="1", group="1")
    host.add("copy", owner="1", group="1", **copied(home / "copy"))
    log = host.folder / "trace"
    calls = "trace=setresuid,setreuid,symlinkat,renameat2,linkat,openat,mkdirat"
    command = [peer("strace"), "-f", "-y", "-o", str(log), "-e", calls, *host.command(*OPTIONS)]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    uid, inside = 0, 0
    for line in log.read_text().splitlines():
        if match := re.search(r"set(?:resuid|reuid|euid)\((?:-1, )?(\d+)", line):
            uid = int(match[1])
        elif re.search(rf"(symlinkat|renameat2|mkdirat|O_CREAT).*<{home}|\w+\(\d+<{home}.*O_CREAT", line):
            assert uid == 1, line
            inside += 1
    assert inside >= 2
    for path in (home / "deep", home / "deep" / "token", home / "copy"):
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == (1, 1)
