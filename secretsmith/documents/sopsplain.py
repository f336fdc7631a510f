"""The values of an opened sops document in clear: in the same text, as trees, as another format."""

from __future__ import annotations

import re
from collections.abc import Mapping

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.jsonwrite import Style, write_node
from secretsmith.documents.naming import is_list_comment
from secretsmith.documents.node import List, Map, Node, Scalar, Value, document_trees
from secretsmith.documents.scalartext import to_json_text, to_yaml_plain
from secretsmith.documents.sopsfile import SopsFile
from secretsmith.documents.sopsopen import OpenDocument
from secretsmith.documents.tree import Edit, Leaf, LeafKind, Span, TreePath, format_tree_path
from secretsmith.documents.yamlemit import Layout, list_lines
from secretsmith.errors import Code, NotFound

_DASH = re.compile(rb"-[ \t]+\Z")


def plaintext(opened: OpenDocument) -> bytes:
    """Give the document in clear in its own format: sealed texts replaced, the metadata block left out.

    Everything else keeps its bytes.
    """
    file = opened.file
    if file.format is Format.BINARY:
        return binary_value(opened)
    if file.document.aliased:
        return file.codec.build(trees(opened), None)
    edits = [Edit(span, b"") for span in file.document.metadata_spans]
    comments = _list_comments(file)
    for index, leaf in enumerate(file.document.leaves):
        kind, plain = opened.values[index]
        if (kind, plain) == (leaf.kind, leaf.plain):
            continue
        if kind is LeafKind.COMMENT and leaf.kind is not LeafKind.COMMENT:
            edits.append(
                _as_comment(file, leaf, plain, last=comments.get((leaf.document, leaf.path[:-1])) == index)
            )
        elif kind is LeafKind.COMMENT:
            edits.append(Edit(leaf.span, file.codec.comment(file.document, leaf, plain)))
        else:
            edits.append(Edit(leaf.span, file.codec.scalar(file.document, leaf, kind, plain)))
    return file.document.splice(edits)


def binary_value(opened: OpenDocument) -> bytes:
    """Give the one value of a binary document."""
    for leaf, (_, plain) in zip(opened.document.leaves, opened.values, strict=True):
        if leaf.path == ("data",):
            return plain
    raise NotFound(Code.NOT_FOUND, "the document has no value 'data', as a binary one must")


def _list_comments(file: SopsFile) -> Mapping[tuple[int, TreePath], int]:
    """Give the last item of each list that has nothing but sealed comments for items."""
    last: dict[tuple[int, TreePath], int] = {}
    others: set[tuple[int, TreePath]] = set()
    for index, leaf in enumerate(file.document.leaves):
        if is_list_comment(leaf):
            last[leaf.document, leaf.path[:-1]] = index
        elif leaf.kind is not LeafKind.COMMENT:
            others.update((leaf.document, leaf.path[:depth]) for depth in range(1, len(leaf.path)))
    others.update(
        (each.document, each.path[:depth])
        for each in file.document.containers
        if last
        for depth in range(1, len(each.path))
    )
    return {place: index for place, index in last.items() if place not in others}


def _as_comment(file: SopsFile, leaf: Leaf, text: bytes, *, last: bool) -> Edit:
    """Turn a list item into a comment, its dash included. ``last``: nothing else is left of the list."""
    source = file.document.source
    start = source.rfind(b"\n", 0, leaf.span.start) + 1
    dash = _DASH.search(source, start, leaf.span.start)
    newline = file.document.newline
    comment = newline.join(b"#" + line for line in text.split(b"\n"))
    if dash is None:
        # A list in brackets: a comment there would swallow the rest of the line. It is an item of no value.
        return Edit(leaf.span, file.codec.scalar(file.document, leaf, LeafKind.STRING, b"#" + text))
    if last:
        comment += newline + b" " * (dash.start() - start) + b"[]"
    return Edit(Span(dash.start(), leaf.span.end), comment)


def trees(opened: OpenDocument) -> tuple[Node, ...]:
    """Give the values as trees, one for each document of a stream."""
    return document_trees(opened.document, dict(enumerate(opened.values)))


def subtree(opened: OpenDocument, path: TreePath) -> Node:
    """Give what is at ``path`` of the first document, as people name it. Raises ``NotFound``."""
    node = trees(opened)[0]
    for segment in path:
        found: Node | None = None
        if isinstance(node, Map):
            found = dict(entry for entry in node.entries if isinstance(entry, tuple)).get(str(segment))
        elif isinstance(node, List) and isinstance(segment, int):
            items = [item for item in node.items if isinstance(item, Node)]
            found = items[segment] if segment < len(items) else None
        if found is None:
            shown = format_tree_path(path).encode("unicode_escape").decode("ascii")
            raise NotFound(Code.NOT_FOUND, f"nothing at '{shown}'")
        node = found
    return node


def part(opened: OpenDocument, path: TreePath) -> bytes:
    """Give the mapping or list at ``path`` as text of the document's format, YAML or JSON. Raises ``NotFound``."""
    return node_text(subtree(opened, path), opened.file.format)


def node_text(node: Node, format: Format) -> bytes:  # noqa: A002  # the word for it everywhere else
    """Give a mapping, list or value as a document of its own, in YAML or JSON.

    Raises:
        RefusedInput: for values that the format cannot hold.
    """
    if format is Format.JSON:
        return (write_node(node, Style()) + "\n").encode("utf-8")
    if isinstance(node, Scalar):
        return (to_yaml_plain(node.kind, node.plain) + "\n").encode("utf-8")
    if isinstance(node, List) and node.items:
        return "".join(line + "\n" for line in list_lines(node, 0, Layout())).encode("utf-8")
    return b"[]\n" if isinstance(node, List) else codec_of(format).build(node, None)


def leaf_text(value: Value, format: Format) -> bytes:  # noqa: A002
    """Give one value alone: a string byte for byte, others as ``format`` writes them, without a line end."""
    kind, plain = value
    if kind in (LeafKind.STRING, LeafKind.BYTES):
        return plain
    write = to_json_text if format is Format.JSON else to_yaml_plain
    return write(kind, plain).encode("utf-8")


def converted(opened: OpenDocument, format: Format) -> bytes:  # noqa: A002  # the word for it everywhere else
    """Give the values in another format, made anew; formats of one document show the first of a stream.

    Raises:
        RefusedInput: for values that the format cannot hold.
    """
    if format is opened.file.format:
        return plaintext(opened)
    if format is Format.BINARY:
        return binary_value(opened)
    found = trees(opened)
    return codec_of(format).build(found if format is Format.YAML else found[0], None)


def values_at(opened: OpenDocument, path: TreePath) -> dict[TreePath, Value]:
    """Give the values at and below ``path`` of the first document, by the paths that people know."""
    return {
        known: opened.values[index]
        for known, index in opened.file.by_name.items()
        if known[: len(path)] == path
    }


__all__ = [
    "binary_value",
    "converted",
    "leaf_text",
    "node_text",
    "part",
    "plaintext",
    "subtree",
    "trees",
    "values_at",
]
