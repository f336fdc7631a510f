from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.store import durable
from secretsmith.store.transaction import ANY, Transaction, recover


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path / "root"


@pytest.fixture
def state(root: Path) -> Path:
    return root.parent / "state"


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def at_rest(state: Path) -> bool:
    return set(os.listdir(state)) <= {"lock"}


def test_nothing_happens_before_the_commit(root: Path, state: Path) -> None:
    with Transaction(root, state) as transaction:
        transaction.stage("a", b"1", expect=None)
        assert transaction
    assert tree(root) == {} and os.listdir(state) == []
    transaction.commit()  # closed: there is nothing left to do
    assert tree(root) == {}


def test_a_commit_makes_folders_and_removes_what_it_is_told(root: Path, state: Path) -> None:
    transaction = Transaction(root, state)
    transaction.stage("secrets/a/b/one.age", b"1", expect=None)
    transaction.stage("secrets/two.age", b"2", expect=None)
    transaction.commit()
    assert tree(root) == {"secrets/a/b/one.age": b"1", "secrets/two.age": b"2"}
    transaction.remove("secrets/a/b/one.age", expect=sha(b"1"))
    transaction.commit()
    assert (root / "secrets/a/b").is_dir()
    transaction.stage("secrets/a/b/one.age", b"1", expect=None)
    transaction.commit()
    transaction.remove("secrets/a/b/one.age", expect=sha(b"1"), prune_below="secrets")
    transaction.remove("secrets/two.age", expect=ANY, prune_below="secrets")
    transaction.commit()
    assert os.listdir(root) == ["secrets"] and os.listdir(root / "secrets") == []
    assert at_rest(state)


def test_pruning_stops_at_a_folder_in_use(root: Path, state: Path) -> None:
    (root / "s/a/b").mkdir(parents=True)
    (root / "s/a/keep").write_text("x")
    (root / "s/a/b/f").write_text("x")
    transaction = Transaction(root, state)
    transaction.remove("s/a/b/f", expect=ANY, prune_below="s")
    transaction.commit()
    assert tree(root) == {"s/a/keep": b"x"} and not (root / "s/a/b").exists()


@pytest.mark.parametrize(
    ("before", "expect", "word"),
    [(b"theirs", sha(b"mine"), "changed"), (b"theirs", None, "exists"), (None, sha(b"mine"), "removed")],
)
@pytest.mark.parametrize("verb", ["stage", "remove"])
def test_what_changed_meanwhile_stops_everything(
    root: Path, state: Path, before: bytes | None, expect: str | None, word: str, verb: str
) -> None:
    if before is not None:
        (root / "a").write_bytes(before)
    transaction = Transaction(root, state)
    transaction.stage("first/other", b"x", expect=None)
    if verb == "stage":
        transaction.stage("a", b"new", expect=expect)
    else:
        transaction.remove("a", expect=expect)
    with pytest.raises(Conflict) as caught:
        transaction.commit()
    assert caught.value.code is Code.CHANGED and word in caught.value.message and caught.value.hints
    assert tree(root) == ({} if before is None else {"a": before})
    assert os.listdir(root) == ([] if before is None else ["a"])
    assert at_rest(state)


def test_a_change_during_the_verification_is_seen(root: Path, state: Path) -> None:
    (root / "a").write_bytes(b"old")
    transaction = Transaction(root, state)
    transaction.stage("a", b"new", expect=sha(b"old"))

    def meddle(path: str, data: bytes) -> None:
        (root / path).write_bytes(b"theirs")

    with pytest.raises(Conflict):
        transaction.commit(meddle)
    assert tree(root) == {"a": b"theirs"}


def test_verify_sees_the_disk_and_not_our_memory(root: Path, state: Path) -> None:
    """A disk that lies is caught: the temporary file is changed behind our back before it is read."""
    (root / "a").write_bytes(b"old")
    seen: list[tuple[str, bytes]] = []

    def corrupt(path: str, data: bytes) -> None:
        seen.append((path, data))
        for name in os.listdir(root):
            if name.startswith(".b."):
                (root / name).write_bytes(b"rotten")

    transaction = Transaction(root, state)
    transaction.stage("a", b"new", expect=ANY)
    transaction.stage("b", b"sound", expect=ANY)
    with pytest.raises(SecretsmithError) as caught:
        transaction.commit(corrupt)
    assert caught.value.code is Code.IO
    assert seen == [("a", b"new")]
    assert tree(root) == {"a": b"old"} and at_rest(state)


def test_verify_comes_before_any_rename(root: Path, state: Path) -> None:
    def refuse(path: str, data: bytes) -> None:
        if path == "b":
            raise KeyboardInterrupt

    transaction = Transaction(root, state)
    transaction.stage("x/a", b"new", expect=ANY)
    transaction.stage("b", b"new", expect=ANY)
    with pytest.raises(KeyboardInterrupt):
        transaction.commit(refuse)
    assert os.listdir(root) == [] and at_rest(state)


def test_the_last_change_of_a_path_wins_and_the_first_expectation_stays(root: Path, state: Path) -> None:
    (root / "a").write_bytes(b"old")
    transaction = Transaction(root, state)
    transaction.stage("a", b"1", expect=sha(b"old"))
    transaction.stage("./a", b"2", expect=sha(b"1"))
    transaction.commit()
    assert tree(root) == {"a": b"2"}


@pytest.mark.parametrize("paths", [("a", "a/b"), ("x/y/z", "x")])
def test_a_file_and_a_folder_at_once(root: Path, state: Path, paths: tuple[str, str]) -> None:
    transaction = Transaction(root, state)
    for path in paths:
        transaction.stage(path, b"", expect=ANY)
    with pytest.raises(RefusedInput) as caught:
        transaction.commit()
    assert caught.value.code is Code.NAME_CLASH
    assert os.listdir(root) == []


def test_hostile_targets(root: Path, state: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "shadow").write_text("root")
    (root / "folder").symlink_to(outside)
    (root / "link").symlink_to(outside / "shadow")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    (root / "dir").mkdir()
    (root / "plain").write_text("x")
    for path, code in {
        "folder/shadow": Code.SYMLINK,
        "folder/new": Code.SYMLINK,
        "loop/x": Code.SYMLINK,
        "link": Code.NOT_REGULAR,
        "loop": Code.NOT_REGULAR,
        "fifo": Code.NOT_REGULAR,
        "dir": Code.NOT_REGULAR,
        "plain/x": Code.NAME_CLASH,
    }.items():
        transaction = Transaction(root, state)
        transaction.stage("innocent/file", b"x", expect=None)
        transaction.stage(path, b"evil", expect=ANY)
        with pytest.raises(RefusedInput) as caught:
            transaction.commit()
        assert caught.value.code is code, path
        assert not (root / "innocent").exists() and at_rest(state)
    assert tree(outside) == {"shadow": b"root"}
    assert sorted(os.listdir(root)) == ["dir", "fifo", "folder", "link", "loop", "plain"]
    with pytest.raises(RefusedInput):
        Transaction(root, state).stage("../x", b"", expect=ANY)
    with pytest.raises(RefusedInput):
        Transaction(root, state).remove(".git/config", expect=ANY)


def test_a_link_is_never_removed_through(root: Path, state: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (root / "link").symlink_to(tmp_path / "outside")
    transaction = Transaction(root, state)
    transaction.remove("link", expect=ANY)
    with pytest.raises(RefusedInput):
        transaction.commit()
    assert (tmp_path / "outside").exists() and (root / "link").is_symlink()


@pytest.mark.parametrize("count", [durable.BATCH - 1, 3 * durable.BATCH])
def test_few_and_many_files(root: Path, state: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def count_it(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", count_it)
    transaction = Transaction(root, state)
    for number in range(count):
        transaction.stage(f"d{number % 50}/{number}.age", b"%d" % number, expect=None)
    seen: list[str] = []
    transaction.commit(lambda path, data: seen.append(path))
    assert len(tree(root)) == count == len(seen) and at_rest(state)
    # one fsync a file while they are few; records and little else when they are many
    assert (len(synced) >= count) if count < durable.BATCH else (len(synced) < 10)


def test_a_failing_syncfs_stops_the_commit(root: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "_syncfs", fail)
    transaction = Transaction(root, state)
    for number in range(durable.BATCH + 1):
        transaction.stage(f"{number}", b"", expect=None)
    with pytest.raises(SecretsmithError) as caught:
        transaction.commit()
    assert caught.value.code is Code.IO and tree(root) == {} and at_rest(state)


NAMES = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "x.age"])
CHANGES = st.lists(st.tuples(NAMES, st.one_of(st.none(), st.binary(max_size=20)), st.booleans()), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=st.lists(CHANGES, max_size=4))
def test_transactions_are_a_dictionary(commits: list[list[tuple[str, bytes | None, bool]]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        root, state = Path(folder) / "root", Path(folder) / "state"
        root.mkdir()
        state.mkdir()
        model: dict[str, bytes] = {}
        for changes in commits:
            transaction = Transaction(root, state)
            after = dict(model)
            sound = True
            expected: dict[str, bool] = {}
            for name, data, honest in changes:
                now = sha(model[name]) if name in model else None
                expect = now if honest else sha(b"something else")
                # the first expectation of a path is the one that counts
                expected.setdefault(name, honest)
                if data is None:
                    transaction.remove(name, expect=expect)
                    after.pop(name, None)
                else:
                    transaction.stage(name, data, expect=expect)
                    after[name] = data
            sound = all(expected.values())
            try:
                transaction.commit()
            except Conflict:
                assert not sound
            else:
                assert sound
                model = after
            assert tree(root) == model
            assert at_rest(state) and recover(root, state) == []


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "entries": []}',
        '{"version": 1}',
        '{"version": 1, "entries": [{"path": "../x", "temp": null, "new": null, "old": null, "prune": null}]}',
        '{"version": 1, "entries": [{"path": "a", "temp": "b", "new": "0", "old": null, "prune": null}]}',
        '{"version": 1, "entries": [{"path": "a", "temp": "../.x.ss0123456789ab", "new": "0", "old": null, "prune": null}]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_journal_is_an_error_and_changes_nothing(root: Path, state: Path, record: str) -> None:
    (root / "a").write_text("mine")
    (state / "journal.json").write_text(record)
    with pytest.raises(SecretsmithError) as caught:
        recover(root, state)
    assert caught.value.code is Code.STATE and caught.value.hints
    assert tree(root) == {"a": b"mine"}


@pytest.mark.parametrize("temps", [["a"], ["../.x.ss0123456789ab"], ["/etc/passwd"], "a", [1]])
def test_a_staging_record_removes_nothing_but_temporary_files(root: Path, state: Path, temps: object) -> None:
    (root / "a").write_text("mine")
    (state / "staging.json").write_text(json.dumps({"version": 1, "temps": temps, "folders": []}))
    with pytest.raises(SecretsmithError) as caught:
        recover(root, state)
    assert caught.value.code is Code.STATE
    assert tree(root) == {"a": b"mine"}


def test_a_damaged_temporary_file_never_replaces_a_good_one(root: Path, state: Path) -> None:
    (root / "a").write_bytes(b"old")
    temp = ".a.ss0123456789ab"
    (root / temp).write_bytes(b"half of the n")
    entry = {"path": "a", "temp": temp, "new": sha(b"half of the new"), "old": sha(b"old"), "prune": None}
    (state / "journal.json").write_text(json.dumps({"version": 1, "entries": [entry]}))
    with pytest.raises(Conflict):
        recover(root, state)
    assert tree(root) == {"a": b"old"} and at_rest(state)


def test_recovery_leaves_other_peoples_temporary_files(root: Path, state: Path) -> None:
    (root / ".x.ss0123456789ab").write_text("of another run")
    (state / "staging.json").write_text(
        json.dumps({"version": 1, "temps": [".y.ss0123456789ab"], "folders": ["d"]})
    )
    (root / "d").mkdir()
    (root / "d" / "theirs").write_text("x")
    assert recover(root, state) == []
    assert sorted(tree(root)) == [".x.ss0123456789ab", "d/theirs"] and at_rest(state)


WRITER = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from secretsmith.errors import Code, Conflict
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.transaction import Transaction
root, state, rounds, locked = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "locked"
def bump():
    before = (root / "counter").read_bytes()
    number = int(before) + 1
    transaction = Transaction(root, state)
    transaction.stage("counter", str(number).encode(), expect=hashlib.sha256(before).hexdigest())
    transaction.stage("shadow", str(number).encode(), expect=hashlib.sha256((root / "shadow").read_bytes()).hexdigest())
    transaction.commit()
refused = 0
for _ in range(rounds):
    while True:
        try:
            if locked:
                with repository_lock(state, 60):
                    bump()
            else:
                bump()
            break
        except Conflict as error:
            assert error.code is Code.CHANGED and not locked, error
            refused += 1
print(refused)
"""


@pytest.mark.parametrize("way", ["locked", "optimistic"])
def test_no_update_is_lost(root: Path, state: Path, way: str) -> None:
    """Writers that hold the lock while they read never conflict; those that do not are refused and try again."""
    writers, rounds = 5, 12
    for name in ("counter", "shadow"):
        (root / name).write_bytes(b"0")
    checkout = str(Path(__file__).resolve().parents[2])
    command = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        "-c",
        WRITER,
        checkout,
        str(root),
        str(state),
        str(rounds),
        way,
    ]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(writers)
    ]
    torn = 0
    while any(process.poll() is None for process in running):
        torn += not (root / "counter").read_bytes().isdigit()
    for process in running:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert way == "optimistic" or out == "0\n"
    assert torn == 0
    assert tree(root) == dict.fromkeys(("counter", "shadow"), str(writers * rounds).encode())
    assert at_rest(state)
