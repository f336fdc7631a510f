"""All cases, in the order of the table."""

from __future__ import annotations

from typing import Final

from benchmarks.cases.activation import ACTIVATION, AGAIN
from benchmarks.cases.model import Case
from benchmarks.cases.readerkeys import SOPS_ADD, SOPS_NOTHING, SOPS_REPLACE, SOPS_ROTATE
from benchmarks.cases.reading import CHECK, DOCUMENT, LS, SHOW, START
from benchmarks.cases.rekeying import REKEY, REKEY_NOTHING

CASES: Final[tuple[Case, ...]] = (
    START,
    SHOW,
    DOCUMENT,
    LS,
    CHECK,
    ACTIVATION,
    AGAIN,
    REKEY,
    REKEY_NOTHING,
    SOPS_ADD,
    SOPS_REPLACE,
    SOPS_ROTATE,
    SOPS_NOTHING,
)

__all__ = ["CASES"]
