from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith.store.paths import missing_folders, opened_parent, relative, safe_relative


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "a\0b",
        "a\nb",
        "a\x1b[2Jb",
        "a\u202eb",
        "a\udcffb",
        ".git/hooks/pre-commit",
        "sub/.GIT/config",
        "n" * 256,
        "/".join(["d" * 200] * 30),
        "é" * 128,
    ],
)
def test_refused_by_its_characters(text: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        relative(text)
    assert caught.value.code is Code.NAME
    # the message goes to a terminal
    assert caught.value.message.isprintable() and len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", "a"),
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b/", "a/b"),
        ("...", "..."),
        ("a b/ü.age", "a b/ü.age"),
        ("n" * 255,) * 2,
    ],
)
def test_accepted(text: str, path: str) -> None:
    assert relative(text) == path


@given(st.text(max_size=40))
def test_what_is_accepted_stays_below_the_root(text: str) -> None:
    try:
        path = relative(text)
    except RefusedInput:
        return
    assert relative(path) == path
    joined = os.path.normpath(os.path.join("/root", path))
    assert joined.startswith("/root/") and joined == f"/root/{path}"


def test_a_link_on_the_way_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "inner").symlink_to("real")
    (root / "loop").symlink_to("loop")
    for path in ("link/x.age", "inner/x.age", "loop/x.age", "link/a/b/c"):
        with pytest.raises(RefusedInput) as caught:
            safe_relative(root, path)
        assert caught.value.code is Code.SYMLINK
    assert os.listdir(tmp_path / "outside") == []


def test_a_root_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert safe_relative(tmp_path / "link", "a/b") == "a/b"


def test_a_file_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(RefusedInput) as caught:
        safe_relative(tmp_path, "a/b")
    assert caught.value.code is Code.NAME_CLASH


def test_missing_folders_outermost_first(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert missing_folders(tmp_path, relative("a/b/c/d")) == ["a/b", "a/b/c"]
    assert missing_folders(tmp_path, relative("a/x")) == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with opened_parent(tmp_path, relative("a/b/c")):
            pass
        missing_folders(tmp_path, relative("a/b/c/d"))
        with pytest.raises(RefusedInput):
            safe_relative(tmp_path, "link/b/c")
    assert len(os.listdir("/proc/self/fd")) == before
