"""The commands that write, killed and failing at every system call that writes: files stay whole, the next command heals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import keys
import pytest
from injection import CALLS, Point, points_of, sample, traced
from repositories import Fleet

from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.operations.check import check
from secretsmith.operations.rekey import plan_rekey
from secretsmith.operations.show import show_secret
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy import edit
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import is_temp_name

OLD, NEW = b"old-canary-5c1e", b"new-canary-77aa"
DB, MOVED = "secrets/web/db.age", "secrets/mail/db.age"
MANY = tuple(f"secrets/web/many/{number:02}.age" for number in range(20))
FRESH = keys.ed25519_key("root@web1")


@dataclass(frozen=True)
class Case:
    """A command; ``done`` says of a repository whether it has taken place, ``again`` are exit codes of doing it once more."""

    name: str
    argv: tuple[str, ...]
    done: Callable[[Fleet], bool]
    stdin: bytes = b""
    many: bool = False
    prepare: Callable[[Fleet], None] = lambda fleet: None
    variables: dict[str, str] = field(default_factory=dict)
    again: tuple[int, ...] = (0,)


def holds_new(path: str) -> Callable[[Fleet], bool]:
    return lambda fleet: (fleet.root / path).exists() and value(fleet, path) == NEW


def grant_web2(fleet: Fleet) -> None:
    fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["web2"]))


CASES = (
    Case("set-old", ("set", DB), holds_new(DB), NEW),
    Case("set-new", ("set", "web/fresh/one"), holds_new("secrets/web/fresh/one.age"), NEW),
    Case("edit", ("edit", DB), holds_new(DB), variables={"EDITOR": "editor"}),
    Case(
        "rekey",
        ("rekey",),
        lambda fleet: not plan_rekey(fleet.project()),
        many=True,
        prepare=grant_web2,
    ),
    Case(
        "reprovision",
        ("host", "reprovision", "web1", "--key", FRESH.public, "--yes", "--rekey"),
        lambda fleet: FRESH.public in fleet.registry and not plan_rekey(fleet.project()),
        many=True,
    ),
    Case(
        "mv",
        ("mv", DB, MOVED, "--rekey"),
        lambda fleet: (fleet.root / MOVED).exists() and not (fleet.root / DB).exists(),
        again=(0, 4),
    ),
)


def attention(fleet: Fleet) -> list[Finding]:
    """What check finds that is more than a remark, such as the rule here that names no file."""
    return [found for found in check(fleet.project()) if found.severity != "info"]


def value(fleet: Fleet, path: str) -> bytes:
    return show_secret(fleet.project(), path).expose()


def runtime(fleet: Fleet) -> Path:
    return fleet.folder / "runtime"


def at(folder: Path, fleet: Fleet) -> Fleet:
    """Return ``fleet`` as it is after its folder was copied to ``folder``."""
    moved = Fleet.__new__(Fleet)
    moved.folder, moved.public = folder, fleet.public
    moved.root, moved.home, moved.private = folder / "fleet", folder / "home", folder / "private"
    moved.environ = {
        **fleet.environ,
        "HOME": str(moved.home),
        "XDG_RUNTIME_DIR": str(runtime(moved)),
        "TMPDIR": str(folder / "tmp"),
        "PATH": f"{folder}:{fleet.environ['PATH']}",
    }
    return moved


def plant(folder: Path, case: Case) -> Fleet:
    """Make the repository that ``case`` starts from: in git, two admins, every value stored by the program's own code."""
    made = Fleet(folder)
    for name in ("runtime", "tmp"):
        (folder / name).mkdir(mode=0o700)
    editor = folder / "editor"
    editor.write_text(f'#!/bin/sh\nprintf %s {NEW.decode()} > "$1"\n')
    editor.chmod(0o755)
    shutil.rmtree(made.root / ".secretsmith")
    subprocess.run(["git", "init", "-q", str(made.root)], check=True)
    made.change_registry(
        lambda text: (
            text.replace("[users.bob]\n", "[users.bob]\nadmin = true\n")
            + '\n[[rules]]\npath = "secrets/mail/**"\nreaders = ["web2"]\n'
        )
    )
    subprocess.run(["git", "-C", str(made.root), "add", "secretsmith.toml"], check=True)
    made.accept_all()
    for path in (DB, *(MANY if case.many else ())):
        project = made.project()
        store_value(project, prepare_write(project, path), Sensitive(OLD))
    case.prepare(made)
    return at(folder, made)


def run(strace: str, case: Case, fleet: Fleet, *options: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "secretsmith", *case.argv]
    environ = {**fleet.environ, **case.variables}
    return traced(strace, options, argv, cwd=fleet.root, environ=environ, stdin=case.stdin)


def undisturbed(case: Case, fleet: Fleet) -> subprocess.CompletedProcess[bytes]:
    """Run ``case`` undisturbed."""
    return subprocess.run(
        [sys.executable, "-m", "secretsmith", *case.argv],
        input=case.stdin,
        capture_output=True,
        cwd=fleet.root,
        env={**fleet.environ, **case.variables},
        start_new_session=True,
        timeout=120,
        check=False,
    )


def canaries(fleet: Fleet) -> list[str]:
    """Return the files, but those of the runtime folder (which is in memory), that hold a value."""
    return [
        str(path)
        for path in fleet.folder.rglob("*")
        if path.is_file()
        and runtime(fleet) not in path.parents
        and path.name != "editor"
        and any(canary in path.read_bytes() for canary in (OLD, NEW))
    ]


def temps(fleet: Fleet) -> list[str]:
    # The stat index is a cache that reading commands write without the lock: a half-written one goes after an hour.
    return [
        str(path)
        for path in fleet.root.rglob(".*")
        if is_temp_name(path.name) and not path.name.startswith(".index.json.")
    ]


def broken(fleet: Fleet) -> Iterator[str]:
    """Yield what is neither old nor new, right after the accident."""
    fleet.project()  # registry and lock parse
    for path in (fleet.root / "secrets").rglob("*.age"):
        name = str(path.relative_to(fleet.root))
        if not is_temp_name(path.name) and value(fleet, name) not in (OLD, NEW):
            yield name
    yield from canaries(fleet)


def unhealed(case: Case, fleet: Fleet) -> Iterator[str]:
    """Let some other command write, then do ``case`` again, and yield what is not as it has to be."""
    for kept in fleet.root.rglob("*.rej*.age"):
        # What edit keeps of the typed text when it could not store it; whoever typed it removes it.
        if value(fleet, str(kept.relative_to(fleet.root))) != NEW:
            yield "the kept text is not what was typed"
        kept.unlink()
    project = fleet.project()
    store_value(project, prepare_write(project, "secrets/web/other.age"), Sensitive(OLD))
    if left := temps(fleet):
        yield f"temporary files: {left}"
    secrets = fleet.project().lock.files
    # Moved is one file, in one place or in the other.
    if case.name == "mv" and (DB in secrets) == (MOVED in secrets):
        yield "in both places, or in none"
    findings = [found for found in attention(fleet) if found.code not in (Code.DRIFT, Code.FORMER_KEY)]
    if findings:
        yield f"check: {[(found.code, found.path) for found in findings]}"
    if not case.done(fleet):
        again = undisturbed(case, fleet)
        if again.returncode not in case.again:
            yield f"again: {again.returncode} {again.stderr.decode()}"
    if not case.done(fleet):
        yield "not done by doing it again"
    if findings := attention(fleet):
        yield f"check at the end: {[(found.code, found.path) for found in findings]}"
    if case.name == "edit":
        undisturbed(case, fleet)
        if any(runtime(fleet).iterdir()):
            yield "plaintext stays in memory after the next edit"


@pytest.fixture(scope="module")
def strace() -> str:
    program = shutil.which("strace")
    if program is None:
        if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
            pytest.fail("the peer strace is required and missing")
        pytest.skip("the peer strace is not installed")
    if subprocess.run([program, "-qq", "-e", "trace=none", "true"], check=False).returncode != 0:
        pytest.skip("ptrace is forbidden here")
    return program


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory when there is one: thousands of real fsyncs prove nothing more and take their time."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)
    with tempfile.TemporaryDirectory(dir=base, prefix="faults-test-") as folder:
        yield Path(folder)


def each(
    case: Case, strace: str, ground: Path, most: int | None, judge: Callable[[Point, Fleet], Iterator[str]]
) -> list[str]:
    """Judge points of ``case``, each in a repository of its own; return what is wrong."""
    whole = plant(ground / "whole", case)
    shutil.copytree(whole.folder, ground / "trial", symlinks=True)
    trial = at(ground / "trial", whole)
    log = ground / "trace"
    done = run(strace, case, trial, "-e", f"trace={CALLS}", "-o", str(log))
    assert done.returncode == 0, done.stderr.decode()
    assert case.done(trial)
    points = points_of(log, trial.folder)
    assert len(points) > 20 and {"fsync", "openat"} <= {point.call for point in points}, points

    def one(point: Point) -> list[str]:
        folder = ground / f"{point.call}-{point.number}"
        shutil.copytree(whole.folder, folder, symlinks=True)
        wrong = [f"{point}: {what}" for what in judge(point, at(folder, whole))]
        shutil.rmtree(folder)
        return wrong

    with ThreadPoolExecutor(2) as pool:
        chosen = points if most is None else sample(points, most)
        return [what for found in pool.map(one, chosen) for what in found]


# Each run takes other points, so that a few runs meet all of them; EVERY_POINT=1 takes them all at once, and long.
MANY_POINTS = None if os.environ.get("EVERY_POINT") else 36
MOST = pytest.mark.parametrize("most", [6, pytest.param(MANY_POINTS, marks=pytest.mark.slow, id="many")])
BY_NAME = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@MOST
@BY_NAME
def test_killed(case: Case, most: int | None, strace: str, ground: Path) -> None:
    ends: Counter[bool] = Counter()

    def judge(point: Point, fleet: Fleet) -> Iterator[str]:
        code = run(strace, case, fleet, *point.killing()).returncode
        ends[code in (-signal.SIGKILL, 128 + signal.SIGKILL)] += 1
        yield from broken(fleet)
        yield from unhealed(case, fleet)

    assert each(case, strace, ground, most, judge) == []
    # Git, when it is met instead, dies alone.
    assert ends[True] >= ends[False]


@MOST
@BY_NAME
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_failing(case: Case, error: str, most: int | None, strace: str, ground: Path) -> None:
    def judge(point: Point, fleet: Fleet) -> Iterator[str]:
        done = run(strace, case, fleet, *point.failing(error))
        said = done.stderr.decode()
        if done.returncode not in (0, 1) or "Traceback" in said or "internal error" in said:
            yield f"{done.returncode} {said}"
        if any(canary.decode() in said for canary in (OLD, NEW)):
            yield "a value in a message"
        yield from broken(fleet)
        if done.returncode == 0 and not case.done(fleet):
            yield f"said done, and was not: {said}"
        if done.returncode == 1 and said and "hint:" not in said and "finishes it" not in said:
            yield f"no next command: {said}"
        yield from unhealed(case, fleet)

    assert each(case, strace, ground, None if most is None else most // 3, judge) == []
