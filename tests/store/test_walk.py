from __future__ import annotations

import os
from pathlib import Path

import pytest

from secretsmith.errors import Code, RefusedInput
from secretsmith.store.walk import list_secret_files


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")


def test_regular_files_in_order(tmp_path: Path) -> None:
    make(
        tmp_path,
        "secrets/b.age",
        "secrets/a/z.age",
        "secrets/a/b/c.yaml",
        "secrets/.hidden.age",
        "other/x.age",
    )
    assert list(list_secret_files(tmp_path, "secrets")) == [
        "secrets/.hidden.age",
        "secrets/b.age",
        "secrets/a/z.age",
        "secrets/a/b/c.yaml",
    ]
    assert len(list(list_secret_files(tmp_path, "."))) == 5


def test_what_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path,
        "s/ok.age",
        "s/README",
        "s/README.txt",
        "s/notes.md",
        "s/key.pub",
        "s/.gitignore",
        "s/.gitkeep",
    )
    make(tmp_path, "s/.git/config", "s/.ok.age.ss0123456789ab", "s/esc\x1b[2J.age", "s/line\nbreak.age")
    (tmp_path / "s" / os.fsdecode(b"raw\xff.age")).write_text("x")
    os.mkfifo(tmp_path / "s/fifo.age")
    (tmp_path / "s/link.age").symlink_to("ok.age")
    (tmp_path / "s/loop").symlink_to(".")
    (tmp_path / "s/away").symlink_to("/etc")
    assert list(list_secret_files(tmp_path, "s")) == ["s/ok.age"]


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert list(list_secret_files(tmp_path, "secrets")) == []


def test_the_folder_itself_must_lie_inside(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to("/etc")
    for folder, code in {"away": Code.SYMLINK, "../x": Code.NAME, "/etc": Code.NAME}.items():
        with pytest.raises(RefusedInput) as caught:
            list(list_secret_files(tmp_path, folder))
        assert caught.value.code is code
