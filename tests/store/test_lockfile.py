from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from secretsmith.errors import Code, Conflict, ExitCode, NotFound
from secretsmith.store.lockfile import repository_lock

HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from secretsmith.store.lockfile import repository_lock
with repository_lock(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    checkout = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", HOLDER, checkout, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(Conflict) as caught, repository_lock(tmp_path, 0.05):
            pytest.fail("two holders")
        assert caught.value.code is Code.LOCKED and caught.value.exit_code == ExitCode.CONFLICT
        assert f"process {process.pid}" in caught.value.message
    finally:
        process.communicate("")
    with repository_lock(tmp_path, 0.05):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with repository_lock(tmp_path, 0.5):
        pass


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    process = holder(tmp_path)
    timer = threading.Timer(0.1, lambda: process.communicate(""))
    timer.start()
    with repository_lock(tmp_path, 30):
        pass
    timer.join()


def test_the_holder_may_take_it_again(tmp_path: Path) -> None:
    with repository_lock(tmp_path, 0.05):
        with repository_lock(tmp_path, 0.05):
            pass
        # the inner one did not let go
        assert subprocess_says(tmp_path) == "locked"
    assert subprocess_says(tmp_path) == "free"


def test_another_thread_is_not_the_holder(tmp_path: Path) -> None:
    found: list[str] = []

    def attempt() -> None:
        try:
            with repository_lock(tmp_path, 0.05):
                found.append("held")
        except Conflict:
            found.append("locked")

    with repository_lock(tmp_path):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert found == ["locked"]


def subprocess_says(folder: Path) -> str:
    script = "import fcntl, sys\nf = open(sys.argv[1])\ntry:\n fcntl.flock(f, 6)\n print('free')\nexcept OSError:\n print('locked')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(folder / "lock")], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_state_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound), repository_lock(tmp_path / "none"):
        pass


def test_an_exception_lets_go(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), repository_lock(tmp_path):
        raise RuntimeError
    assert subprocess_says(tmp_path) == "free"
    assert (tmp_path / "lock").read_bytes() == b""
    assert os.stat(tmp_path / "lock").st_mode & 0o777 == 0o600
