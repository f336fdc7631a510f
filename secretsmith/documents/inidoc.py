"""INI documents: changes in the text as it stands, and whole documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secretsmith.documents.flatten import flatten
from secretsmith.documents.iniread import (
    BYTE_ORDER_MARK,
    DEFAULT_SECTION,
    METADATA_SECTION,
    read_ini,
    strip_mark,
)
from secretsmith.documents.inivalue import blank_line_before, comment_is_ambiguous, line_end, write_value
from secretsmith.documents.iniwrite import (
    aligned,
    check_section_name,
    comment_lines,
    entries_of,
    section_text,
    write_entry,
)
from secretsmith.documents.node import Comment, Map, Node, Scalar
from secretsmith.documents.scalartext import to_text
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

_MARK = re.compile(rb";[; ]*|#[# ]*")
_BLANKS: Final = b" \t\r\n\v\f"
_BEFORE_VALUE = re.compile(rb"([ \t]*)([=:])([ \t]*)\Z")


class IniCodec:
    """The codec of INI files. All values are strings."""

    def read(self, source: bytes) -> Document:
        """Read a document; see :func:`secretsmith.documents.iniread.read_ini`."""
        return read_ini(source)

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give a value with the quotes it needs.

        Raises:
            RefusedInput: YAML_VALUE when no quotes make it readable; YAML_CHAR; ENCODING.
        """
        text = to_text(kind, plain)
        if leaf is None:
            return write_value(text)
        if leaf.plain == text:
            return leaf.raw
        source = document.source
        rest = source[leaf.span.end : line_end(source, leaf.span.end)].rstrip(b"\r\n")
        blank = source[leaf.span.start - 2 : leaf.span.start - 1] if not leaf.raw else b""
        lead = b" " if blank in (b" ", b"\t") and source[leaf.span.start - 1] in b"=:" else b""
        return lead + write_value(text, like=leaf.raw, rest=rest) if text else b""

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Give a comment with its mark; one that stood beside a section's name moves above it.

        Raises:
            RefusedInput: YAML_VALUE when ``text`` cannot stand beside a value; YAML_CHAR; ENCODING.
        """
        if text == leaf.plain:
            return leaf.raw
        source, start = document.source, leaf.span.start
        begin = source.rfind(b"\n", 0, start) + 1
        lead = source[begin:start].removeprefix(BYTE_ORDER_MARK)
        found = _MARK.match(leaf.raw)
        lines = comment_lines(text, found[0] if found else b"; ")
        header = leaf.raw[leaf.raw.rfind(b"\n") + 1 :].lstrip(_BLANKS)
        if header.startswith(b"["):
            lines.append(header[: header.rindex(b"]") + 1])
        elif lead.strip(_BLANKS) and comment_is_ambiguous(b"\n".join(lines)):
            raise RefusedInput(
                Code.YAML_VALUE,
                "a comment beside a value has several lines, or quotes that could belong to the value",
                hints=("put the comment above the entry",),
            )
        return (document.newline + lead).join(lines)

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Add an entry behind the last of its section, laid out like that, or a section behind the last one.

        Raises:
            RefusedInput: EXISTS; YAML_SHAPE for other trees than sections with values, and the section of
                the metadata; NAME; what :meth:`scalar` raises.
        """
        names = tuple(str(segment) for segment in path)
        added = _added(names, value)
        section = document.container(names[:1])
        taken = any(leaf.path == names for leaf in document.leaves if leaf.kind is not LeafKind.COMMENT)
        if taken or (section is not None and len(names) == 1 and not section.empty):
            raise RefusedInput(Code.EXISTS, f"'{format_tree_path(path)}' is already there")
        lines = aligned(entries_of(added))
        if section is not None and not lines:
            return ()
        if section is not None and section.span:
            return (_behind_section(document, section, added),)
        # Sections that are not there, and DEFAULT, which always is, before the first header.
        header = [b"[" + names[0].encode("utf-8") + b"]"] if section is None else []
        return (_new_section(document, [*header, *lines]),)

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Take away an entry, or a section, with its comment, which would else go to the next one.

        Raises:
            NotFound: NOT_FOUND.
        """
        section = document.container(tuple(str(segment) for segment in path)) if len(path) == 1 else None
        if section is not None and section.span:
            return (Edit(_section_lines(document, section), b""),)
        leaf = document.leaf(path)
        if not leaf.path:
            raise NotFound(Code.NOT_FOUND, "the document is not one value")
        return (Edit(_entry_lines(document, leaf), b""),)

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give the section ``[sops]``: in a block's own order, else sorted."""
        flat = flatten(metadata, like=[] if document is None else _metadata_names(document))
        pairs = [(name, text.encode("utf-8")) for name, text in flat.items()]
        newline = b"\n" if document is None else document.newline
        block = newline.join([b"[sops]", *aligned(pairs)]) + newline
        if document is None or document.metadata_span is None:
            return newline + block
        source, span = document.source, document.metadata_span
        if document.metadata:
            old = source[span.start : span.end]
            block = old[: len(old) - len(old.lstrip(_BLANKS))] + block
            first = not source[: span.start].removeprefix(BYTE_ORDER_MARK)
            return block + (newline if first and source[span.end :].strip(_BLANKS) else b"")
        return (b"" if source.endswith(b"\n") else newline) + newline + block

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a whole document, as sops lays it out; of several documents, the first.

        Raises:
            RefusedInput: YAML_SHAPE for other trees than sections with values; NAME; what :meth:`scalar`
                raises.
        """
        first = root[0] if isinstance(root, Sequence) and root else root
        if not isinstance(first, Map):
            raise RefusedInput(Code.YAML_SHAPE, "an INI document wants sections")
        parts: list[bytes] = []
        above: list[bytes] = []
        for each in first.entries:
            if isinstance(each, Comment):
                above += comment_lines(strip_mark(each.text.strip()), b"; ")
                continue
            text = section_text(each[0], each[1], above, header=bool(parts) or each[0] != DEFAULT_SECTION)
            above = []
            if text:
                parts.append(text)
        if above:
            parts.append(b"".join(line + b"\n" for line in above))
        if metadata is not None:
            parts.append(self.format_metadata(None, metadata).lstrip(b"\n"))
        return b"\n".join(parts)


def _added(names: tuple[str, ...], value: Node) -> Map:
    """Give what is put into a section."""
    if names[:1] == (METADATA_SECTION,) or not 1 <= len(names) <= 2:
        value = Scalar(LeafKind.NULL)
    elif len(names) == 2:
        value = Map([(names[1], value)]) if isinstance(value, Scalar) else Scalar(LeafKind.NULL)
    if not isinstance(value, Map):
        raise RefusedInput(
            Code.YAML_SHAPE,
            f"'{format_tree_path(names)}': an INI file has sections, and in them values; 'sops' is not free",
        )
    check_section_name(names[0])
    return value


def _metadata_names(document: Document) -> list[str]:
    """Give the names in the block as they stand; only for their order."""
    span = document.metadata_span
    block = document.source[span.start : span.end] if span else b""
    names = (line.partition(b"=")[0].strip() for line in block.splitlines() if b"=" in line)
    return [name.decode("utf-8", "replace") for name in names]


def _behind_section(document: Document, section: Container, added: Map) -> Edit:
    """Put entries behind the last one of ``section``, or behind its header."""
    last = [leaf for leaf in document.leaves if leaf.path[:1] == section.path and len(leaf.path) == 2]
    pairs = entries_of(added)
    lines = [_like(document.source, last[-1], *pair) for pair in pairs] if last else aligned(pairs)
    return _lines_at(document.source, section.span.end, lines, document.newline)


def _lines_at(source: bytes, at: int, lines: list[bytes], newline: bytes) -> Edit:
    text = newline.join(lines)
    ends = at == 0 or source[at - 1 : at] == b"\n" or at == len(BYTE_ORDER_MARK)
    return Edit(Span(at, at), text + newline if ends else newline + text)


def _like(source: bytes, leaf: Leaf, name: str, text: bytes) -> bytes:
    """Lay out an entry like the one of ``leaf``: indentation, alignment, blanks around the ``=``."""
    begin = source.rfind(b"\n", 0, leaf.span.start) + 1
    before = source[begin : leaf.span.start].removeprefix(BYTE_ORDER_MARK)
    lead = before[: len(before) - len(before.lstrip(b" \t"))]
    found = _BEFORE_VALUE.search(before)
    if found is None:
        return lead + write_entry(name, text)
    blank = found[3] or (b" " if found[1] and not leaf.raw else b"")
    key, _, value = write_entry(name, text).partition(b" = ")
    return lead + key.ljust(found.start(2) - len(lead) if found[1] else 0) + found[2] + blank + value


def _new_section(document: Document, lines: list[bytes]) -> Edit:
    """Put a section behind the last one, before comments at the end; entries without a header go first."""
    source, newline = document.source, document.newline
    last = max(container.span.end for container in document.containers[1:])
    known = any(container.span for container in document.containers[1:])
    if known and lines[0].startswith(b"["):
        return _lines_at(source, last, [b"", *lines], newline)
    at = len(BYTE_ORDER_MARK) if source.startswith(BYTE_ORDER_MARK) else 0
    return Edit(Span(at, at), newline.join(lines) + newline * 2)


def _entry_lines(document: Document, leaf: Leaf) -> Span:
    start = leaf.span.start
    place = document.leaves.index(leaf) + 1
    if place < len(document.leaves):
        after = document.leaves[place]
        if after.kind is LeafKind.COMMENT and after.path == leaf.path[:1]:
            start = min(start, after.span.start)
    source = document.source
    return _lines(source, _line_start(source, start), line_end(source, leaf.span.end))


def _line_start(source: bytes, at: int) -> int:
    begin = len(BYTE_ORDER_MARK) if source.startswith(BYTE_ORDER_MARK) else 0
    return max(source.rfind(b"\n", 0, at) + 1, begin)


def _lines(source: bytes, start: int, end: int) -> Span:
    """Give whole lines; at the end of a file without a line end there, with the one before them instead."""
    if end == len(source) and not source.endswith(b"\n"):
        start = len(source[:start].removesuffix(b"\n").removesuffix(b"\r"))
    return Span(start, end)


def _section_lines(document: Document, section: Container) -> Span:
    """Give the lines of a section with the blank line that parts it from the one before, or else behind."""
    source, end = document.source, section.span.end
    start = _line_start(source, section.span.start)
    if source[:start].removeprefix(BYTE_ORDER_MARK).strip(_BLANKS):
        return _lines(source, blank_line_before(source, start), end)
    while end < len(source) and not source[end : line_end(source, end)].strip(_BLANKS):
        end = line_end(source, end)
    return _lines(source, start, end)


__all__ = ["IniCodec"]
