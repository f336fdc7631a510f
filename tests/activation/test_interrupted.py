"""Killed, failing and racing: a reader sees the old or the new world, and the next run heals."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment, mounts_below

from secretsmith.activation import folders, generations
from secretsmith.errors import ExitCode, SecretsmithError

OLD = {"a": b"old a", "deep/b": b"old b", "c": b"old c"}
NEW = {"a": b"new a", "deep/b": b"new b", "d": b"new d"}
CALLS = "mkdir,mkdirat,write,pwrite64,fchown,fchmod,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,rmdir,ftruncate"


def old_world(host: Host) -> None:
    for name, value in OLD.items():
        host.add(name, value, path=str(host.folder / "etc" / "old")) if name == "c" else host.add(name, value)
    host.run()


def new_world(host: Host) -> None:
    host.drop("c")
    for name, value in NEW.items():
        host.add(
            name, value, mode="0440", **({"path": str(host.folder / "etc" / "new")} if name == "d" else {})
        )


def assert_whole(host: Host, first: bool = False) -> None:
    if first and not os.path.lexists(host.directory):
        return
    assert host.installed() in ((NEW,) if first else (OLD, NEW))


def assert_heals(host: Host) -> None:
    assert host.run().exit_code is ExitCode.OK
    assert host.installed() == NEW
    assert host.run().nothing_done
    left = {path.name for path in host.generations.iterdir()}
    assert {name for name in left if not name.isdigit()} == {"state.json"}
    assert len(left) <= 3
    assert (host.folder / "etc" / "new").read_bytes() == b"new d"
    assert not os.path.lexists(host.folder / "etc" / "old")
    assert not list(host.folder.rglob("*secretsmith-tmp*"))
    assert {path.stat().st_mode & 0o777 for path in host.directory.resolve().glob("*") if path.is_file()} == {
        0o440
    }


def options() -> tuple[str, ...]:
    return ("--plain-folder",) if IS_ROOT else ("--plain-folder", "--owner-self")


def strace(host: Host, tracer: str, *inject: str) -> subprocess.CompletedProcess[str]:
    command = [tracer, "-f", "-qq", "-o", str(host.folder / "trace"), "-e", f"trace={CALLS},mount", *inject]
    env = environment(PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(
        [*command, *host.command(*options())],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def reset(host: Host) -> None:
    """Back to the old world in a place of its own."""
    import shutil

    for name in ("run", "etc"):
        shutil.rmtree(host.folder / name, ignore_errors=True)
    host.manifest["secrets"] = []
    old_world(host)
    new_world(host)


def test_killed_at_every_system_call_that_writes(host: Host, peer: Callable[[str], str]) -> None:
    tracer = peer("strace")
    reset(host)
    whole = strace(host, tracer)
    assert whole.returncode == 0, whole.stderr
    counts: dict[str, int] = {}
    for line in (host.folder / "trace").read_text().splitlines():
        if found := re.match(r"\d+ +(\w+)\(", line):
            counts[found[1]] = counts.get(found[1], 0) + 1
    points = [(name, number) for name, count in counts.items() for number in range(1, count + 1)]
    assert len(points) > 30, counts
    assert {"write", "fchown", "fchmod"} <= counts.keys()
    # The whole list takes a minute; each run takes another part of it, so that all are met in a few.
    step = 1 if os.environ.get("SLOW") == "1" else max(1, len(points) // 16)
    for name, number in points[os.getpid() % step :: step]:
        reset(host)
        killed = strace(host, tracer, "-e", f"inject={name}:signal=KILL:when={number}")
        assert killed.returncode != 0, f"{name} {number} was not reached"
        assert_whole(host)
        assert_heals(host)


@pytest.mark.usefixtures("as_root")
def test_killed_at_the_mount(host: Host, peer: Callable[[str], str]) -> None:
    host.add("db")
    command = [peer("strace"), "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount:signal=KILL:when=1"]
    killed = subprocess.run([*command, *host.command()], env=environment(), capture_output=True, check=False)
    assert killed.returncode != 0
    assert not os.path.lexists(host.directory)
    assert host.door().returncode == 0
    assert len(mounts_below(host.folder)) == 1
    assert host.installed() == {"db": b"value"}


FAULTS = ("mkdir", "rename", "symlink", "write", "fchown", "fchmod", "open")


@pytest.mark.parametrize("call", FAULTS)
def test_every_failing_call_leaves_a_whole_world(
    host: Host, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call fails once with each error, at each place: a full disk, no permission, no descriptors, I/O errors."""
    import errno

    reset(host)
    real = getattr(os, call)
    step = 1 if os.environ.get("SLOW") == "1" else 4
    for number in range(1 + os.getpid() % step, 200, step):
        seen = 0
        reason = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES)[number % 4]

        def fail(*given: object, _at: int = number, _reason: int = reason, **named: object) -> object:
            nonlocal seen
            # Only what activation does itself, by descriptor; not Python's own imports.
            seen += "dir_fd" in named or "src_dir_fd" in named or call in ("write", "fchown", "fchmod")
            if seen == _at:
                raise OSError(_reason, os.strerror(_reason))
            return real(*given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with contextlib.suppress(SecretsmithError):  # and no other kind of error
                host.run()
        assert_whole(host)
        assert_heals(host)
        if seen < number:
            assert seen, "the call was never met"
            return
        reset(host)
    pytest.fail("no end")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_drops_the_draft(
    host: Host, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    reset(host)
    real = folders.write_whole

    def stop(fd: int, data: bytes) -> None:
        real(fd, data)
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(generations, "write_whole", stop)
        with pytest.raises(kind):
            host.run()
    assert {path.name for path in host.generations.iterdir()} == {"1", "state.json"}
    assert host.installed() == OLD
    assert_heals(host)


def test_short_writes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add("db", b"a longer value")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    host.run()
    assert host.installed() == {"db": b"a longer value"}


def test_eight_at_once_and_a_reader(host: Host) -> None:
    """Eight real programs and four manifests; whoever reads finds one whole world, never a missing or mixed one."""
    for name in ("a", "b"):
        host.add(name, b"0")
    host.run()
    commands = []
    for number in range(1, 9):
        for name in ("a", "b"):
            path = host.encrypt(f"{name}{number % 4}", str(number % 4).encode())
            host.manifest["secrets"][0 if name == "a" else 1]["source"] = str(path)
        command = host.command(*options())
        command[-1] = str(host.folder / f"manifest{number}.json")
        Path(command[-1]).write_bytes(host.data())
        Path(command[-1]).chmod(0o644)
        commands.append(command)
    stop = threading.Event()
    wrong: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        while not stop.is_set():
            reads += 1
            try:
                folder = os.open(host.directory, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                wrong.append(f"no directory: {error}")
                continue
            try:
                values = {_read(folder, name) for name in ("a", "b")}
                if len(values) != 1:
                    wrong.append(f"mixed: {values}")
            except FileNotFoundError:
                # A slow reader may hold a generation that was pruned after two more; its files go, they never change.
                if os.fstat(folder).st_nlink and _is_live(host, folder):
                    wrong.append("a file is missing in the live generation")
            finally:
                os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    running = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for command in commands
    ]
    results = [(process.communicate(timeout=60), process.returncode) for process in running]
    stop.set()
    reader.join()
    assert [code for _, code in results] == [0] * 8, results
    assert not wrong
    assert reads > 100


def _read(folder: int, name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def _is_live(host: Host, folder: int) -> bool:
    try:
        return os.fstat(folder).st_ino == host.directory.stat().st_ino
    except OSError:
        return True


def test_no_file_is_ever_wider_or_of_another_owner(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every single system call on files, each value's mode lies within the wanted one, its owner is one of two."""
    wanted = {"a": 0o400, "deep/b": 0o040, "c": 0o440}
    for name, mode in wanted.items():
        host.add(name, name.encode(), mode=f"{mode:04o}", owner="1", group="1")
    seen: set[tuple[str, int, int]] = set()

    def look() -> None:
        for draft in host.generations.glob("*") if host.generations.exists() else ():
            if draft.name.endswith(".tmp"):
                complete = draft.stat().st_mode & 0o7777 in (0o700, 0o751)
                assert complete
            for path in draft.rglob("*"):
                if path.is_file():
                    name, found = str(path.relative_to(draft)), path.stat()
                    assert found.st_mode & 0o7777 & ~wanted[name] == 0, (name, oct(found.st_mode))
                    allowed = {(os.geteuid(), os.getegid()), (1, 1)}
                    assert (found.st_uid, found.st_gid) in allowed
                    seen.add((name, found.st_mode & 0o777, found.st_uid))

    def watch(call: str) -> None:
        real = getattr(os, call)

        def watched(*given: object, **named: object) -> object:
            try:
                return real(*given, **named)
            finally:
                look()

        monkeypatch.setattr(os, call, watched)

    for call in ("open", "write", "fchown", "fchmod", "close", "mkdir", "rename", "symlink"):
        watch(call)
    assert host.run().exit_code is ExitCode.OK
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
