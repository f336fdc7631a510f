"""JSON documents: changes in the text as it stands, and whole documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secretsmith.documents.jsonread import BLANKS, METADATA_KEY, Member, read_json
from secretsmith.documents.jsonwrite import Style, node_of, write_member, write_node
from secretsmith.documents.node import List, Map, Node
from secretsmith.documents.scalartext import to_json_text
from secretsmith.documents.tree import (
    Container,
    Document,
    Edit,
    Leaf,
    LeafKind,
    Span,
    TreePath,
    format_tree_path,
)
from secretsmith.errors import Code, NotFound, RefusedInput

_FIRST = re.compile(rb"[{\[]([ \t\r\n]*+)")
_COMPACT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+":(?![ \t\r\n])', re.DOTALL)
_NUMBERS: Final = frozenset({LeafKind.INTEGER, LeafKind.FLOAT})


class JsonCodec:
    """The codec of JSON. Comments do not exist in it, and are left out of what is built."""

    def read(self, source: bytes) -> Document:
        """Read a document; see :func:`secretsmith.documents.jsonread.read_json`."""
        return read_json(source)

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give a value as JSON; the text that is there when it says the same.

        Raises:
            RefusedInput: YAML_VALUE for infinity and NaN, ENCODING for text that is not UTF-8.
        """
        if leaf is not None and leaf.plain == plain and (leaf.kind is kind or {leaf.kind, kind} <= _NUMBERS):
            return leaf.raw
        return to_json_text(kind, plain).encode("utf-8")

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Refuse: JSON has no comments. Raises ``RefusedInput`` (UNSUPPORTED)."""
        raise RefusedInput(Code.UNSUPPORTED, "JSON has no comments")

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Add an entry, and the mappings missing on the way; a scalar on the way is replaced, as by sops.

        Raises:
            RefusedInput: EXISTS when there is something at ``path``; YAML_SHAPE for a key in a list, or
                the key of the metadata; what :func:`write_node` raises.
        """
        at, path = _resolve(document, path)
        if at == len(path):
            raise RefusedInput(Code.EXISTS, f"'{format_tree_path(path)}' is already there")
        if path[0] == METADATA_KEY:
            raise RefusedInput(Code.YAML_SHAPE, "the top-level key 'sops' belongs to sops")
        scalar = _leaf(document, path[: at + 1])
        node = value
        for segment in reversed(path[at + 1 :]):
            node = List([node]) if isinstance(segment, int) else Map([(segment, node)])
        container = document.container(path[:at])
        assert container is not None  # noqa: S101  # resolved
        style, lead = _layout(document, container)
        if scalar is not None and at + 1 == len(path):
            raise RefusedInput(Code.EXISTS, f"'{format_tree_path(path)}' is already there")
        if scalar is not None:
            return (Edit(scalar.span, write_node(node, style, lead).encode("utf-8")),)
        name = path[at]
        text = (
            write_node(node, style, lead) if isinstance(name, int) else write_member(name, node, style, lead)
        )
        return (_added(document, container, text, style, lead),)

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Take away an entry with its key, and the comma that joined it to its neighbour.

        Raises:
            NotFound: NOT_FOUND.
        """
        at, path = _resolve(document, path)
        found = document.container(path) if at == len(path) else _leaf(document, path)
        if found is None or not path:
            raise NotFound(Code.NOT_FOUND, f"no value at '{format_tree_path(path)}'")
        return (Edit(Member(document.source, found.span).removal, b""),)

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give the member ``"sops"`` with the commas that its place asks for; one entry a line, always."""
        if document is None or document.metadata_span is None:
            style = Style()
            return ("," + _block(metadata, style)).encode("utf-8")
        root = document.containers[0]
        style = Style(_unit(document), document.newline.decode("ascii"))
        span, source = document.metadata_span, document.source
        text = _block(metadata, style)
        after = source[span.end :].lstrip(BLANKS)[:1]
        if span.start > root.span.start + 1:
            text = "," + text
        elif after != b"}":
            text += ","
        elif span.end == root.span.end - 1:
            text += style.newline
        return text.encode("utf-8")

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a whole document, as sops lays it out; of several documents, the first.

        Raises:
            RefusedInput: YAML_SHAPE when the root is no mapping; what :func:`write_node` raises.
        """
        first = root if isinstance(root, Map) else root[0] if isinstance(root, Sequence) and root else None
        if not isinstance(first, Map):
            raise RefusedInput(Code.YAML_SHAPE, "a JSON document wants keys and values at its top")
        entries = list(first.entries)
        if metadata is not None:
            entries.append((METADATA_KEY, node_of(metadata)))
        return (write_node(Map(entries), Style()) + "\n").encode("utf-8")


def _block(metadata: Mapping[str, Any], style: Style) -> str:
    lead = style.unit or ""
    return style.line(lead) + write_member(METADATA_KEY, node_of(metadata), style, lead)


def _resolve(document: Document, path: TreePath) -> tuple[int, TreePath]:
    """Follow ``path`` through mappings and lists: how far they go, and the path with keys as texts."""
    for at, segment in enumerate(path):
        container = document.container(path[:at])
        if container is None:
            return at - 1, path
        if container.kind == "map":
            path = (*path[:at], str(segment), *path[at + 1 :])
        elif not isinstance(segment, int):
            raise RefusedInput(
                Code.YAML_SHAPE, f"'{format_tree_path(path[:at])}' is a list: a number goes there"
            )
    known = document.container(path) is not None
    return (len(path) if known else len(path) - 1), path


def _leaf(document: Document, path: TreePath) -> Leaf | None:
    try:
        found = document.leaf(path)
    except NotFound:
        return None
    return found if found.path == path else None


def _unit(document: Document) -> str:
    """Give the step of indentation: that of the first member, if it has a line of its own."""
    found = _FIRST.match(document.source, document.containers[0].span.start)
    blank = found[1] if found else b""
    return blank.rpartition(b"\n")[2].decode("ascii") if b"\n" in blank else "\t"


def _layout(document: Document, container: Container) -> tuple[Style, str]:
    """Tell how members of ``container`` are laid out, and how deep they are."""
    source, newline = document.source, document.newline.decode("ascii")
    found = _FIRST.match(source, container.span.start)
    blank = found[1] if found else b""
    root = document.containers[0].span
    lines = b"\n" in source[root.start : root.end] or root == container.span
    if found and found.end() < container.span.end - 1:
        lines = b"\n" in blank
    if lines:
        unit = _unit(document)
        line = source[source.rfind(b"\n", 0, container.span.start) + 1 :][: container.indent]
        own = blank.rpartition(b"\n")[2] if b"\n" in blank and not container.empty else b""
        lead = own.decode("ascii") if own else line.decode("ascii") + unit
        return Style(unit, newline), lead
    compact = _COMPACT.search(source) is not None
    return Style(None, newline, ":" if compact else ": ", "," if compact else ", "), ""


def _added(document: Document, container: Container, text: str, style: Style, lead: str) -> Edit:
    """Give the edit that puts ``text`` behind the last member of ``container``, before the metadata."""
    source, inside = document.source, container.span.start + 1
    block = document.metadata_span if not container.path and document.metadata else None
    last = len(source[: container.span.end - 1].rstrip(BLANKS))
    if block is not None and block.start == inside and container.empty:
        return Edit(Span(inside, inside), f"{style.line(lead)}{text},".encode())
    if block is not None and block.end == last:
        last = block.start
    if last > inside:
        return Edit(Span(last, last), f"{style.between(lead)}{text}".encode())
    end = lead[: len(lead) - len(style.unit or "")]
    return Edit(Span(inside, container.span.end - 1), f"{style.line(lead)}{text}{style.line(end)}".encode())


__all__ = ["JsonCodec"]
