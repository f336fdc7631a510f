"""Trees of documents as plain data, for comparisons."""

from __future__ import annotations

import math

from secretsmith.documents.node import Comment, Map, Node, Scalar
from secretsmith.documents.scalar import to_python


def data_of(node: Node) -> object:
    """Give a tree as plain data that can be compared."""
    if isinstance(node, Scalar):
        value = to_python(node.kind, node.plain)
        if isinstance(value, float) and math.isnan(value):
            return "NaN"
        return value
    if isinstance(node, Map):
        return {entry[0]: data_of(entry[1]) for entry in node.entries if not isinstance(entry, Comment)}
    return [data_of(item) for item in node.items if not isinstance(item, Comment)]


def comments_of(node: Node) -> list[tuple[str, ...]]:
    """Give a tree's comments, each with the keys it stands under; which items of a list they precede is style."""
    if isinstance(node, Scalar):
        return []
    found: list[tuple[str, ...]] = []
    pairs = node.entries if isinstance(node, Map) else [("", item) for item in node.items]
    for pair in pairs:
        if isinstance(pair, Comment):
            found.append((pair.text.decode(),))
        elif isinstance(pair[1], Comment):
            found.append((pair[1].text.decode(),))
        else:
            found += [(pair[0], *comment) for comment in comments_of(pair[1])]
    return found


__all__ = ["comments_of", "data_of"]
