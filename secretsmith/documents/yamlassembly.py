"""What both readers of YAML put together: leaves, containers and the metadata block of a stream.

The readers say what they meet, in source order; paths, duplicates, limits, the places of comments and the
spans are found here, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from secretsmith.documents.format import Format
from secretsmith.documents.node import Value
from secretsmith.documents.scalar import to_python
from secretsmith.documents.sourcetext import (
    MAX_DEPTH,
    MAX_SEGMENTS,
    MAX_VALUES,
    at_line,
    check_look_alikes,
    line_of,
    newline_of,
    refuse_twice,
    too_big,
)
from secretsmith.documents.tree import Container, Document, Leaf, LeafKind, Span, TreePath
from secretsmith.documents.yamlcomments import Waiting
from secretsmith.documents.yamlframes import Entry, Frame
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record, replace

METADATA_KEY: Final = "sops"
MAX_ALIASED: Final = 50_000
"""Values, mappings and lists of a document that has aliases."""
MAX_CUT: Final = 100_000_000
"""Bytes to copy for line ends in comments that only go-yaml knows."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@record(frozen=False)
class _Part:
    """One document of the stream."""

    metadata: Any = None
    metadata_frame: Frame | None = None
    metadata_start: int = -1
    metadata_end: int = -1
    place: int = -1
    roots: int = 0


@record(frozen=False, slots=False)
class Assembly:
    """A stream of documents that is being read."""

    source: bytes
    want_entries: bool = False
    leaves: list[Leaf] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    stack: list[Frame] = field(default_factory=list)
    aliased: bool = False
    entries: dict[tuple[int, TreePath], Entry] = field(default_factory=dict)
    content_end: int = 0
    """Where the last key, value or mark ended, and whether it was a key or mark that a value may follow."""
    content_open: bool = False
    number: int = 0
    """The number of the document that is being read."""

    def __post_init__(self) -> None:
        self.origin = len(BYTE_ORDER_MARK) if self.source.startswith(BYTE_ORDER_MARK) else 0
        self.content_end = self.origin
        self.waiting = Waiting(self.source, self.origin)
        self._as_given = self.source
        self._cut: dict[int, int] = {}
        self._parts: list[_Part] = [_Part()]
        self._segments = 0
        self._values = 0

    # Structure.

    def open(
        self, kind: Literal["map", "list"], start: int, indent: int, style: Literal["block", "flow"]
    ) -> Frame:
        """Begin a mapping or list as the value that is due. Raises ``RefusedInput`` (YAML_DEPTH, YAML_SHAPE)."""
        parent = self.stack[-1] if self.stack else None
        if parent is None:
            self._open_root(kind, start)
            frame = Frame(kind, (), self.number, start, indent, style)
        else:
            if len(self.stack) >= MAX_DEPTH:
                raise self._too_deep(start)
            frame = Frame(kind, (*parent.path, parent.slot), self.number, start, indent, style)
            frame.parent = parent
            self._open_inside(frame, parent)
        frame.first_leaf = len(self.leaves)
        self.stack.append(frame)
        self.count(len(frame.path))
        if frame.data is None:
            self.frames.append(frame)
        return frame

    def _open_root(self, kind: str, start: int) -> None:
        part = self._parts[-1]
        if kind != "map":
            raise self.no_mapping(start)
        if part.roots:
            raise RefusedInput(
                Code.YAML_SYNTAX, f"line {line_of(self.source, start)}: a second mapping in one document"
            )
        part.roots = 1

    def _open_inside(self, frame: Frame, parent: Frame) -> None:
        part = self._parts[-1]
        if parent.parent is None and parent.slot == METADATA_KEY:
            if frame.kind != "map":
                raise self._no_metadata(frame.start)
            frame.data = part.metadata = {}
            part.metadata_frame = frame
        elif parent.data is not None:
            frame.data = {} if frame.kind == "map" else []
            parent.put(frame.data)

    def no_mapping(self, start: int) -> RefusedInput:
        """Give the error for a document that is not a mapping."""
        return RefusedInput(
            Code.YAML_SHAPE,
            f"line {line_of(self.source, start)}: the document is a list or one value, not keys and values",
        )

    def _too_deep(self, start: int) -> RefusedInput:
        return RefusedInput(
            Code.YAML_DEPTH, f"line {line_of(self.source, start)}: nested deeper than {MAX_DEPTH} levels"
        )

    def _no_metadata(self, start: int) -> RefusedInput:
        return RefusedInput(
            Code.YAML_SHAPE,
            f"line {line_of(self.source, start)}: the key '{METADATA_KEY}' is kept for the metadata of sops",
            hints=("give the value another name",),
        )

    def key(self, text: str, start: int, end: int) -> None:
        """Give the next entry's key, from the entry's beginning to the key's end. Raises YAML_DUP."""
        top = self.stack[-1]
        if text in top.keys:
            raise refuse_twice(self.source, start, text)
        top.keys.add(text)
        top.slot = text
        top.entry_start, top.key_end = start, end
        self.content_end, self.content_open = end, True
        if top.parent is None and text == METADATA_KEY:
            self._parts[-1].metadata_start = self.line_start(start) if top.style == "block" else start

    def item(self, start: int) -> None:
        """Begin the next item of the list; ``start`` is its dash."""
        top = self.stack[-1]
        top.slot = top.count
        top.entry_start, top.key_end = start, start + 1

    def value(self, value: Value, start: int, end: int) -> None:
        """Give the value that is due, a scalar in bytes ``start`` to ``end``; an empty place for nothing."""
        top = self.stack[-1]
        if top.data is not None:
            self.count(0)
            top.put(to_python(*value))
        elif top.parent is None and top.slot == METADATA_KEY:
            raise self._no_metadata(start)
        else:
            path = (*top.path, top.slot)
            self.count(len(path))
            self.leaves.append(
                Leaf(path, value[0], Span(start, end), self.source[start:end], value[1], self.number)
            )
        self._value_done(top, start, self.line_end(end) if top.style == "block" else end)
        self.content_end = end
        self.content_open = start == end and self.source[end - 1 : end] == b":"

    def _value_done(self, top: Frame, start: int, after: int) -> None:
        top.count += 1
        top.end = max(top.end, after)
        if top.parent is None and top.slot == METADATA_KEY:
            self._parts[-1].metadata_end = after
        elif self.want_entries and top.data is None:
            entry = Entry(top.entry_start, top.key_end, start, after)
            self.entries[top.document, (*top.path, top.slot)] = entry

    def close(self, end: int | None = None) -> None:
        """End the innermost mapping or list; ``end``, for flow style, is behind its bracket."""
        frame = self.stack.pop()
        check_look_alikes(frame.keys)
        frame.keys = set()
        if end is not None:
            frame.end = self.content_end = end
            self.content_open = False
        parent = frame.parent
        if parent is None:
            return
        if parent.parent is None and parent.slot == METADATA_KEY and not frame.count:
            raise self._no_metadata(frame.start)
        inside = frame.style == "block" or parent.style == "flow"
        self._value_done(parent, frame.start, frame.end if inside else self.line_end(frame.end))

    def copy(
        self, path: TreePath, leaves: Sequence[Leaf], frames: Sequence[Frame], start: int, end: int
    ) -> None:
        """Give the value that is due: what stood at ``path``, again. Its bytes are those of the alias.

        Raises:
            RefusedInput: YAML_ALIAS, YAML_DEPTH; before anything is copied.
        """
        top = self.stack[-1]
        here = (*top.path, top.slot)
        longer = len(here) - len(path)
        paths = [one.path for one in leaves] + [one.path for one in frames]
        segments = sum(map(len, paths)) + longer * len(paths)
        if self._values + len(leaves) + len(frames) > MAX_ALIASED or self._segments + segments > MAX_SEGMENTS:
            raise RefusedInput(
                Code.YAML_ALIAS, f"line {line_of(self.source, start)}: aliases multiply too far"
            )
        if max(len(frame.path) for frame in frames) + longer >= MAX_DEPTH:
            raise self._too_deep(start)
        self._values += len(leaves) + len(frames)
        self._segments += segments
        raw, span = self.source[start:end], Span(start, end)
        for leaf in leaves:
            inner = (*here, *leaf.path[len(path) :])
            self.leaves.append(Leaf(inner, leaf.kind, span, raw, leaf.plain, self.number))
        for frame in frames:
            inner = (*here, *frame.path[len(path) :])
            # Begins behind the leaves: those in it come first in a walk by places, and open it.
            self.frames.append(
                Frame(frame.kind, inner, self.number, start + 1, frame.indent, "flow", end, frame.count)
            )
        self._value_done(top, start, self.line_end(end) if top.style == "block" else end)
        self.content_end, self.content_open = end, False

    def count(self, segments: int) -> None:
        """Count a value, mapping, list or comment with a path of so many segments. Raises TOO_BIG."""
        self._values += 1
        self._segments += segments
        if self._values > MAX_VALUES or self._segments > MAX_SEGMENTS:
            raise too_big()

    # Comments.

    def comment(self, path: TreePath, start: int, end: int, before: int | None = None) -> None:
        """Add a comment of the container at ``path``, as the last leaf or before leaf number ``before``."""
        self.count(len(path))
        raw = self.source[start:end]
        leaf = Leaf(path, LeafKind.COMMENT, Span(start, end), raw, raw[1:], self.number)
        if before is None:
            self.leaves.append(leaf)
        else:
            self.leaves.insert(before, leaf)

    def inline(self, start: int, end: int) -> None:
        """Add a comment that stands behind something on its line, before the value that is due."""
        top = self.stack[-1] if self.stack else None
        if top is None:
            self.comment((), start, end)
        elif top.data is None and (top.parent is not None or top.slot != METADATA_KEY):
            self.comment(top.path, start, end)

    def cut_comment(self, start: int, end: int) -> bool:
        """Read on as if a line ended at ``end``, where bytes from ``start`` on are a line end to go-yaml alone.

        Everything keeps its place. Gives whether it was done: each costs as much as the text is long.
        """
        if (len(self._cut) + 1) * len(self.source) > MAX_CUT:
            return False
        blank = b" " * (end - start - 1) + b"\n"
        self.source = self.waiting.source = b"".join((self.source[:start], blank, self.source[end:]))
        self._cut[end - 1] = start
        return True

    def wait(self, start: int, end: int) -> None:
        """Keep a comment that has its line to itself until it is known what comes next."""
        end = self._cut.get(end, end)
        if self._values + self.waiting.count >= MAX_VALUES:
            raise too_big()
        self.waiting.add(start, end, self.stack, self.content_end, self.content_open)

    def place(self, next_start: int | None) -> None:
        """Put waiting comments where they belong: what comes next, at ``next_start``, has been opened."""
        if not self.waiting:
            return
        for frame, start, end in self.waiting.place(next_start, self.stack):
            if frame is None or frame.data is None:
                self.comment(() if frame is None else frame.path, start, end)

    def place_here(self, top: Frame) -> None:
        """Put waiting comments into ``top``: see :meth:`Waiting.goes_on`."""
        for start, end in self.waiting.take():
            if top.data is None:
                self.comment(top.path, start, end)

    # Documents.

    @property
    def started(self) -> bool:
        """Whether the present document has content."""
        return bool(self._parts[-1].roots)

    def end_document(self, place: int) -> None:
        """End the document before byte ``place``; everything in it must be closed."""
        self.place(None)
        part = self._parts[-1]
        if part.place >= 0:
            raise RefusedInput(Code.YAML_SYNTAX, f"line {line_of(self.source, place)}: content after the end")
        part.place = place
        if not part.roots:
            frame = Frame("map", (), self.number, place, 0, "block")
            frame.end = place
            self.frames.append(frame)

    def next_document(self) -> None:
        """Begin another document."""
        self._parts.append(_Part())
        self.number += 1
        self.count(0)

    def document(self) -> Document:
        """Give what was read; from then on ``entries`` end where they end. Raises EMPTY for nothing but comments."""
        if not any(part.roots for part in self._parts):
            raise RefusedInput(Code.EMPTY, "the document has no keys")
        self.aliased |= self._ends_in_open_block()
        for frame in self.frames:
            # Flow style at the top has no place for the lines of the metadata block.
            self.aliased |= not frame.path and frame.style == "flow"
            if self.want_entries and frame.parent is not None and frame.style == "block":
                known = self.entries[frame.document, frame.path]
                self.entries[frame.document, frame.path] = replace(known, end=frame.end)
        return Document(
            Format.YAML,
            self._as_given,
            tuple(self.leaves),
            self._parts[0].metadata or {},
            tuple(map(self._container, self.frames)),
            tuple(map(self._metadata_span, self._parts)),
            newline_of(self.source),
            self.aliased,
        )

    def _ends_in_open_block(self) -> bool:
        """Say whether the text ends in a block scalar without a line end, which it would get by an edit."""
        last = self.leaves[-1] if self.leaves and not self.source.endswith(b"\n") else None
        if last is None or last.span.end < len(self.source):
            return False
        header = last.raw.partition(b"\n")
        return bool(header[1]) and (b"|" in header[0] or b">" in header[0]) and b"-" not in header[0]

    @staticmethod
    def _metadata_span(part: _Part) -> Span:
        frame = part.metadata_frame
        if frame is None:
            return Span(part.place, part.place)
        return Span(part.metadata_start, frame.end if frame.style == "block" else part.metadata_end)

    @staticmethod
    def _container(frame: Frame) -> Container:
        return Container(
            frame.path,
            frame.kind,
            Span(frame.start, max(frame.start, frame.end)),
            frame.document,
            not frame.count,
            frame.indent,
            frame.style,
        )

    # Places.

    def line_start(self, offset: int) -> int:
        """Give where the line of ``offset`` begins."""
        return max(self.source.rfind(b"\n", 0, offset) + 1, self.origin)

    def line_indent(self, line: int) -> int:
        """Count the spaces that begin the line at ``line``."""
        at = line
        while self.source[at : at + 1] == b" ":
            at += 1
        return at - line

    def line_end(self, offset: int) -> int:
        """Give where the line after that of ``offset`` begins."""
        at = self.source.find(b"\n", offset)
        return len(self.source) if at < 0 else at + 1

    def located(self, offset: int, error: RefusedInput) -> RefusedInput:
        """Give ``error`` with the line of ``offset``."""
        found = at_line(self.source, offset, error)
        return found if isinstance(found, RefusedInput) else error


__all__ = ["BYTE_ORDER_MARK", "METADATA_KEY", "Assembly"]
