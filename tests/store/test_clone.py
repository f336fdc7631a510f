from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from secretsmith.errors import Code, RefusedInput
from secretsmith.store.clone import git_folder, state_dir

Peer = Callable[[str], str]


def git(program: str, folder: Path, *arguments: str) -> None:
    subprocess.run([program, "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(peer: Peer, tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(peer("git"), root, "init", "-q")
    (root / "f").write_text("x")
    git(peer("git"), root, "add", "f")
    git(peer("git"), root, "commit", "-qm", "first")
    return root


def test_inside_git(repository: Path) -> None:
    state = state_dir(repository)
    assert state == repository / ".git" / "secretsmith"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert state_dir(repository) == state
    assert sorted(os.listdir(repository)) == [".git", "f"]


def test_a_linked_work_tree_has_its_own(repository: Path, peer: Peer, tmp_path: Path) -> None:
    git(peer("git"), repository, "worktree", "add", "-q", str(tmp_path / "second"))
    state = state_dir(tmp_path / "second")
    assert state == repository / ".git" / "worktrees" / "second" / "secretsmith"
    assert state.is_dir() and state != state_dir(repository)


def test_a_submodule(repository: Path, peer: Peer, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(peer("git"), outer, "init", "-q")
    git(
        peer("git"),
        outer,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "-q",
        "add",
        str(repository),
        "sub",
    )
    assert state_dir(outer / "sub").resolve() == (outer / ".git/modules/sub/secretsmith").resolve()


def test_a_registry_below_the_top_has_its_own(repository: Path) -> None:
    for name in ("one", "two/deep"):
        (repository / name).mkdir(parents=True)
    states = {state_dir(repository), state_dir(repository / "one"), state_dir(repository / "two/deep")}
    assert len(states) == 3
    assert all(state.is_relative_to(repository / ".git" / "secretsmith") for state in states)
    assert not (repository / "one" / ".secretsmith").exists()


def test_without_git(tmp_path: Path) -> None:
    state = state_dir(tmp_path)
    assert state == tmp_path / ".secretsmith"
    assert (state / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_what_looks_like_git_and_is_not(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()  # no HEAD
    assert git_folder(tmp_path) is None
    (tmp_path / ".git").rmdir()
    for text in (b"", b"gitdir: ", b"gitdir: nowhere\n", b"gitdir: a\0b", b"x" * 100_000):
        (tmp_path / ".git").write_bytes(text)
        assert git_folder(tmp_path) is None


def test_a_link_in_place_of_the_state_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".secretsmith").symlink_to("elsewhere")
    with pytest.raises(RefusedInput) as caught:
        state_dir(tmp_path)
    assert caught.value.code is Code.SYMLINK and os.listdir(tmp_path / "elsewhere") == []


def test_a_file_in_place_of_the_state_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".secretsmith").write_text("x")
    with pytest.raises(RefusedInput) as caught:
        state_dir(tmp_path)
    assert caught.value.code is Code.NOT_REGULAR


@pytest.mark.skipif(os.geteuid() != 0, reason="owners need root")
def test_a_git_folder_of_somebody_else_is_passed_over(tmp_path: Path) -> None:
    """Whoever owns it could write the list of accepted keys."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("x")
    root = tmp_path / "mine"
    root.mkdir()
    assert git_folder(root) is not None
    os.chown(tmp_path / ".git", 1234, 1234)
    assert git_folder(root) is None
    os.chown(root, 1234, 1234)
    assert git_folder(root) is not None, "root in a repository of one user"
