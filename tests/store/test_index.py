from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.store.index import RACY_NS, StatIndex

LONG_AGO = time.time_ns() - 3_600_000_000_000


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


class Clock:
    """The kernel's change time cannot be set; so the clock of the index is moved on instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def advance(self, seconds: float) -> None:
        later = time.time_ns() + int(seconds * 1e9)
        self._patch.setattr("secretsmith.store.index.time.time_ns", lambda: later)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def settle(state: Path, index: StatIndex, seconds: float = 10) -> StatIndex:
    """Save, as if that were ``seconds`` from now, and load again."""
    index.save()
    later = time.time_ns() + int(seconds * 1e9)
    if (state / "index.json").exists():
        os.utime(state / "index.json", ns=(later, later))
    return StatIndex.load(state)


def test_an_unchanged_file_is_read_once(root: Path, state: Path, clock: Clock) -> None:
    (root / "a").write_bytes(b"one")
    clock.advance(10)
    index = StatIndex.load(state)
    assert index.digest(root, "a") == sha(b"one") and index.digest(root, "a") == sha(b"one")
    assert index.hashed == 1
    again = settle(state, index)
    assert again.digest(root, "a") == sha(b"one")
    assert again.hashed == 0


def test_a_changed_file_is_read_again(root: Path, state: Path, clock: Clock) -> None:
    (root / "a").write_bytes(b"one")
    clock.advance(10)
    index = StatIndex.load(state)
    index.digest(root, "a")
    again = settle(state, index)
    (root / "a").write_bytes(b"two")
    assert again.digest(root, "a") == sha(b"two") and again.hashed == 1


def test_what_was_just_written_is_learnt(root: Path, state: Path) -> None:
    """No clock is moved here: after a pause a young file is as sure as an old one."""
    for name in ("a", "b", "c"):
        (root / name).write_bytes(b"one")
    index = StatIndex.load(state)
    index.digest(root, "b")  # too young to be sure of; learnt as well
    index.learn(root, ["a", "gone"])
    again = StatIndex.load(state)
    assert again.digest(root, "a") == sha(b"one") and again.digest(root, "b") == sha(b"one")
    assert again.hashed == 0
    assert again.digest(root, "c") == sha(b"one") and again.hashed == 1


def test_what_changes_while_it_is_learnt_is_not(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_bytes(b"one")
    index = StatIndex.load(state)
    assert index.digest(root, "a") == sha(b"one")

    def meanwhile(seconds: float) -> None:
        (root / "a").write_bytes(b"two")

    monkeypatch.setattr("secretsmith.store.index.time.sleep", meanwhile)
    index.learn(root, ["a"])
    monkeypatch.undo()
    (root / "a").write_bytes(b"new")
    assert StatIndex.load(state).digest(root, "a") == sha(b"new")


def test_where_times_are_coarse_nothing_is_learnt(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT stamps whole hundredths; the pause proves nothing there."""
    (root / "a").write_bytes(b"one")

    def coarse(status: os.stat_result) -> list[int]:
        return [status.st_dev, status.st_ino, status.st_size, 0, status.st_ctime_ns // 10**9 * 10**9]

    monkeypatch.setattr("secretsmith.store.index._key", coarse)
    index = StatIndex.load(state)
    index.learn(root, ["a"])
    again = StatIndex.load(state)
    assert again.digest(root, "a") == sha(b"one") and again.hashed == 1


def test_what_is_learnt_and_changes_afterwards_is_seen(root: Path, state: Path) -> None:
    for number in range(20):
        path = root / f"f{number}"
        path.write_bytes(b"a%02d" % number)
        index = StatIndex.load(state)
        index.learn(root, [path.name])
        status = path.stat()
        path.write_bytes(b"b%02d" % number)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert StatIndex.load(state).digest(root, path.name) == sha(b"b%02d" % number)


def test_old_times_do_not_hide_a_change(root: Path, state: Path, clock: Clock) -> None:
    """Same size and mtime (cp -p, tar, a malicious touch): the change time tells."""
    (root / "a").write_bytes(b"one")
    os.utime(root / "a", ns=(LONG_AGO, LONG_AGO))
    clock.advance(10)
    index = StatIndex.load(state)
    index.digest(root, "a")
    again = settle(state, index)
    (root / "a").write_bytes(b"two")
    os.utime(root / "a", ns=(LONG_AGO, LONG_AGO))
    assert again.digest(root, "a") == sha(b"two")


def test_a_file_as_young_as_the_look_at_it_is_not_trusted(root: Path, state: Path) -> None:
    (root / "a").write_bytes(b"one")
    index = StatIndex.load(state)
    index.digest(root, "a")
    again = settle(state, index)
    assert again.digest(root, "a") == sha(b"one")
    assert again.hashed == 1, (
        "changed within the clock's tick after we read it, it would have looked the same"
    )


def test_a_file_as_young_as_the_index_is_not_trusted(root: Path, state: Path, clock: Clock) -> None:
    """The filesystem's clock may lag behind ours (a server): its own time of the index file is the second judge."""
    (root / "a").write_bytes(b"one")
    clock.advance(10)
    index = StatIndex.load(state)
    index.digest(root, "a")
    changed = (root / "a").stat().st_ctime_ns
    for age, trusted in ((0, False), (RACY_NS - 1, False), (RACY_NS, False), (RACY_NS + 1, True)):
        index._dirty = True
        index.save()
        os.utime(state / "index.json", ns=(changed + age, changed + age))
        again = StatIndex.load(state)
        again.digest(root, "a")
        assert again.hashed == (0 if trusted else 1), age


def test_the_race_itself(root: Path, state: Path) -> None:
    """Read, change within the same tick, save, load: with real clocks, the second content is always seen."""
    for number in range(100):
        path = root / f"f{number}"
        path.write_bytes(b"a%02d" % number)
        index = StatIndex.load(state)
        index.digest(root, path.name)
        status = path.stat()
        path.write_bytes(b"b%02d" % number)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        index.save()
        assert StatIndex.load(state).digest(root, path.name) == sha(b"b%02d" % number)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b'{"version": 9, "files": {}}',
        b'{"version": 1}',
        b'{"version": 1, "files": []}',
        b'{"version": 1, "files": {"a": null}}',
        b'{"version": 1, "files": {"a": [1, 2]}}',
        b'{"version": 1, "files": {"a": [0, 0, 0, 0, 0, null]}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_damaged_index_is_thrown_away(root: Path, state: Path, content: bytes) -> None:
    (root / "a").write_bytes(b"one")
    (state / "index.json").write_bytes(content)
    index = StatIndex.load(state)
    assert index.digest(root, "a") == sha(b"one") and index.hashed == 1
    index.save()
    assert json.loads((state / "index.json").read_bytes())["version"] == 1


def test_a_record_with_right_times_and_wrong_types(root: Path, state: Path) -> None:
    (root / "a").write_bytes(b"one")
    status = (root / "a").stat()
    key = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    (state / "index.json").write_text(json.dumps({"version": 1, "files": {"a": [*key, 7]}}))
    later = time.time_ns() + 10**10
    os.utime(state / "index.json", ns=(later, later))
    assert StatIndex.load(state).digest(root, "a") == sha(b"one")


def test_nothing_is_written_when_nothing_was_learnt(root: Path, state: Path) -> None:
    StatIndex.load(state).save()
    assert os.listdir(state) == []


def test_what_is_no_file(root: Path, state: Path, tmp_path: Path) -> None:
    index = StatIndex.load(state)
    with pytest.raises(NotFound):
        index.digest(root, "none")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("x")
    (root / "link").symlink_to(tmp_path / "outside" / "x")
    (root / "folder").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "fifo")
    for path, code in {
        "link": Code.NOT_REGULAR,
        "fifo": Code.NOT_REGULAR,
        ".": Code.NOT_REGULAR,
        "folder/x": Code.SYMLINK,
        "../outside/x": Code.NAME,
        "a\0b": Code.NAME,
    }.items():
        with pytest.raises(RefusedInput) as caught:
            index.digest(root, path)
        assert caught.value.code is code, path
    assert index.hashed == 0


def test_an_index_that_is_no_file_is_no_index(root: Path, state: Path) -> None:
    os.mkfifo(state / "index.json")
    (root / "a").write_text("x")
    index = StatIndex.load(state)
    index.digest(root, "a")
    index.save()  # cannot be written there: no error


def test_many_files_cost_a_stat_each(root: Path, state: Path, clock: Clock) -> None:
    for number in range(2000):
        (root / f"{number}.age").write_bytes(b"%d" % number)
    clock.advance(10)
    index = StatIndex.load(state)
    for number in range(2000):
        index.digest(root, f"{number}.age")
    again = settle(state, index)
    assert all(again.digest(root, f"{number}.age") == sha(b"%d" % number) for number in range(2000))
    assert again.hashed == 0
