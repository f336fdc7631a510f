r"""Dotenv documents, exactly as sops reads them: lines, the first ``=``, nothing else.

Quotes, blanks and a carriage return are data; the two characters ``\n`` in a value are a line end; a line
that begins with ``#`` is a comment, and a ``#`` further on is not. The metadata are lines whose key begins
with ``sops_``. Source: sops, stores/dotenv/store.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from secretsmith.documents.flatten import flatten, unflatten
from secretsmith.documents.format import Format
from secretsmith.documents.node import Comment, Map, Node, Scalar
from secretsmith.documents.scalartext import to_text
from secretsmith.documents.sourcetext import (
    check_lines,
    check_look_alikes,
    check_source,
    hinted,
    line_of,
    refuse_twice,
    shown,
)
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

_PREFIX: Final = "sops_"
_LINE = re.compile(rb"(?=[^\n])([^=\n]*+)(=?)([^\n]*+)\n?")


class _Lines:
    """The lines of a document, sorted into values, comments and metadata."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.leaves: list[Leaf] = []
        self.metadata: dict[str, str] = {}
        self.blocks: list[Span] = []
        self._names: dict[str, None] = {}

    def read(self) -> None:
        for line in _lines(self.source):
            if line[0].startswith(b"#"):
                self._comment(line)
            else:
                self._entry(line)
        check_look_alikes(self._names)

    def _comment(self, line: re.Match[bytes]) -> None:
        raw = line[0].removesuffix(b"\n")
        span = Span(line.start(), line.start() + len(raw))
        self.leaves.append(Leaf((), LeafKind.COMMENT, span, raw, raw[1:]))

    def _entry(self, line: re.Match[bytes]) -> None:
        if not line[2]:
            raise self._no_entry(line)
        name = line[1].decode("utf-8")
        if name in self._names:
            raise refuse_twice(self.source, line.start(), name)
        self._names[name] = None
        if name.startswith(_PREFIX):
            self.metadata[name] = line[3].decode("utf-8")
            self._extend(Span(*line.span()))
        else:
            span = Span(*line.span(3))
            self.leaves.append(Leaf((name,), LeafKind.STRING, span, line[3], _decoded(line[3])))

    def _extend(self, span: Span) -> None:
        if self.blocks and self.blocks[-1].end == span.start:
            span = Span(self.blocks.pop().start, span.end)
        self.blocks.append(span)

    def _no_entry(self, line: re.Match[bytes]) -> RefusedInput:
        hint = "a line is KEY=value, a comment with '#' at its very beginning, or empty"
        if line[0].strip(b"\r\n") == b"":
            hint = "sops takes only LF as the end of a line here; convert the file from CRLF"
        # Nothing of the line: it may be a secret.
        return RefusedInput(
            Code.YAML_SYNTAX,
            f"line {line_of(self.source, line.start())}: no '=' in a line of a dotenv file",
            hints=(hint,),
        )


def _lines(source: bytes) -> Iterator[re.Match[bytes]]:
    """Give the lines that are not empty."""
    return _LINE.finditer(source)


def _decoded(raw: bytes) -> bytes:
    return raw.replace(b"\\n", b"\n")


def _encoded(plain: bytes) -> bytes:
    """Give a value as it stands in a line, if the line says the same when it is read."""
    raw = plain.replace(b"\n", b"\\n")
    if _decoded(raw) != plain:
        raise RefusedInput(
            Code.YAML_VALUE,
            "a dotenv file cannot hold a value with a backslash before an 'n': it would be read as a line end",
            hints=("JSON and YAML can: --output-type json",),
        )
    _check_text(raw)
    return raw


def _check_text(raw: bytes) -> None:
    if b"\0" in raw:
        raise RefusedInput(Code.YAML_CHAR, "a dotenv file cannot hold a NUL character")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedInput(Code.ENCODING, "a dotenv file cannot hold a value that is not UTF-8") from None


def _entry(path: TreePath, value: Node) -> bytes:
    """Give ``KEY=value`` without a line end."""
    if len(path) != 1 or not isinstance(value, Scalar):
        raise RefusedInput(
            Code.YAML_SHAPE,
            f"'{format_tree_path(path)}': a dotenv file has one level of keys, each with one value",
        )
    name = str(path[0])
    if name.startswith(_PREFIX):
        raise RefusedInput(Code.YAML_SHAPE, "keys that begin with 'sops_' belong to sops in a dotenv file")
    if name.startswith("#") or re.search("[=\n\0]", name):
        raise RefusedInput(Code.NAME, f"'{shown(name)}' cannot be a key of a dotenv file")
    key = name.encode("utf-8", "surrogatepass")
    _check_text(key)
    return key + b"=" + _encoded(to_text(value.kind, value.plain))


def _comment(text: bytes) -> bytes:
    if b"\n" in text:
        raise RefusedInput(Code.YAML_VALUE, "a comment in a dotenv file has one line")
    _check_text(text)
    return b"#" + text


class DotenvCodec:
    """The codec of dotenv files. All values are strings."""

    @hinted
    def read(self, source: bytes) -> Document:
        """Read a document. The metadata's spans are its lines, one span for each run of them.

        Raises:
            RefusedInput: EMPTY (also for comments alone), TOO_BIG, ENCODING, YAML_CHAR, YAML_DUP, NAME_DUP,
                YAML_SYNTAX, FORMAT.
            Conflict: CONFLICT.
        """
        check_source(source, "dotenv")
        check_lines(source)
        lines = _Lines(source)
        lines.read()
        if not lines.metadata and all(leaf.kind is LeafKind.COMMENT for leaf in lines.leaves):
            raise RefusedInput(Code.EMPTY, "the document has no values")
        if any(text.endswith("\r") for text in lines.metadata.values()):
            raise RefusedInput(
                Code.YAML_SYNTAX,
                "the lines end with CRLF, which sops cannot read in an encrypted dotenv file",
                hints=("turn off git's conversion of line ends for it: *.env -text in .gitattributes",),
            )
        values = any(leaf.kind is not LeafKind.COMMENT for leaf in lines.leaves)
        whole = Span(0, len(source))
        return Document(
            Format.DOTENV,
            source,
            tuple(lines.leaves),
            unflatten(lines.metadata, prefix=_PREFIX),
            (Container((), "map", whole, empty=not values),),
            tuple(lines.blocks) or (Span(len(source), len(source)),),
        )

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give a value as it stands behind the ``=``.

        Raises:
            RefusedInput: YAML_VALUE for a backslash before an ``n``; YAML_CHAR; ENCODING.
        """
        text = to_text(kind, plain)
        return leaf.raw if leaf is not None and leaf.plain == text else _encoded(text)

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Give a comment with its ``#``. Raises ``RefusedInput`` (YAML_VALUE) for several lines."""
        return _comment(text)

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Add a line behind the last value or comment.

        Raises:
            RefusedInput: EXISTS; YAML_SHAPE for nested values and keys of sops; NAME for keys that cannot
                be; what :meth:`scalar` raises.
        """
        line = _entry(path, value)
        if any(leaf.path == (str(path[0]),) for leaf in document.leaves):
            raise RefusedInput(Code.EXISTS, f"'{format_tree_path(path)}' is already there")
        source = document.source
        at = document.leaves[-1].span.end if document.leaves else document.metadata_spans[0].start
        if source[at : at + 1] == b"\n":
            at += 1
        ends = at == 0 or source[at - 1 : at] == b"\n"
        return (Edit(Span(at, at), line + b"\n" if ends else b"\n" + line),)

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Take away a line. Raises ``NotFound`` (NOT_FOUND)."""
        leaf = document.leaf(path)
        if not leaf.path:
            raise NotFound(Code.NOT_FOUND, "the document is not one value")
        source = document.source
        start = source.rfind(b"\n", 0, leaf.span.start) + 1
        end = leaf.span.end
        if source[end : end + 1] == b"\n":
            return (Edit(Span(start, end + 1), b""),)
        return (Edit(Span(max(0, start - 1), end), b""),)

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give all lines of the metadata, for the first of the spans; in a block's own order, else sorted."""
        known: list[str] = []
        lead = b""
        if document is not None and document.metadata_span is not None:
            known = [
                line[1].decode("utf-8")
                for span in document.metadata_spans
                for line in _lines(document.source[span.start : span.end])
            ]
            before = document.source[: document.metadata_span.start]
            lead = b"\n" if before and not before.endswith(b"\n") else b""
        lines = flatten(metadata, prefix=_PREFIX, like=known)
        return lead + "".join(f"{name}={text}\n" for name, text in lines.items()).encode("utf-8")

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a whole document; of several documents, the first.

        Raises:
            RefusedInput: what :meth:`insert` raises.
        """
        first = root[0] if isinstance(root, Sequence) and root else root
        if not isinstance(first, Map):
            raise RefusedInput(Code.YAML_SHAPE, "a dotenv document wants keys and values")
        lines: list[bytes] = []
        for each in first.entries:
            if isinstance(each, Comment):
                lines += (_comment(line) for line in each.text.split(b"\n"))
            else:
                lines.append(_entry((each[0],), each[1]))
        text = b"".join(line + b"\n" for line in lines)
        return text if metadata is None else text + self.format_metadata(None, metadata)


__all__ = ["DotenvCodec"]
