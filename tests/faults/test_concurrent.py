"""Eight writers at once, as processes of the real program: nothing that was said to be done is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from repositories import Fleet

from secretsmith.errors import Code, ExitCode
from secretsmith.operations.check import check
from secretsmith.operations.show import show_secret
from secretsmith.store.journal import records_exist

WRITERS, ROUNDS = 8, 12
SHARED = "secrets/web/shared.age"


def run(fleet: Fleet, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "secretsmith", *argv],
        input=stdin,
        capture_output=True,
        cwd=fleet.root,
        env=fleet.environ,
        start_new_session=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("rounds", [3, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_no_update_is_lost(tmp_path: Path, rounds: int, peer: Callable[[str], str]) -> None:
    fleet = Fleet(tmp_path)
    subprocess.run([peer("git"), "init", "-q", str(fleet.root)], check=True)
    subprocess.run(["git", "-C", str(fleet.root), "add", "secretsmith.toml"], check=True)
    fleet.accept_all()
    fleet.set(SHARED, b"first")
    mine: dict[str, bytes] = {}
    granted: set[str] = set()
    shared = {b"first"}
    codes: list[int] = []

    def until_done(*argv: str, stdin: bytes = b"") -> None:
        """Run again as long as another writer holds the repository, which is an answer and no loss."""
        while True:
            done = run(fleet, *argv, stdin=stdin)
            assert b"Traceback" not in done.stderr
            if done.returncode != ExitCode.CONFLICT or Code.LOCKED not in done.stderr.decode():
                assert done.returncode == 0, (argv, done.stderr.decode())
                return

    def writer(number: int) -> None:
        for turn in range(rounds):
            path, value = f"secrets/web/{number}/{turn % 4}.age", f"{number}/{turn}".encode()
            until_done("set", path, stdin=value)
            mine[path] = value
            done = run(fleet, "set", SHARED, stdin=value)
            codes.append(done.returncode)
            if done.returncode == 0:
                shared.add(value)
            if turn % 4 == 0:
                pattern = f"secrets/of/{number}/{turn}/**"
                until_done("grant", pattern, "--to", "web2", "--no-rekey")
                granted.add(pattern)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(writer, range(WRITERS)))

    project = fleet.project()
    assert {path: show_secret(project, path).expose() for path in mine} == mine
    assert show_secret(project, SHARED).expose() in shared
    assert {*codes} <= {ExitCode.OK, ExitCode.CONFLICT} and ExitCode.OK in codes
    assert {*project.lock.files} == {*mine, SHARED}
    assert all(project.entry_for(path) for path in project.lock.files)
    assert granted <= {rule.pattern for rule in project.registry.rules}
    # The rules that were granted here name no files.
    assert {found.code for found in check(project, deep=True)} <= {Code.SINGLE_ADMIN, Code.UNUSED_RULE}
    assert not records_exist(project.state)
