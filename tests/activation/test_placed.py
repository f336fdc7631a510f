"""The record of custom paths outlives a reboot, is nobody else's to write, and a damaged one stops nothing."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path

import pytest
from hosts import IS_ROOT

from secretsmith.activation.accounts import Caller
from secretsmith.activation.places.placed import (
    Placed,
    PlacedPath,
    load_placed,
    placed_from_tree,
    placed_tree,
    save_placed,
)
from secretsmith.errors import Code, SecretsmithError

pytestmark = pytest.mark.usefixtures("open_descriptors")
CALLER = Caller.current(owner_self=not IS_ROOT)
COPY = PlacedPath(stamp=(1, 2, 3, 4, 5, 6))
PLACED: Placed = {
    "/etc/a": PlacedPath("/run/secrets/a"),
    "/etc/b": COPY,
    "/etc/c": PlacedPath(stamp=(9, 8, 7, 6, 5, 4), earlier=COPY),
    "/etc/d": PlacedPath(),
}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path / "lib" / "secretsmith" / "paths.json"


def save(record: Path, placed: Placed, generations: str = "/run/secrets.d") -> None:
    save_placed(str(record), generations, placed, CALLER)


def load(record: Path, generations: str = "/run/secrets.d") -> Placed:
    return load_placed(str(record), generations, CALLER)


def test_what_is_saved_is_read_back(record: Path) -> None:
    assert load(record) == {}
    save(record, PLACED)
    assert load(record) == PLACED
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(record.parent) == ["paths.json"]
    assert placed_from_tree(json.loads(json.dumps(placed_tree(PLACED)))) == PLACED


def test_phases_do_not_touch_each_other(record: Path) -> None:
    save(record, PLACED)
    save(record, {"/etc/u": COPY}, "/run/secrets-for-users.d")
    assert load(record) == PLACED
    save(record, {})
    assert load(record) == {}
    assert load(record, "/run/secrets-for-users.d") == {"/etc/u": COPY}


def test_a_host_without_custom_paths_has_no_record(record: Path) -> None:
    save(record, {})
    assert not record.parent.exists()


def test_written_only_when_it_differs(record: Path) -> None:
    save(record, PLACED)
    before = record.stat()
    save(record, dict(PLACED))
    save(record, {}, "/run/another.d")
    assert record.stat() == before
    save(record, {"/etc/b": COPY})
    assert record.stat() != before


ITEMS = [
    '{"version": 1, "paths": {"/g": {"/a": %s}}}' % item  # noqa: UP031
    for item in (
        "[]",
        '{"text": 1}',
        '{"text": "../x"}',
        '{"text": "/a\\u0000"}',
        '{"text": "/\\ud800"}',
        '{"stamp": [1]}',
        '{"stamp": [1, 2, 3, 4, 5, true]}',
        '{"stamp": [1, 2, 3, 4, 5, 6.0]}',
        '{"stamp": "123456"}',
        '{"earlier": 1}',
    )
]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version": 2, "paths": {}}',
        '{"version": 1, "paths": []}',
        '{"version": 1, "paths": {"g": {}}}',
        '{"version": 1, "paths": {"/g": {"a": {}}}}',
        '{"version": 1, "paths": {"/g": {"/../a": {}}}}',
        "[" * 100_000,
        "1" * 5000,
        "\ud800",
        *ITEMS,
    ],
)
def test_a_damaged_record_is_said_and_made_anew(record: Path, text: str) -> None:
    save(record, PLACED)
    record.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SecretsmithError) as caught:
        load(record)
    assert (caught.value.code, caught.value.path) == (Code.STATE, str(record))
    save(record, PLACED)
    assert load(record) == PLACED


@pytest.mark.parametrize("kind", ["fifo", "link", "large"])
def test_what_is_no_record(record: Path, tmp_path: Path, kind: str) -> None:
    save(record, PLACED)
    (tmp_path / "victim").write_text("precious")
    record.unlink()
    if kind == "fifo":
        os.mkfifo(record)
    elif kind == "link":
        record.symlink_to(tmp_path / "victim")
    else:
        with record.open("wb") as file:
            file.truncate(100 * 1024 * 1024)
    with pytest.raises(SecretsmithError) as caught:
        load(record)
    assert caught.value.code is Code.STATE
    save(record, PLACED)
    assert load(record) == PLACED
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o720])
def test_a_record_that_others_could_forge(record: Path, mode: int) -> None:
    save(record, PLACED)
    record.parent.chmod(mode)
    for act in (lambda: load(record), lambda: save(record, {})):
        with pytest.raises(SecretsmithError) as caught:
            act()
        assert caught.value.code is Code.PATH_UNSAFE


@pytest.mark.usefixtures("as_root")
def test_a_record_of_somebody_else(record: Path) -> None:
    save(record, PLACED)
    os.chown(record.parent, 1, 1)
    with pytest.raises(SecretsmithError) as caught:
        load(record)
    assert caught.value.code is Code.PATH_UNSAFE


@pytest.mark.parametrize("call", ["open", "write", "fchmod", "fsync", "rename"])
def test_a_failing_write_leaves_the_old_record(
    record: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(record, {"/etc/b": COPY})
    real = getattr(os, call)

    def fail(*given: object, **named: object) -> object:
        if call == "open" and given[0] != ".paths.json.secretsmith-tmp":
            return real(*given, **named)
        raise OSError(28, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(SecretsmithError) as caught:
            save(record, PLACED)
    assert caught.value.code is Code.NOSPC
    assert load(record) == {"/etc/b": COPY}
    assert os.listdir(record.parent) == ["paths.json"]


def test_phases_that_save_at_once_lose_nothing(record: Path) -> None:
    def write(phase: int) -> None:
        for number in range(20):
            save(record, {f"/etc/{number}": COPY}, f"/run/{phase}.d")

    threads = [threading.Thread(target=write, args=(phase,)) for phase in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [load(record, f"/run/{phase}.d") for phase in range(4)] == [{"/etc/19": COPY}] * 4


def test_a_record_that_somebody_holds(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(record, PLACED)
    monkeypatch.setattr("secretsmith.activation.places.placed._WAIT", 0.05)
    holder = os.open(record.parent, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert load(record) == PLACED, "reading waits for nobody"
        with pytest.raises(SecretsmithError) as caught:
            save(record, {})
        assert caught.value.code is Code.LOCKED
    finally:
        os.close(holder)
    save(record, {})


def test_half_a_record_of_a_killed_run_goes(record: Path) -> None:
    save(record, PLACED)
    (record.parent / ".paths.json.secretsmith-tmp").write_text("half")
    save(record, PLACED)
    assert os.listdir(record.parent) == ["paths.json"]
