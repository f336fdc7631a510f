"""Mappings, lists and entries of YAML while they are being read."""

from __future__ import annotations

from typing import Any, Literal

from secretsmith.documents.tree import TreePath
from secretsmith.record import field, record


@record(frozen=False, eq=False)
class Frame:
    """A mapping or list that is being read. ``data`` collects the values when it is part of the metadata."""

    kind: Literal["map", "list"]
    path: TreePath
    document: int
    start: int
    indent: int
    style: Literal["block", "flow"]
    end: int = 0
    count: int = 0
    slot: str | int = 0
    entry_start: int = 0
    key_end: int = 0
    first_leaf: int = 0
    keys: set[str] = field(default_factory=set)
    keyed: bool = False
    parent: Frame | None = None
    data: Any = None

    def put(self, value: Any) -> None:
        """Add a value of the metadata at the place that is due."""
        if isinstance(self.data, list):
            self.data.append(value)
        else:
            self.data[self.slot] = value

    def stretch(self, end: int) -> None:
        """Let the frame, and what it lies in, reach at least to ``end``."""
        frame: Frame | None = self
        while frame is not None and frame.end < end:
            frame.end = end
            frame = frame.parent


@record
class Entry:
    """An entry of a mapping or item of a list: from its key (or dash) to the end of its last line.

    In flow style to the end of its value. ``key_end`` is behind its key or dash, ``value`` where its value
    begins.
    """

    start: int
    key_end: int
    value: int
    end: int


__all__ = ["Entry", "Frame"]
