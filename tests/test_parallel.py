"""Forked workers: the same results in the same order, whatever happens to one of them, and none is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from secretsmith import parallel

ROOT = Path(__file__).resolve().parent.parent

# In a process of its own: pytest has threads, and a forked copy of it would be too much of a guest.
PROGRAM = """\
import json, os, signal, sys, time
from secretsmith.parallel import WorkerDied, forked
said = {}
parent = os.getpid()
%s
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    said["left"] = 0
print(json.dumps(said))
"""


def run(code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 1  # nobody printed what waited in a buffer twice
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_results_come_in_order_from_several_processes() -> None:
    found = run(
        "def work(n):\n"
        "    return f'{n} {os.getpid()} '.encode() + b'x' * (n % 7 * 40_000)\n"
        "made = list(forked(work, range(3, 103), 3))\n"
        "said['numbers'] = [int(data.split()[0]) for data in made]\n"
        "said['lengths'] = [data.count(b'x') for data in made]\n"
        "pids = {int(data.split()[1]) for data in made}\n"
        "said['workers'] = len(pids)\n"
        "said['here'] = parent in pids\n"
    )
    numbers = list(range(3, 103))
    assert found == {
        "numbers": numbers,
        "lengths": [number % 7 * 40_000 for number in numbers],
        "workers": 3,
        "here": False,
        "left": 0,
    }


def test_workers_share_no_randomness() -> None:
    """A generator that was seeded before the fork would give two files the same keys, or two values the same nonce."""
    found = run(
        "from pathlib import Path\n"
        "from secretsmith.crypto.agefile import encrypt_age, inspect_age\n"
        "from secretsmith.crypto.valuecipher import seal_value_text\n"
        "from secretsmith.sensitive import Sensitive\n"
        f"key = Path({str(ROOT / 'testkeys' / 'user_ed25519.pub')!r}).read_text().strip()\n"
        "def work(n):\n"
        "    return encrypt_age(Sensitive(b'x'), [key], armor=False)\n"
        "work(0)\n"
        "def seal(n):\n"
        "    return seal_value_text(b'x', 'str', Sensitive(bytes(32)), b'a:').encode()\n"
        "seal(0)\n"
        "said['values'] = len({*forked(seal, range(40), 2)})\n"
        "made = list(forked(work, range(40), 2))\n"
        "heads = [inspect_age(data)[0] for data in made]\n"
        "said['shares'] = len({head.stanzas[0].args[1] for head in heads})\n"
        "said['nonces'] = len({data[head.end:head.end + 16] for data, head in zip(made, heads)})\n"
    )
    assert found == {"values": 40, "shares": 40, "nonces": 40, "left": 0}


def test_what_a_worker_cannot_make_is_handed_back() -> None:
    found = run(
        "def work(n):\n"
        "    if n == 5: raise ValueError\n"
        "    if n == 6: raise SystemExit(3)\n"
        "    return None if n == 7 else b''\n"
        "said['made'] = [made is not None for made in forked(work, range(10), 2)]\n"
    )
    assert found == {"made": [number not in (5, 6, 7) for number in range(10)], "left": 0}


@pytest.mark.parametrize(
    ("end", "how"), [("os.kill(os.getpid(), 9)", "killed by signal 9"), ("os._exit(0)", "exit code 0")]
)
def test_a_dead_worker_is_an_error_of_what_it_was_at(end: str, how: str) -> None:
    found = run(
        "got = []\n"
        "def work(n):\n"
        f"    if n == 9: {end}\n"
        "    return b'%d' % n\n"
        "try:\n"
        "    for made in forked(work, range(40), 2): got.append(int(made))\n"
        "except WorkerDied as died:\n"
        "    said.update(got=got, number=died.number, how=died.how)\n"
    )
    assert found == {"got": list(range(9)), "number": 9, "how": how, "left": 0}


def test_who_stops_early_leaves_no_worker() -> None:
    found = run(
        "results = forked(lambda n: time.sleep(n) or b'x', range(1000), 2)\n"
        "said['first'] = next(results).decode()\n"
        "results.close()\n"
    )
    assert found == {"first": "x", "left": 0}


def test_a_worker_has_no_descriptor_and_no_handler_of_its_parent() -> None:
    found = run(
        "kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(9)]\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "def work(n):\n"
        "    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "    blocked = bool(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
        "    return json.dumps([default, blocked, len(os.listdir('/proc/self/fd'))]).encode()\n"
        "said['seen'] = [json.loads(made) for made in forked(work, range(2), 2)]\n"
    )
    # Its three streams, its pipe, and the folder that is being listed.
    assert found == {"seen": [[True, False, 5]] * 2, "left": 0}


def test_without_room_for_processes_all_is_handed_back() -> None:
    found = run(
        "calls = []\n"
        "original = os.fork\n"
        "def fork():\n"
        "    calls.append(1)\n"
        "    if len(calls) > 1: raise BlockingIOError\n"
        "    return original()\n"
        "os.fork = fork\n"
        "said['made'] = list(forked(lambda n: b'x', range(4), 2))\n"
    )
    assert found == {"made": [None] * 4, "left": 0}


def test_few_things_or_a_thread_or_one_core_make_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda _: ["1"])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert parallel.workers_for(parallel.FEWEST) == 2
    assert parallel.workers_for(parallel.FEWEST - 1) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert parallel.workers_for(1000) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert parallel.workers_for(1000) == 0
    monkeypatch.undo()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert parallel.workers_for(1000) == 0
    finally:
        stop.set()
        other.join()
