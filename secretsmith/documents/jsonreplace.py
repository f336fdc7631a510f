"""JSON text that takes the place of a value of another shape, laid out as its surroundings are."""

from __future__ import annotations

import re

from secretsmith.documents.jsonwrite import Style, write_node
from secretsmith.documents.node import Node
from secretsmith.documents.tree import Document, Span

_FIRST = re.compile(rb"\{[ \t]*\r?\n([ \t]*)")
_INDENT = re.compile(rb"[ \t]*")


def replacing(document: Document, span: Span, value: Node) -> bytes:
    """Give the text of ``value`` for ``span``; on one line where the whole document is.

    Raises:
        RefusedInput: YAML_VALUE for infinity and NaN, ENCODING for text that is not UTF-8.
    """
    source = document.source
    first = _FIRST.match(source, document.containers[0].span.start)
    if first is None:
        return write_node(value, Style(None)).encode("utf-8")
    indent = _INDENT.match(source, source.rfind(b"\n", 0, span.start) + 1)
    lead = indent[0].decode("ascii") if indent else ""
    style = Style(first[1].decode("ascii"), document.newline.decode("ascii"))
    return write_node(value, style, lead).encode("utf-8")


__all__ = ["replacing"]
