from __future__ import annotations

import os
from pathlib import Path

import pytest

from secretsmith.store.accepted import AcceptedKeys

ONE, TWO, THREE = "SHA256:one", "SHA256:two", "SHA256:three"


def test_what_is_accepted_stays(tmp_path: Path) -> None:
    keys = AcceptedKeys.load(tmp_path)
    assert not keys.contains(ONE)
    keys.add(ONE, TWO)
    assert ONE in keys and not AcceptedKeys.load(tmp_path).contains(ONE)
    keys.save()
    again = AcceptedKeys.load(tmp_path)
    assert again.contains(ONE) and again.contains(TWO) and not again.contains(THREE)
    assert (tmp_path / "accepted.json").stat().st_mode & 0o777 == 0o600


def test_two_runs_lose_nothing(tmp_path: Path) -> None:
    first, second = AcceptedKeys.load(tmp_path), AcceptedKeys.load(tmp_path)
    first.add(ONE)
    second.add(TWO)
    first.save()
    second.save()
    again = AcceptedKeys.load(tmp_path)
    assert ONE in again and TWO in again


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    AcceptedKeys.load(tmp_path).save()
    assert os.listdir(tmp_path) == []
    keys = AcceptedKeys.load(tmp_path)
    keys.add(ONE)
    keys.save()
    before = (tmp_path / "accepted.json").stat().st_ino
    keys.add(ONE)
    keys.save()
    assert (tmp_path / "accepted.json").stat().st_ino == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"SHA256:one": 1}', b'"SHA256:one"', b"[1, null]", b"\xff", b"[" * 99_999]
)
def test_a_damaged_list_accepts_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "accepted.json").write_bytes(content)
    keys = AcceptedKeys.load(tmp_path)
    assert ONE not in keys
    keys.add(ONE)
    keys.save()
    assert ONE in AcceptedKeys.load(tmp_path)
