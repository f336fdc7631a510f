"""``lock --merge``: in place after a conflict, and as git's merge driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from locks import FINGERPRINTS, digest
from repositories import CHECKOUT

from secretsmith.errors import Code, Conflict, NotFound, SecretsmithError
from secretsmith.operations.lockmerge import merge_files, merge_in_place
from secretsmith.policy.lock import Debt, Lock, LockEntry, dump_lock, parse_lock

BASE = Lock().with_file("secrets/a.age", LockEntry(digest(0), (FINGERPRINTS[0],), "wrote"))
OURS = BASE.with_file("secrets/b.age", LockEntry(digest(1), (FINGERPRINTS[1],), "wrote"))
THEIRS = BASE.with_file("secrets/c.age", LockEntry(digest(2), (FINGERPRINTS[2],), "wrote")).with_debt(
    [Debt("secrets/a.age", None, "web1", "retired", "2026-01-02")]
)


@pytest.fixture
def git(peer: Callable[[str], str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    program = peer("git")
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    def run(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [program, "-C", tmp_path, *words], capture_output=True, env=environ, check=False
        )
        assert code is None or done.returncode == code, done.stderr
        return done

    run("init", "-q", "-b", "main")
    return run


def diverge(git: Callable[..., subprocess.CompletedProcess[bytes]], folder: Path) -> None:
    def commit(lock: Lock) -> None:
        (folder / "secretsmith.lock").write_text(dump_lock(lock))
        git("add", "-A")
        git("commit", "-q", "-m", "change")

    (folder / "secretsmith.toml").write_text("left for later\n")
    commit(BASE)
    git("checkout", "-q", "-b", "topic")
    commit(THEIRS)
    git("checkout", "-q", "main")
    commit(OURS)


def secretsmith(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "secretsmith", *words],
        cwd=folder,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr.decode()


def test_a_conflict_is_resolved_in_place_without_a_registry_that_parses(
    git: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    diverge(git, tmp_path)
    git("merge", "-q", "topic", code=1)
    said = secretsmith(tmp_path, "lock", "--merge")
    lock = parse_lock((tmp_path / "secretsmith.lock").read_text())
    assert (
        lock.files.keys() == {"secrets/a.age", "secrets/b.age", "secrets/c.age"} and lock.debt == THEIRS.debt
    )
    assert "git add secretsmith.lock" in said
    assert "nothing to resolve" in secretsmith(tmp_path, "lock", "--merge")


def test_as_a_merge_driver_git_needs_no_help(
    git: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    git("config", "merge.secretsmith-lock.driver", f"'{sys.executable}' -m secretsmith lock --merge %O %A %B")
    (tmp_path / ".gitattributes").write_text("secretsmith.lock merge=secretsmith-lock\n")
    diverge(git, tmp_path)
    git("merge", "-q", "--no-edit", "topic")
    lock = parse_lock((tmp_path / "secretsmith.lock").read_text())
    assert len(lock.files) == 3 and lock.debt == THEIRS.debt
    assert git("status", "--porcelain").stdout == b""


def test_the_driver_knows_that_an_empty_base_is_none(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("base", "ours", "theirs")]
    for path, text in zip(paths, ("", dump_lock(OURS), dump_lock(THEIRS)), strict=True):
        path.write_text(text)
    done = merge_files(*paths)
    assert parse_lock(paths[1].read_text()).files.keys() == {*OURS.files, *THEIRS.files}
    assert done.doubtful == () and paths[2].read_text() == dump_lock(THEIRS)


def test_files_that_both_changed_are_named(tmp_path: Path) -> None:
    changed = BASE.with_file("secrets/a.age", LockEntry(digest(8), (FINGERPRINTS[1],), "wrote"))
    other = BASE.with_file("secrets/a.age", LockEntry(digest(9), (FINGERPRINTS[2],), "wrote"))
    for name, lock in (("base", BASE), ("ours", changed), ("theirs", other)):
        (tmp_path / name).write_text(dump_lock(lock))
    assert "secrets/a.age" in secretsmith(tmp_path, "lock", "--merge", "base", "ours", "theirs")
    assert not parse_lock((tmp_path / "ours").read_text()).files["secrets/a.age"].recipients


@pytest.mark.parametrize("bad", ["ours", "theirs"])
def test_what_is_no_lock_leaves_ours_as_it_was(tmp_path: Path, bad: str) -> None:
    for name in ("base", "ours", "theirs"):
        (tmp_path / name).write_text("rubbish" if name == bad else dump_lock(BASE))
    before = (tmp_path / "ours").read_bytes()
    with pytest.raises(SecretsmithError) as caught:
        merge_files(tmp_path / "base", tmp_path / "ours", tmp_path / "theirs")
    assert caught.value.code is Code.LOCK_SCHEMA and (tmp_path / "ours").read_bytes() == before
    (tmp_path / bad).unlink()
    with pytest.raises(NotFound):
        merge_files(tmp_path / "base", tmp_path / "ours", tmp_path / "theirs")


def test_incomplete_markers_are_a_conflict_and_stay(tmp_path: Path) -> None:
    text = dump_lock(BASE).replace('"debt": [\n', '"debt": [\n<<<<<<< HEAD\n')
    (tmp_path / "secretsmith.lock").write_text(text)
    with pytest.raises(Conflict):
        merge_in_place(tmp_path)
    assert (tmp_path / "secretsmith.lock").read_text() == text


def test_wrong_usage_is_refused(tmp_path: Path) -> None:
    assert "lock --merge" in secretsmith(tmp_path, "lock", code=2)
    assert "%O %A %B" in secretsmith(tmp_path, "lock", "--merge", "one", "two", code=2)
    assert "no repository" in secretsmith(tmp_path, "lock", "--merge", code=4)
