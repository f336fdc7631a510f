from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from secretsmith.errors import Code, SecretsmithError
from secretsmith.store.git import add, ignored, in_git, intent_to_add, tracked

Peer = Callable[[str], str]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")


@pytest.fixture
def root(peer: Peer, tmp_path: Path) -> Path:
    peer("git")
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q")
    return root


def test_intent_to_add(root: Path) -> None:
    make(root, "s/a.age", "s/b.age", "other")
    assert intent_to_add(root, ["s/a.age", "s/a.age"]) == ()
    assert tracked(root) == {"s/a.age"}
    assert git(root, "status", "--porcelain", "-uall") == " A s/a.age\n?? other\n?? s/b.age\n"
    assert add(root, ["s/b.age"]) == ()
    assert git(root, "status", "--porcelain", "s/b.age") == "A  s/b.age\n"
    assert tracked(root, ["s/b.age"]) == {"s/b.age"}


def test_names_are_taken_literally(root: Path) -> None:
    names = ["*.age", "-n", ":(top)x", "sp ace", "ü.age", "[ab].age", 'q"uote']
    make(root, *names, "plain.age", "a.age")
    assert intent_to_add(root, names) == ()
    assert tracked(root) == set(names)


def test_ignored_files_are_told_and_the_rest_is_added(root: Path) -> None:
    (root / ".gitignore").write_text("*.age\nbuild/\n")
    make(root, "a.age", "b.txt", "build/c", "old.age")
    git(root, "add", "-f", "old.age")
    assert ignored(root, ["a.age", "b.txt", "build/c", "old.age"]) == {"a.age", "build/c"}
    assert intent_to_add(root, ["a.age", "b.txt", "build/c"]) == ("a.age", "build/c")
    assert tracked(root) == {"old.age", "b.txt"}
    assert intent_to_add(root, ["a.age"]) == ("a.age",)


def test_many_files_at_once(root: Path) -> None:
    names = [f"secrets/{'long' * 20}/{number}.age" for number in range(1500)]
    make(root, *names)
    assert intent_to_add(root, names) == ()
    assert len(tracked(root)) == 1500


def test_work_trees_and_folders_below(root: Path, tmp_path: Path) -> None:
    make(root, "f")
    git(root, "add", "f")
    git(root, "commit", "-qm", "first")
    git(root, "worktree", "add", "-q", str(tmp_path / "second"))
    make(tmp_path / "second", "new")
    assert in_git(tmp_path / "second")
    assert intent_to_add(tmp_path / "second", ["new"]) == ()
    assert tracked(tmp_path / "second") == {"f", "new"} and tracked(root) == {"f"}
    make(root, "sub/x")
    assert in_git(root / "sub")
    assert intent_to_add(root / "sub", ["x"]) == ()
    assert tracked(root / "sub") == {"x"}


def test_inside_a_hook_of_another_repository(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git sets these for hooks; ours must work on our own repository all the same."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    make(root, "a.age")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert intent_to_add(root, ["a.age"]) == ()
    assert tracked(root) == {"a.age"}
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert tracked(other) == frozenset()


def test_no_program_of_the_repository_runs(root: Path, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch '{proof}'\n")
    script.chmod(0o755)
    git(root, "config", "core.fsmonitor", str(script))
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-index-change").symlink_to(script)
    git(root, "config", "core.hooksPath", str(hooks))
    make(root, "a.age")
    # a plain git runs them: without this the test would prove nothing
    git(root, "status")
    assert proof.exists()
    proof.unlink()
    intent_to_add(root, ["a.age"])
    tracked(root)
    ignored(root, ["a.age"])
    assert not proof.exists()


def test_outside_of_git(tmp_path: Path, peer: Peer) -> None:
    peer("git")
    assert not in_git(tmp_path)
    with pytest.raises(SecretsmithError) as caught:
        tracked(tmp_path)
    assert caught.value.code is Code.ERROR and "not a git repository" in caught.value.message
    assert "\n" not in caught.value.message


def test_git_is_busy(root: Path) -> None:
    make(root, "a.age")
    (root / ".git" / "index.lock").write_text("")
    with pytest.raises(SecretsmithError) as caught:
        intent_to_add(root, ["a.age"])
    assert "index.lock" in caught.value.message and "\n" not in caught.value.message
    assert caught.value.hints


def test_without_git_installed(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not in_git(root)
    with pytest.raises(SecretsmithError) as caught:
        tracked(root)
    assert "not installed" in caught.value.message


def test_the_store_starts_light() -> None:
    """Light commands import the store; what they do not need is not loaded."""
    checkout = str(Path(__file__).resolve().parents[2])
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import secretsmith.store.transaction, secretsmith.store.index, secretsmith.store.scratch, secretsmith.store.git\n"
        "import secretsmith.store.walk, secretsmith.store.accepted, secretsmith.store.clone\n"
        "heavy = {'subprocess', 'ctypes', 'hashlib', 'json', 'shutil', 'tempfile', 'dataclasses', 'random', 'logging'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, checkout],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
    )
    assert done.stdout == "[]\n"
