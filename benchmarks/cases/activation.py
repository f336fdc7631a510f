"""Secrets onto a host: ``secretsmith-activate`` and the script of agenix's module."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from benchmarks import agenix
from benchmarks.cases.model import Case, Setup, Trial
from benchmarks.fleet import Fleet
from benchmarks.measure import Command
from benchmarks.programs import ACTIVATE
from benchmarks.workshop import Workshop, value_of

PEER: Final = "agenix's module"
_NEEDS: Final = {PEER: ("age", "bash")}
_PEER_AT_MOST: Final = 100
"""agenix's script is linear, and slow: above 1,000 secrets and for what it does not do twice, so many are measured."""


class Place:
    """A folder that stands for /run, for one of the two programs."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet, self.base = fleet, fleet.folder / name
        self.base.mkdir(mode=0o755)

    def reset(self) -> None:
        """Make it as it is after a boot."""
        self.fleet.shop.unmount(self.base)
        shutil.rmtree(self.base)
        self.base.mkdir(mode=0o755)

    def require(self, count: int) -> None:
        """Raise AssertionError unless so many values are installed, the right ones."""
        for number in range(count):
            assert (self.base / f"run/{number}").read_bytes() == value_of(number)


def _ours(fleet: Fleet) -> Command:
    place = Place(fleet, "ours")
    content = {
        "version": 1,
        "host": "host0",
        "directory": str(place.base / "run"),
        "generations": str(place.base / "run.d"),
        "identities": [str(fleet.admin.native)],
        "secrets": [
            {"name": str(number), "source": str(fleet.root / path), "format": "age"}
            for number, path in enumerate(fleet.paths)
        ],
    }
    manifest = fleet.folder / "manifest.json"
    manifest.write_text(json.dumps(content))
    options = ["--status", str(place.base / "status.json"), "--paths", str(place.base / "paths.json")]
    if not fleet.shop.mounts:
        options += ["--plain-folder", "--owner-self"]
    return Command(
        [*ACTIVATE, *options, str(manifest)],
        fleet.shop.env,
        fleet.folder,
        reset=place.reset,
        check=lambda: place.require(len(fleet.paths)),
    )


def _agenix(fleet: Fleet, count: int) -> Command:
    place = Place(fleet, "agenix")
    owner = f"{os.geteuid()}:{os.getegid()}"
    secrets = {str(number): fleet.root / path for number, path in enumerate(fleet.paths[:count])}
    script = fleet.folder / "agenix.sh"
    script.write_text(
        agenix.activation(place.base, fleet.admin.native, secrets, mounts=fleet.shop.mounts, owner=owner)
    )
    return Command(
        ["bash", str(script)],
        fleet.shop.env,
        fleet.folder,
        reset=place.reset,
        check=lambda: place.require(count),
        share=count / len(fleet.paths),
    )


def _fresh(readers: int, at_most: int = 1000) -> Callable[[Workshop, int], Setup]:
    def prepare(shop: Workshop, n: int) -> Setup:
        fleet = Fleet(shop, n, readers)
        return Setup(_ours(fleet), {PEER: _agenix(fleet, min(n, at_most))})

    return prepare


def _again(shop: Workshop, n: int) -> Setup:
    """Each program once more in the place it has filled: the warm-up fills it."""
    fleet = Fleet(shop, n)
    peer = _agenix(fleet, min(n, _PEER_AT_MOST))
    return Setup(_stays(_ours(fleet)), {PEER: _stays(peer)})


def _stays(command: Command) -> Command:
    filled = False

    def reset() -> None:
        nonlocal filled
        if not filled:
            command.reset()
        filled = True

    return replace(command, reset=reset)


_FRESH = "{n} secrets, 5 readers"

ACTIVATION: Final = Case(
    "activate",
    "secretsmith-activate after a boot, every value installed",
    (
        *(Trial(_FRESH, n, _fresh(5), _NEEDS, grows=True) for n in (1, 10, 100, 1000)),
        Trial(_FRESH, 10_000, _fresh(5, _PEER_AT_MOST), _NEEDS, grows=True),
        *(
            Trial(f"{{n}} secrets, {readers} reader{'s' * (readers > 1)}", 100, _fresh(readers), _NEEDS)
            for readers in (1, 20, 100)
        ),
    ),
    growth="growth, 100 to 10,000",
)
AGAIN: Final = Case(
    "again",
    "secretsmith-activate once more, nothing changed",
    tuple(Trial("{n} secrets", n, _again, _NEEDS, grows=True) for n in (1, 10, 100, 1000, 10_000)),
    growth="growth, 100 to 10,000",
)

__all__ = ["ACTIVATION", "AGAIN", "PEER", "Place"]
