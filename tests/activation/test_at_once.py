"""Eight activations at once, over and over, and readers that poll: never a missing file, never one of another manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pollers
import pytest
from hosts import IS_ROOT, Host, environment
from pollers import reads_so_far

AT_ONCE = 8
OPTIONS = ("--units", "none", *(() if IS_ROOT else ("--plain-folder", "--owner-self")))


def command(host: Host, number: int) -> list[str]:
    """An activation whose manifest differs from all others in every value, and from its neighbours in owners and modes."""
    uid = number % 3 + 1 if IS_ROOT else None
    mode = ("400", "440", "600")[number % 3]
    value = f"{number} {os.getuid() if uid is None else uid} {mode}"
    more = {"owner": str(uid or 0), "group": "1" if IS_ROOT else "0", "mode": f"0{mode}"}
    host.manifest["secrets"] = []
    for name, fields in (
        ("a", {}),
        ("deep/b", {"path": str(host.folder / "etc" / "link")}),
        ("copy", {"path": str(host.folder / "etc" / "copy"), "method": "copy", "plaintext_on_disk": True}),
    ):
        host.add(name, value.encode(), **more, **fields)
        kept = host.folder / f"{number}-{name.replace('/', '_')}.age"
        Path(host.manifest["secrets"][-1]["source"]).rename(kept)
        host.manifest["secrets"][-1] |= {"source": str(kept), "id": name}
    host.manifest["templates"] = [
        {"name": "both", "content": "@a@", **more, "placeholders": {"@a@": {"secret": "a"}}}
    ]
    words = host.command(*OPTIONS, "--wait", "60")
    words[-1] = str(host.folder / f"manifest-{number}.json")
    (host.folder / "manifest.json").rename(words[-1])
    return words


@contextmanager
def polling(host: Host, count: int) -> Iterator[list[Path]]:
    """Readers in processes of their own; what they found wrong fails the test in the end."""
    counters = [host.folder / f"counter-{number}" for number in range(count)]
    running = [
        subprocess.Popen(
            [
                sys.executable,
                pollers.__file__,
                str(host.directory),
                str(host.folder / "etc" / "copy"),
                counter,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for counter in map(str, counters)
    ]
    try:
        yield counters
    finally:
        ended = [json.loads(process.communicate("", timeout=60)[0]) for process in running]
    for found in ended:
        assert found["wrong"] == []
        assert found["reads"] > 0


@pytest.mark.parametrize(
    ("rounds", "reads"), [(1, 2_000), pytest.param(8, 100_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_readers_meet_one_whole_world(host: Host, rounds: int, reads: int) -> None:
    first = subprocess.run(command(host, 0), env=environment(), capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    seen = set()
    with polling(host, 2) as counters:
        turn = 0
        while turn < rounds or sum(map(reads_so_far, counters)) < reads:
            numbers = range(turn * AT_ONCE + 1, (turn + 1) * AT_ONCE + 1)
            running = [
                subprocess.Popen(
                    words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
                for words in [command(host, number) for number in numbers]
            ]
            ended = [(process.communicate(timeout=120), process.returncode) for process in running]
            assert [code for _, code in ended] == [0] * AT_ONCE, ended
            live = {int(value.split()[0]) for value in host.installed().values()}
            assert len(live) == 1
            assert live < {*numbers}
            seen |= live
            turn += 1
    assert len(seen) == turn
    assert sorted(path.name for path in (host.folder / "etc").iterdir()) == ["copy", "link"]
    numbers_left = {path.name for path in host.generations.iterdir()} - {"state.json"}
    assert numbers_left == {str(turn * AT_ONCE), str(turn * AT_ONCE + 1)}, "all of them were activated"
