"""Death, a full disk and a failing disk at every system call of a transaction that writes (strace injects them)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from secretsmith.errors import SecretsmithError
from secretsmith.store.clone import state_dir
from secretsmith.store.transaction import ANY, Transaction, recover

DRIVER = Path(__file__).with_name("commit_once.py")
OLD = {
    "secrets/one.age": b"old one " * 999,
    "secrets/two.age": b"old two",
    "secrets/gone/three.age": b"old three",
}
NEW = {
    "secrets/one.age": b"new one",
    "secrets/two.age": b"new two " * 999,
    "secrets/fresh/deep/four.age": b"new four",
}
CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fchmod,fchown,"
    "ftruncate,link,linkat"
)


class Point(NamedTuple):
    """The ``number``-th call of ``call`` in the whole process, counted from 1 as strace does."""

    call: str
    number: int


def plant(folder: Path) -> Path:
    root = folder / "repository"
    for path, data in OLD.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    state_dir(root)
    return root


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def state_files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".git" / "secretsmith").iterdir() if path.name != "lock")


def run(strace: str, root: Path, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
    checkout = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [
            strace,
            "-qq",
            "--seccomp-bpf",
            "-f",
            *options,
            sys.executable,
            "-I",
            "-S",
            "-B",
            str(DRIVER),
            str(checkout),
            str(root),
            verb,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"},
    )


def points(
    strace: str, folder: Path, verb: str, prepare: Callable[[Path], None] = lambda root: None
) -> list[Point]:
    """Run once undisturbed and list the calls that write, after the mark."""
    root = plant(folder)
    prepare(root)
    log = folder / "trace"
    done = run(strace, root, verb, "-e", f"trace={CALLS}", "-o", str(log))
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree(root) == NEW
    seen: Counter[str] = Counter()
    found: list[Point] = []
    begun = False
    for line in log.read_text().splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if match is None:
            continue
        call = match[1]
        seen[call] += 1
        if begun and (call != "openat" or "O_CREAT" in line):
            found.append(Point(call, seen[call]))
        begun = begun or '"begin' in line
    return found


@pytest.fixture(scope="module")
def strace() -> str:
    program = shutil.which("strace")
    if program is None:
        if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
            pytest.fail("the peer strace is required and missing")
        pytest.skip("the peer strace is not installed")
    probe = subprocess.run([program, "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("ptrace is forbidden here")
    return program


@pytest.fixture(scope="module")
def commit_points(strace: str, tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    return points(strace, tmp_path_factory.mktemp("points"), "commit")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory when there is one: hundreds of real fsyncs prove nothing more and take their time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="store-test-") as folder:
        yield Path(folder)


def each(cases: list[Point], folder: Path, judge: Callable[[Point, Path], str | None]) -> list[str]:
    """Judge every point in a repository of its own; return what is wrong."""

    def one(numbered: tuple[int, Point]) -> str | None:
        number, point = numbered
        root = plant(folder / str(number))
        wrong = judge(point, root)
        return None if wrong is None else f"{point.call} {point.number}: {wrong}"

    with ThreadPoolExecutor(4) as pool:
        return [wrong for wrong in pool.map(one, enumerate(cases)) if wrong is not None]


def torn(root: Path) -> Iterator[str]:
    """Yield files that are neither old nor new, temporary files apart."""
    for path, data in tree(root).items():
        if ".ss" not in Path(path).name and data not in (OLD.get(path), NEW.get(path)):
            yield path


def at_rest(root: Path) -> str | None:
    """Recover, and say what is wrong with the repository then."""
    state = state_dir(root)
    recover(root, state)
    after = tree(root)
    if after not in (OLD, NEW):
        return f"neither all old nor all new: {sorted(after)}"
    if (root / "secrets/fresh").exists() != (after == NEW) or (root / "secrets/gone").exists() != (
        after == OLD
    ):
        return "a folder was left or lost"
    if state_files(root):
        return f"records left: {state_files(root)}"
    if recover(root, state):
        return "a second recovery found something"
    return None


def test_the_trace_sees_the_whole_transaction(commit_points: list[Point]) -> None:
    calls = Counter(point.call for point in commit_points)
    # 3 temporary files, 2 records, 2 new folders, 3 + 2 renames; a trace that misses them would prove nothing.
    assert calls["openat"] >= 5
    assert calls["fsync"] >= 10
    assert calls["renameat"] + calls["rename"] == 5
    assert calls["mkdirat"] + calls["mkdir"] == 2


def test_killed_at_every_write(strace: str, commit_points: list[Point], ground: Path) -> None:
    outcomes: Counter[str] = Counter()

    def judge(point: Point, root: Path) -> str | None:
        done = run(strace, root, "commit", "-e", f"inject={point.call}:signal=KILL:when={point.number}")
        if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return f"survived: {done.returncode} {done.stdout} {done.stderr}"
        if bad := list(torn(root)):
            return f"torn: {bad}"
        wrong = at_rest(root)
        outcomes["new" if tree(root) == NEW else "old"] += 1
        return wrong

    assert each(commit_points, ground, judge) == []
    assert outcomes["old"] > 10 and outcomes["new"] > 5


@pytest.mark.parametrize(("error", "code"), [("ENOSPC", "E_NOSPC"), ("EIO", "E_IO")])
def test_an_error_at_every_write(
    strace: str, commit_points: list[Point], ground: Path, error: str, code: str
) -> None:
    outcomes: Counter[str] = Counter()

    def judge(point: Point, root: Path) -> str | None:
        done = run(strace, root, "commit", "-e", f"inject={point.call}:error={error}:when={point.number}")
        if done.returncode == 0:
            # Met after the decision, or nothing that matters (the process number in the lock): carried out all the same.
            outcomes["done"] += 1
            return None if tree(root) == NEW and not state_files(root) else "said done, and was not"
        outcomes[done.stdout.strip()] += 1
        if done.stdout.strip() != code:
            return f"{done.returncode} {done.stdout} {done.stderr}"
        # One error leaves nothing that needs a recovery.
        if tree(root) != OLD or state_files(root) or (root / "secrets/fresh").exists():
            return f"left behind: {sorted(tree(root))} {state_files(root)}"
        return at_rest(root)

    assert each(commit_points, ground, judge) == []
    assert outcomes[code] > 10 and outcomes["done"] > 2


def test_a_disk_that_fails_for_good(strace: str, commit_points: list[Point], ground: Path) -> None:
    """From some point on every call of the kind fails; the next run, on a mended disk, comes to rest."""

    def judge(point: Point, root: Path) -> str | None:
        done = run(strace, root, "commit", "-e", f"inject={point.call}:error=EIO:when={point.number}+")
        if done.returncode not in (0, 1) or (done.returncode == 1 and done.stdout.strip() != "E_IO"):
            return f"{done.returncode} {done.stdout} {done.stderr}"
        return f"torn: {list(torn(root))}" if list(torn(root)) else at_rest(root)

    cases = [
        point for point in commit_points if point.call not in ("openat", "write", "ftruncate", "pwrite64")
    ]
    assert each(cases, ground, judge) == []


def test_recovery_killed_at_every_write(strace: str, commit_points: list[Point], ground: Path) -> None:
    # staging.json and journal.json are renamed, then the three files: killed before the second of these
    died = [point for point in commit_points if point.call.startswith("rename")][3]

    def prepare(root: Path) -> None:
        run(strace, root, "commit", "-e", f"inject={died.call}:signal=KILL:when={died.number}")
        assert state_files(root) == ["journal.json", "staging.json"]

    recovery_points = points(strace, ground / "points", "recover", prepare)
    assert len(recovery_points) > 6

    def judge(point: Point, root: Path) -> str | None:
        prepare(root)
        run(strace, root, "recover", "-e", f"inject={point.call}:signal=KILL:when={point.number}")
        wrong = at_rest(root)
        return wrong or (None if tree(root) == NEW else "a journaled change was lost")

    assert each(recovery_points, ground, judge) == []


def test_what_changed_after_a_kill_is_never_overwritten(
    strace: str, commit_points: list[Point], ground: Path
) -> None:
    root = plant(ground)
    died = [point for point in commit_points if point.call.startswith("rename")][2]
    run(strace, root, "commit", "-e", f"inject={died.call}:signal=KILL:when={died.number}")
    (root / "secrets/two.age").write_bytes(b"mine")
    (root / "secrets/gone/three.age").write_bytes(b"mine too")
    with pytest.raises(SecretsmithError) as caught:
        recover(root, state_dir(root))
    assert caught.value.code == "E_CHANGED" and "secrets/two.age and 1 more" in caught.value.message
    expected = {**NEW, "secrets/two.age": b"mine", "secrets/gone/three.age": b"mine too"}
    assert tree(root) == expected
    assert recover(root, state_dir(root)) == []
    assert state_files(root) == []


def test_a_new_transaction_finishes_the_killed_one_first(
    strace: str, commit_points: list[Point], ground: Path
) -> None:
    root = plant(ground)
    died = [point for point in commit_points if point.call.startswith("rename")][3]
    run(strace, root, "commit", "-e", f"inject={died.call}:signal=KILL:when={died.number}")
    transaction = Transaction(root, state_dir(root))
    transaction.stage("secrets/five.age", b"five", expect=ANY)
    transaction.commit()
    assert tree(root) == {**NEW, "secrets/five.age": b"five"}
    assert state_files(root) == []
