from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from secretsmith.errors import Code, SecretsmithError
from secretsmith.store import scratch
from secretsmith.store.scratch import in_memory, scratch_folder, write_private

SHM = Path("/dev/shm")


def is_memory(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return in_memory(descriptor)
    finally:
        os.close(descriptor)


def type_by_proc(path: Path) -> str:
    """The filesystem type as /proc tells it, independent of the code under test."""
    best = ("", "")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split(" ")
        inside = path == Path(where) or Path(where) in path.parents
        if inside and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


@pytest.fixture(autouse=True)
def _needs_memory() -> None:
    if not os.access(SHM, os.W_OK) or type_by_proc(SHM) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")


@pytest.mark.parametrize("place", ["/dev/shm", "/proc", "/", "/sys", "/tmp"])
def test_the_kernel_and_we_agree_on_what_is_memory(place: str) -> None:
    assert is_memory(Path(place)) == (type_by_proc(Path(place)) in ("tmpfs", "ramfs"))


def test_private_and_gone_afterwards() -> None:
    with scratch_folder({}) as folder:
        assert folder.parent == SHM and is_memory(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.geteuid()
        path = write_private(folder, "value.age", b"hunter2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_bytes() == b"hunter2"
        with pytest.raises(SecretsmithError):
            write_private(folder, "value.age", b"again")
    assert not folder.exists()


def test_everything_an_editor_leaves_goes(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("x")
    with scratch_folder({}) as folder:
        for name in (".value.swp", "value~", "#value#", "4913"):
            (folder / name).write_text("hunter2")
        (folder / "undo" / "deep").mkdir(parents=True)
        (folder / "undo" / "deep" / "u").write_text("hunter2")
        (folder / "undo" / "deep").chmod(0o500)
        (folder / "undo").chmod(0o500)
        (folder / "away").symlink_to(tmp_path)
        (folder / "fifo").unlink(missing_ok=True)
        os.mkfifo(folder / "fifo")
    assert not folder.exists()
    assert (tmp_path / "keep").exists(), "a link was followed"


def test_gone_after_an_error_too() -> None:
    seen: list[Path] = []

    def interrupted() -> None:
        with scratch_folder({}) as folder:
            (folder / "x").write_text("hunter2")
            seen.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(seen) == 1 and not seen[0].exists()


def test_the_runtime_folder_only_when_it_is_memory_and_ours(tmp_path: Path) -> None:
    private = SHM / f"runtime-{os.getpid()}"
    private.mkdir(mode=0o700)
    try:
        with scratch_folder({"XDG_RUNTIME_DIR": str(private)}) as folder:
            assert folder.parent == private
        private.chmod(0o777)  # others could put another folder in the place of ours
        with scratch_folder({"XDG_RUNTIME_DIR": str(private)}) as folder:
            assert folder.parent == SHM
    finally:
        private.rmdir()
    for wrong in ("relative", "/nonexistent", ""):
        with scratch_folder({"XDG_RUNTIME_DIR": wrong}) as folder:
            assert folder.parent == SHM
    if type_by_proc(tmp_path) not in ("tmpfs", "ramfs"):
        with scratch_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) as folder:
            assert folder.parent == SHM


def test_refused_where_there_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if type_by_proc(tmp_path) in ("tmpfs", "ramfs"):
        pytest.skip("the tests themselves run in memory")
    monkeypatch.setattr(scratch, "SHARED_MEMORY", tmp_path)
    with pytest.raises(SecretsmithError) as caught, scratch_folder({"XDG_RUNTIME_DIR": str(tmp_path)}):
        pytest.fail("plaintext on a disk")
    assert caught.value.code is Code.NO_TMPFS and caught.value.hints
    assert os.listdir(tmp_path) == []


HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from secretsmith.store.scratch import scratch_folder, write_private
with scratch_folder({}) as folder:
    write_private(folder, "x", b"hunter2")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_is_cleaned_up_after_and_a_living_one_is_not() -> None:
    checkout = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-I", "-S", "-B", "-c", HOLDER, checkout]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    folders = [Path(process.stdout.readline().strip()) for process in processes if process.stdout is not None]
    processes[0].send_signal(signal.SIGKILL)
    processes[0].communicate()
    assert (folders[0] / "x").exists()
    with scratch_folder({}):
        assert not folders[0].exists()
        assert (folders[1] / "x").exists()
    processes[1].communicate("")
    assert not folders[1].exists() and processes[1].returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")
def test_folders_of_others_are_left() -> None:
    theirs = SHM / "secretsmith.1.0123456789abcdef"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 1234, 1234)
    try:
        with scratch_folder({}):
            assert theirs.exists()
    finally:
        theirs.rmdir()
