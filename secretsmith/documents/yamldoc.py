"""YAML documents of sops: read with spans, edited in place, or made anew.

Source: sops, stores/yaml/store.go; go-yaml v3. Two readers, which agree wherever both apply: a fast one for
block style, which is what sops writes, and a full one for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secretsmith.documents.node import List, Map, Node, Scalar
from secretsmith.documents.scalar import to_yaml_plain
from secretsmith.documents.sourcetext import check_source, hinted, line_of, too_big
from secretsmith.documents.tree import Container, Document, Edit, Leaf, LeafKind, TreePath
from secretsmith.documents.yamlassembly import METADATA_KEY, Assembly
from secretsmith.documents.yamlblock import read_block
from secretsmith.documents.yamlemit import (
    Layout,
    chomping,
    comment_lines,
    double_quoted,
    entry_lines,
    folded,
    is_empty,
    is_printable,
    literal,
    map_lines,
    needs_quotes,
    single_quoted,
    text_of,
    tree_of,
)
from secretsmith.documents.yamlinsert import Editor
from secretsmith.documents.yamllayout import layout_of, metadata_layout
from secretsmith.documents.yamllines import ODD, ODD_BREAK
from secretsmith.errors import Code, RefusedInput

MAX_LINES: Final = 500_000
# What YAML forbids (go-yaml, yaml_parser_update_buffer), and carriage returns alone, which are line ends to
# some readers and to others not.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONE_RETURN: Final = re.compile(rb"\r(?!\n)")
_FORBIDDEN: Final = re.compile(rb"[\xc2\xef](?:(?<=\xc2)[\x80-\x84\x86-\x9f]|(?<=\xef)\xbf[\xbe\xbf])")
_MARK: Final = b"\xef\xbb\xbf"
_PROPERTIES: Final = re.compile(rb"(?:[&!]\S*\s+)*+")
_SEALED: Final = re.compile(rb"ENC\[AES256_GCM,[^\s\"']*\]")
# The mark of a block scalar, and the indentation of its first line.
_OLD_BLOCK: Final = re.compile(rb"([|>])[-+]?[ \t]*\r?\n(?:[ ]*\r?\n)*([ ]*)")
_NEXT_COMMENT: Final = re.compile(rb"[ \t]*\r?\n(?:[ ]*\r?\n)*([ ]*)#")
_BEHIND: Final = re.compile(rb"\r?\n")
_BEHIND_STRIPPED: Final = re.compile(rb"\r?(?:\n|\Z)")
_BEHIND_KEPT: Final = re.compile(rb"\r?\n(?![ \t]*\r?\n|[ \t]+\Z)")


def check_text(source: bytes) -> None:
    """Refuse what is no text for YAML.

    Raises:
        RefusedInput: TOO_BIG, EMPTY, ENCODING, YAML_CHAR.
        Conflict: CONFLICT.
    """
    check_source(source, "YAML", byte_order_mark=True)
    if source.count(b"\n") > MAX_LINES:
        raise too_big()
    offset = _forbidden(source)
    if offset is not None:
        raise _bad_character(source, offset)


def _forbidden(source: bytes) -> int | None:
    """Find the first character that YAML forbids. Counting first: searching takes ten times as long."""
    found = []
    if len(source.translate(None, _CONTROLS)) != len(source):
        found.append(_CONTROL.search(source))
    if source.count(b"\r") != source.count(b"\r\n"):
        found.append(_LONE_RETURN.search(source))
    if not source.isascii():
        found.append(_FORBIDDEN.search(source))
    return min((each.start() for each in found if each), default=None)


def _bad_character(source: bytes, offset: int) -> RefusedInput:
    return RefusedInput(
        Code.YAML_CHAR,
        f"line {line_of(source, offset)}: a character that cannot stand in YAML as it is",
        hints=("in double quotes it can be written as an escape, such as \\x1B or \\u2028",),
    )


def read_assembly(source: bytes, *, entries: bool = False) -> Assembly:
    """Read a text with the reader that it takes. Raises as :meth:`YamlCodec.read`."""
    check_text(source)
    found = read_block(source, entries=entries)
    if found is None:
        odd = ODD.search(source, len(_MARK) if source.startswith(_MARK) else 0)
        if odd is not None:
            raise _bad_character(source, odd.start())
        # Imported here: ruamel is slow to import, and hardly any document needs it.
        from secretsmith.documents.yamlfull import read_full

        found = read_full(source, entries=entries)
    return found


class YamlCodec:
    """The codec of YAML."""

    def __init__(self) -> None:
        self._known: tuple[Document, Layout] | None = None

    @hinted
    def read(self, source: bytes) -> Document:
        """Give the document, a stream's documents together.

        A document that is all in brackets, or holds what cannot be edited in place, counts as ``aliased``: it
        is made anew.

        Raises:
            RefusedInput: EMPTY, TOO_BIG, ENCODING, NAME_DUP and the YAML codes, with the line.
            Conflict: CONFLICT for the marks of an unfinished merge.
        """
        return read_assembly(source).document()

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give the text of a value for the place of ``leaf``, in its quotes or as a block where that can hold it."""
        if leaf is None:
            return to_yaml_plain(kind, plain).encode("utf-8")
        if (kind, plain) == (leaf.kind, leaf.plain) and len(leaf.span):
            return leaf.raw
        text = self._scalar(document, leaf, kind, plain)
        if document.newline != b"\n":
            text = text.replace("\n", document.newline.decode("ascii"))
        before = document.source[leaf.span.start - 1 : leaf.span.start]
        return (" " + text if not leaf.span and before in (b":", b"-") else text).encode("utf-8")

    def _scalar(self, document: Document, leaf: Leaf, kind: LeafKind, plain: bytes) -> str:
        parent = document.container(leaf.path[:-1], leaf.document)
        text = text_of(plain) if kind in (LeafKind.STRING, LeafKind.BYTES) else None
        flow = parent is not None and parent.style == "flow"
        if text is None:
            return to_yaml_plain(kind, plain, flow=flow)
        if _SEALED.fullmatch(plain):
            return double_quoted(text) if flow else text
        style = leaf.raw[_end_of_properties(leaf.raw) :][:1]
        if style == b'"' or (flow and needs_quotes(text, flow=True)):
            return double_quoted(text)
        if style == b"'" and "\n" not in text:
            return single_quoted(text) if is_printable(text) else double_quoted(text)
        if not flow and parent is not None and ("\n" in text or style in (b"|", b">")):
            block = self._block(document, leaf, parent, text)
            if block is not None:
                return block
        return to_yaml_plain(kind, plain, flow=flow)

    def _block(self, document: Document, leaf: Leaf, parent: Container, text: str) -> str | None:
        """Write a text as a block scalar, indented as the old one or as the document is."""
        indent = self._layout(document).inner(parent.indent)
        old = _OLD_BLOCK.match(leaf.raw, _end_of_properties(leaf.raw))
        if old is not None and old[2] and len(old[2]) > parent.indent:
            indent = len(old[2])
        block = folded(text, parent.indent, indent) if old is not None and old[1] == b">" else None
        if block is None:
            block = literal(text, parent.indent, indent)
        return block if block is not None and _has_room(document, leaf, block, indent) else None

    def _layout(self, document: Document) -> Layout:
        """Find the layout of a document once: many values may be written."""
        if self._known is None or self._known[0] is not document:
            self._known = document, layout_of(document)
        return self._known[1]

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Give the text of a comment; further lines go below it, if it has the line to itself."""
        start = document.source.rfind(b"\n", 0, leaf.span.start) + 1
        pad = document.source[start : leaf.span.start]
        if pad.removeprefix(_MARK).strip(b" "):
            text = ODD_BREAK.sub(b" ", text.replace(b"\n", b" "))
        lines = comment_lines(text, "")
        return (document.newline + b" " * len(pad.removeprefix(_MARK))).join(
            line.encode("utf-8") for line in lines
        )

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Add an entry at ``path`` of the first document, or put ``value`` in the place of what is there.

        Raises:
            NotFound: when a key is wanted of a list.
            ValueError: for a document that must be made anew, or without a path: a mistake of the caller.
        """
        return self._editor(document, path).insert(path, value)

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Take away the entry at ``path`` of the first document, its lines and the comment behind it.

        Raises:
            NotFound: when there is none.
            ValueError: as :meth:`insert`.
        """
        return self._editor(document, path).remove(path)

    def _editor(self, document: Document, path: TreePath) -> Editor:
        if document.aliased or not path:
            raise ValueError("this document must be made anew" if path else "no path")
        assembly = read_assembly(document.source, entries=True)
        return Editor(assembly.document(), assembly.entries, self.read)

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give the block ``sops:`` with its lines, indented as the document is."""
        layout, indent, before, newline = Layout(), 0, b"", b"\n"
        if document is not None:
            layout, newline = metadata_layout(document), document.newline
            root = document.container(())
            indent = root.indent if root is not None and root.style == "block" else 0
            if any(_is_open_line(document.source, span.start) for span in document.metadata_spans):
                before = newline
        lines = entry_lines(METADATA_KEY, tree_of(metadata), indent, layout)
        return before + b"".join(line.encode("utf-8") + newline for line in lines)

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a whole text in the style of sops; every document of a stream gets the metadata.

        Raises:
            RefusedInput: YAML_SHAPE for a document that is a list or one value.
        """
        roots = [root] if isinstance(root, Map | List | Scalar) else list(root)
        return b"---\n".join(self._one(each, metadata) for each in roots)

    def _one(self, root: Node, metadata: Mapping[str, Any] | None) -> bytes:
        if not isinstance(root, Map):
            raise RefusedInput(
                Code.YAML_SHAPE,
                "a YAML document of sops has keys and values at the top, not a list or one value",
            )
        lines = map_lines(root, 0, Layout())
        if metadata is not None:
            lines += entry_lines(METADATA_KEY, tree_of(metadata), 0, Layout())
        elif is_empty(root):
            lines.append("{}")
        return "".join(line + "\n" for line in lines).encode("utf-8")


def _end_of_properties(raw: bytes) -> int:
    found = _PROPERTIES.match(raw)
    return found.end() if found else 0


def _is_open_line(source: bytes, place: int) -> bool:
    """Say whether something stands before ``place`` on its line."""
    return bool(source[source.rfind(b"\n", 0, place) + 1 : place].removeprefix(_MARK).strip(b" "))


def _has_room(document: Document, leaf: Leaf, block: str, indent: int) -> bool:
    """Say whether a block scalar can stand in the place of ``leaf``.

    Behind it there must be a line end, which is part of its value; no blank line if it keeps those; and no
    comment as far in as its lines.
    """
    comment = _NEXT_COMMENT.match(document.source, leaf.span.end)
    if comment is not None and len(comment[1]) >= indent:
        return False
    behind = {"+": _BEHIND_KEPT, "-": _BEHIND_STRIPPED, "|": _BEHIND}[chomping(block)]
    return behind.match(document.source, leaf.span.end) is not None


__all__ = ["YamlCodec", "check_text", "read_assembly"]
