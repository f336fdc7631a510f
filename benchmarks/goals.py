"""What must be reached, as ratios in one run: the one table that the printed table, the JSON and the page are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.cases import activation, readerkeys, reading, rekeying
from benchmarks.cases.model import Line


class Kind(Enum):
    """What a limit is a limit of."""

    FASTER = "at least: the peer's time divided by ours"
    WITHIN = "at most: our time divided by the peer's"
    SECONDS = "at most: our time"
    EXPONENT = "at most: of the growth"


@dataclass(frozen=True)
class Goal:
    """One limit, and the words for it."""

    kind: Kind
    limit: float

    def __str__(self) -> str:
        return {
            Kind.FASTER: f"≥ {self.limit:g}×",
            Kind.WITHIN: f"≤ {self.limit:g}×",
            Kind.SECONDS: f"≤ {self.limit:g} s",
            Kind.EXPONENT: f"≤ {self.limit:g}",
        }[self.kind]


def _faster(limit: float) -> Goal:
    return Goal(Kind.FASTER, limit)


def _within(limit: float) -> Goal:
    return Goal(Kind.WITHIN, limit)


_LINEAR: Final = Goal(Kind.EXPONENT, 1.1)
_ON_PAR: Final = _within(1.1)
_GROWTH: Final = "growth, 100 to 10,000"

GOALS: Final[Mapping[Line, Goal]] = {
    Line("show", "5 readers", reading.PYTHON): _within(5),
    Line("show", "100 readers", reading.PYTHON): _within(5),
    Line("document", "10 values", reading.SOPS): _within(4),
    Line("document", "1,000 values", reading.SOPS): _ON_PAR,
    Line("document", "10,000 values", reading.SOPS): _faster(3),
    Line("ls", "1,000 secrets", reading.PYTHON): _within(8),
    Line("ls", _GROWTH): _LINEAR,
    Line("check", "1,000 secrets", reading.PYTHON): _within(8),
    Line("check", _GROWTH): _LINEAR,
    Line("activate", "100 secrets, 5 readers", activation.PEER): _faster(15),
    Line("activate", "1,000 secrets, 5 readers", activation.PEER): _faster(40),
    Line("activate", _GROWTH): _LINEAR,
    Line("again", "100 secrets", activation.PEER): _faster(30),
    Line("again", _GROWTH): _LINEAR,
    Line("rekey", "1,000 files, one core", rekeying.PEER): _faster(30),
    Line("rekey", "1,000 files", rekeying.PEER): _faster(50),
    Line("rekey", _GROWTH): _LINEAR,
    Line("rekey-nothing", "10,000 files", rekeying.PEER): Goal(Kind.SECONDS, 0.4),
    Line("rekey-nothing", _GROWTH): _LINEAR,
    Line("sops-add", "1,000 documents", readerkeys.ONE_PROCESS): _faster(4),
    Line("sops-add", "1,000 documents", readerkeys.ONE_A_FILE): _faster(25),
    Line("sops-replace", "1,000 documents", readerkeys.BOTH): _faster(15),
}

__all__ = ["GOALS", "Goal", "Kind"]
