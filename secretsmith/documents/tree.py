"""A document as a tree of leaves with byte spans.

Readers of a format find leaves and where they stand; whoever changes a value replaces exactly those
bytes. Nothing is ever dumped anew, so comments, quoting, order and line ends of everything else stay as
they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from secretsmith.documents.format import Format
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.record import field, record

TreePath = tuple[str | int, ...]
"""The way to a leaf: texts are keys of mappings, numbers places in lists. ``()`` is the whole document."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_ESCAPE = re.compile(r"~(.?)", re.DOTALL)
_ESCAPES = {"0": "~", "1": "/"}
# Marks a segment as a key, where it would be read as a place in a list, or would be nothing at all.
_KEY_MARK = "~k"


def parse_tree_path(text: str) -> TreePath:
    """Read a slash path: ``db/users/0/password``.

    A decimal number is a place in a list. ``~1`` stands for ``/``, ``~0`` for ``~`` (RFC 6901 §3), and
    ``~k`` in front of a segment makes it a key whatever it looks like: ``ports/~k0``. An empty text is
    the whole document.

    Raises:
        RefusedInput: USAGE for empty segments and other uses of ``~``.
    """
    return tuple(_parse_segment(segment) for segment in text.split("/")) if text else ()


def format_tree_path(path: TreePath) -> str:
    """Write ``path`` so that :func:`parse_tree_path` gives it back."""
    return "/".join(_format_segment(segment) for segment in path)


def _parse_segment(segment: str) -> str | int:
    if segment.startswith(_KEY_MARK):
        return _unescape(segment[len(_KEY_MARK) :])
    if not segment:
        raise RefusedInput(
            Code.USAGE, "a key path has an empty segment", hints=("a key path looks like: db/password",)
        )
    return int(segment) if _INDEX.fullmatch(segment) else _unescape(segment)


def _unescape(segment: str) -> str:
    def one(match: re.Match[str]) -> str:
        meant = _ESCAPES.get(match[1])
        if meant is None:
            raise RefusedInput(Code.USAGE, "a '~' in a key path that is neither '~0' (~) nor '~1' (/)")
        return meant

    return _ESCAPE.sub(one, segment)


def _format_segment(segment: str | int) -> str:
    if isinstance(segment, int):
        return str(segment)
    text = segment.replace("~", "~0").replace("/", "~1")
    return _KEY_MARK + text if not text or _INDEX.fullmatch(text) else text


class LeafKind(StrEnum):
    """What a leaf is before it is encrypted; the names of sops where it has one."""

    STRING = "str"
    INTEGER = "int"
    FLOAT = "float"
    BOOLEAN = "bool"
    NULL = "null"
    BYTES = "bytes"
    TIME = "time"
    COMMENT = "comment"


@record(frozen=False)
class Span:
    """Bytes ``start`` to ``end`` (exclusive) of a document; an empty span is a place between two bytes."""

    start: int
    end: int

    # By hand, and not frozen: a large document has some 100,000 spans and leaves, and the way of other records
    # would be half of the time that it takes to read it.
    def __init__(self, start: int, end: int) -> None:
        if not 0 <= start <= end:
            raise ValueError(f"no span: {start} to {end}")
        self.start = start
        self.end = end

    def __hash__(self) -> int:
        return hash((self.start, self.end))

    def __lt__(self, other: Span) -> bool:
        return (self.start, self.end) < (other.start, other.end)

    def __len__(self) -> int:
        return self.end - self.start


@record(frozen=False)
class Leaf:
    """One value: the way to it, what it is, where it stands, and the bytes there (quotes, tag and all).

    ``plain`` is the value as sops writes it before encryption: UTF-8 text, decimal numbers without exponent,
    ``True``, RFC 3339 times; nothing for null. A stored ``ENC[…]`` is a STRING (or COMMENT) with that text.
    A comment's path is that of the mapping or list it stands in, and its plain what follows the ``#``.
    ``document`` counts the documents of a YAML stream.
    """

    path: TreePath
    kind: LeafKind
    span: Span
    raw: bytes = field(repr=False)
    plain: bytes = field(default=b"", repr=False)
    document: int = 0

    def __init__(
        self, path: TreePath, kind: LeafKind, span: Span, raw: bytes, plain: bytes = b"", document: int = 0
    ) -> None:
        self.path = path
        self.kind = kind
        self.span = span
        self.raw = raw
        self.plain = plain
        self.document = document

    def __hash__(self) -> int:
        return hash((self.path, self.span, self.document))


@record
class Container:
    """A mapping or list. ``indent`` is the column of its entries; of flow style, that of its line.

    The span of a block container goes from its first entry's first character to the end of its last line,
    the line end included; that of a flow container (and of an empty one) from bracket to bracket.
    """

    path: TreePath
    kind: Literal["map", "list"]
    span: Span
    document: int = 0
    empty: bool = False
    indent: int = 0
    style: Literal["block", "flow"] = "block"


def aad_of(leaf: Leaf) -> bytes:
    """Give what authenticates the leaf's place: its keys, each with a colon; places in lists do not count.

    A comment at the top has the colon alone (sops: Tree.Encrypt joins the path and adds one colon).
    """
    keys = [segment for segment in leaf.path if isinstance(segment, str)]
    return (":".join(keys) + ":").encode("utf-8", "surrogateescape")


@record
class Edit:
    """Put ``text`` where ``span`` is."""

    span: Span
    text: bytes = field(repr=False)


@record(slots=False)
class Document:
    """A document that has been read.

    ``leaves`` stand in the order of sops's walk: source order, an inline comment before its value.
    ``containers`` are all mappings and lists, the roots too, in source order. ``metadata`` is what sops keeps
    beside the values, as plain data; its scalars are no leaves. ``metadata_spans`` are the bytes of that
    block, one for each document of a stream (several for dotenv when its lines are scattered), with as much
    around it as must go when the block goes; in a document without a block, the empty places where it would
    be put. ``aliased``: some bytes stand for more than one value (anchors, aliases, merge keys), so that
    values can only be changed by building the document anew.
    """

    format: Format
    source: bytes = field(repr=False)
    leaves: tuple[Leaf, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    containers: tuple[Container, ...] = ()
    metadata_spans: tuple[Span, ...] = ()
    newline: bytes = b"\n"
    aliased: bool = False

    @property
    def metadata_span(self) -> Span | None:
        """The first of :attr:`metadata_spans`."""
        return self.metadata_spans[0] if self.metadata_spans else None

    def container(self, path: TreePath, document: int = 0) -> Container | None:
        """Give the mapping or list at exactly ``path``."""
        return self._containers.get((document, path))

    def leaf(self, path: TreePath) -> Leaf:
        """Give the value at ``path`` in the first document; a number also finds a key that looks like it.

        Raises:
            NotFound: NOT_FOUND.
        """
        found = self._by_path.get(path) or self._by_text.get(tuple(str(segment) for segment in path))
        if found is None:
            shown = format_tree_path(path).encode("unicode_escape").decode("ascii")
            raise NotFound(
                Code.NOT_FOUND, f"no value at '{shown}'" if path else "the document is not one value"
            )
        return found

    def splice(self, edits: Iterable[Edit]) -> bytes:
        """Give the source with all ``edits`` made; every byte outside of them stays.

        Spans are those of the unchanged source, in any order. Insertions at one place keep the order
        given, and come before a replacement that begins there.

        Raises:
            ValueError: when spans overlap or reach beyond the source: the caller's mistake, and a silent
            choice
                between two values would lose one of them.
        """
        parts: list[bytes] = []
        done = 0
        for edit in sorted(edits, key=lambda edit: edit.span):
            if edit.span.start < done:
                raise ValueError(f"edits overlap at byte {edit.span.start}")
            if edit.span.end > len(self.source):
                raise ValueError(f"an edit ends at byte {edit.span.end} of {len(self.source)}")
            parts += (self.source[done : edit.span.start], edit.text)
            done = edit.span.end
        parts.append(self.source[done:])
        return b"".join(parts)

    @cached_property
    def _values(self) -> tuple[Leaf, ...]:
        return tuple(leaf for leaf in self.leaves if leaf.kind is not LeafKind.COMMENT and not leaf.document)

    @cached_property
    def _by_path(self) -> dict[TreePath, Leaf]:
        return {leaf.path: leaf for leaf in self._values}

    @cached_property
    def _by_text(self) -> dict[tuple[str, ...], Leaf]:
        return {tuple(str(segment) for segment in leaf.path): leaf for leaf in self._values}

    @cached_property
    def _containers(self) -> dict[tuple[int, TreePath], Container]:
        return {(container.document, container.path): container for container in self.containers}


__all__ = [
    "Container",
    "Document",
    "Edit",
    "Leaf",
    "LeafKind",
    "Span",
    "TreePath",
    "aad_of",
    "format_tree_path",
    "parse_tree_path",
]
