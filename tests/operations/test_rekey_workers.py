"""A rekey of many files with workers: counted, killed and interrupted; nothing is lost, and no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keys
import pytest
from bigfleet import CLEAR, VALUE, BigFleet, make_big_fleet

from secretsmith.documents.format import Format, format_of
from secretsmith.operations.rekey import plan_rekey
from secretsmith.operations.show import show_secret
from secretsmith.policy import edit

ROOT = Path(__file__).resolve().parents[2]
FILES = 120
LATE = keys.ed25519_key("root@late")

# Counts in the first process alone. CORES is how many there seem to be, CHILD what a worker does before it seals an age file.
PROGRAM = """\
import json, os, signal, sys, time
from collections import Counter

counted = Counter()
def count(place, name):
    original = getattr(place, name)
    def counting(*words, **more):
        counted[name] += 1
        return original(*words, **more)
    setattr(place, name, counting)

os.sched_getaffinity = lambda _: set(range(int(os.environ["CORES"])))
from secretsmith.crypto import agefile, reader
count(os, "fork")
count(reader, "open_payload")
parent, original = os.getpid(), agefile.seal_age
def seal_age(*words, **more):
    counted["seal_age"] += 1
    if os.getpid() != parent:
        exec(os.environ["CHILD"], {"os": os, "signal": signal, "time": time})
    return original(*words, **more)
agefile.seal_age = seal_age
from secretsmith.cli.door import main
code = main(["rekey", "--accept", "all"])
print(json.dumps({"exit": code, **counted}), file=sys.stderr)
raise SystemExit(code)
"""


@pytest.fixture
def many(tmp_path: Path) -> BigFleet:
    """Make 120 files, half of them documents, that all lack a reader."""
    made = make_big_fleet(tmp_path / "fleet", files=FILES, hosts=2, users=2, git=False)
    text = edit.add_host(made.fleet.registry, "late", [LATE.public])
    made.fleet.write_registry(edit.grant(text, ["secrets/**"], ["late"]))
    assert len(plan_rekey(made.fleet.project()).files) == FILES
    return made


def start(many: BigFleet, *, cores: int = 2, child: str = "") -> subprocess.Popen[bytes]:
    environ = {**many.fleet.environ, "PYTHONPATH": str(ROOT), "CORES": str(cores), "CHILD": child or "pass"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=many.fleet.root,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[bytes]) -> tuple[dict[str, Any], str]:
    """Give what was counted, and what was said."""
    said = process.communicate(timeout=120)[1].decode()
    assert "Traceback" not in said
    lines = said.splitlines()
    counted = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return counted, said


def wrong(many: BigFleet) -> Iterator[str]:
    """Name what does not hold what it held."""
    project = many.fleet.project()
    held = {Format.AGE: VALUE, **CLEAR}
    for path in (path for paths in many.folders.values() for path in paths):
        if show_secret(project, path).expose() != held[format_of(path)]:
            yield path


def alone(process: subprocess.Popen[bytes]) -> None:
    """Wait until no process of its session is left."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("a worker is left")


def test_workers_seal_and_the_first_process_writes(many: BigFleet) -> None:
    process = start(many)
    counted, said = finished(process)
    assert counted["exit"] == 0
    assert f"{FILES} files rekeyed" in said
    assert counted["fork"] == 2
    # The first file, with which a passphrase would be asked for, and nothing else.
    assert counted["open_payload"] == 1
    alone(process)
    assert list(wrong(many)) == []
    assert not plan_rekey(many.fleet.project())


def test_with_one_core_there_is_no_fork_and_the_same_comes_out(many: BigFleet) -> None:
    counted, said = finished(start(many, cores=1))
    assert counted["exit"] == 0
    assert f"{FILES} files rekeyed" in said
    assert "fork" not in counted
    assert counted["open_payload"] == FILES
    assert list(wrong(many)) == []
    assert not plan_rekey(many.fleet.project())


def test_a_killed_worker_is_an_error_and_no_file_changes(many: BigFleet) -> None:
    before = many.fleet.files()
    process = start(many, child="os.kill(os.getpid(), signal.SIGKILL)")
    counted, said = finished(process)
    assert counted["exit"] == 1
    assert "ended early (killed by signal 9); nothing was written" in said
    alone(process)
    assert many.fleet.files() == before
    assert finished(start(many))[0]["exit"] == 0
    assert list(wrong(many)) == []


def test_what_a_worker_cannot_do_is_done_here(many: BigFleet) -> None:
    counted, said = finished(start(many, child="raise MemoryError"))
    assert counted["exit"] == 0
    assert counted["open_payload"] > FILES // 4  # the age files, after all
    assert f"{FILES} files rekeyed" in said
    assert list(wrong(many)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_ends_its_workers_and_changes_nothing(many: BigFleet, number: int) -> None:
    before = many.fleet.files()
    process = start(
        many, child=f"os.write(2, b'here\\n'); time.sleep({600 if number == signal.SIGINT else 0.2})"
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"here\n"
    process.send_signal(number)  # to the first process alone: a terminal sends it to all
    process.communicate(timeout=60)
    assert process.returncode != 0
    alone(process)
    assert many.fleet.files() == before
    assert finished(start(many))[0]["exit"] == 0
