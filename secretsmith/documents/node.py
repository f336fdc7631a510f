"""A document's values as a tree, for output in another format and for documents made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from secretsmith.documents.tree import Container, Document, LeafKind, TreePath
from secretsmith.record import field, record


@record
class Scalar:
    """A value: its kind and sops's byte form of it (see :class:`Leaf`)."""

    kind: LeafKind
    plain: bytes = field(default=b"", repr=False)


@record
class Comment:
    """A comment before the next entry or item: the text after the ``#``, UTF-8."""

    text: bytes = field(repr=False)


@record
class Map:
    """A mapping, its entries in order, with the comments between them."""

    entries: list[tuple[str, Node] | Comment] = field(default_factory=list)


@record
class List:
    """A list, its items in order, with the comments between them."""

    items: list[Node | Comment] = field(default_factory=list)


Node = Map | List | Scalar

Value = tuple[LeafKind, bytes]
"""What a leaf holds: kind and byte form."""


def document_tree(document: Document, values: Mapping[int, Value] | None = None, number: int = 0) -> Node:
    """Give document ``number`` of a stream as a tree.

    ``values`` replace what the leaves hold, by their place in ``document.leaves``. A list item that is now a
    comment (so sops writes encrypted comments of lists) becomes one.
    """
    return document_trees(document, values)[number]


def document_trees(document: Document, values: Mapping[int, Value] | None = None) -> tuple[Node, ...]:
    """Give all documents of a stream as trees, each as :func:`document_tree`."""
    builder = _Builder(document)
    containers = iter((*document.containers, None))
    waiting = next(containers)
    for index, leaf in enumerate(document.leaves):
        # Containers open before what stands in them. Only empty ones need the comparison of places.
        while waiting is not None and (waiting.document, waiting.span.start) <= (
            leaf.document,
            leaf.span.start,
        ):
            builder.open(waiting)
            waiting = next(containers)
        kind, plain = (values or {}).get(index, (leaf.kind, leaf.plain))
        builder.add(leaf.document, leaf.path, kind, plain, comment=leaf.kind is LeafKind.COMMENT)
    while waiting is not None:
        builder.open(waiting)
        waiting = next(containers)
    return builder.roots()


class _Builder:
    def __init__(self, document: Document) -> None:
        self._kinds = {(each.document, each.path): each.kind for each in document.containers}
        self._made: dict[tuple[int, TreePath], Map | List] = {}

    def open(self, container: Container) -> None:
        self._container(container.document, container.path)

    def add(self, document: int, path: TreePath, kind: LeafKind, plain: bytes, *, comment: bool) -> None:
        if kind is LeafKind.COMMENT:
            parent = self._container(document, path if comment else path[:-1])
            (parent.entries if isinstance(parent, Map) else parent.items).append(Comment(plain))
        else:
            self._put(document, path, Scalar(kind, plain))

    def roots(self) -> tuple[Node, ...]:
        return tuple(
            made for (_, path), made in sorted(self._made.items(), key=lambda one: one[0][0]) if not path
        )

    def _container(self, document: int, path: TreePath) -> Map | List:
        made = self._made.get((document, path))
        if made is None:
            made = Map() if self._kinds.get((document, path), "map") == "map" else List()
            self._made[document, path] = made
            if path:
                self._put(document, path, made)
        return made

    def _put(self, document: int, path: TreePath, node: Node) -> None:
        parent = self._container(document, path[:-1])
        if isinstance(parent, List):
            parent.items.append(node)
        else:
            parent.entries.append((str(path[-1]), node))


def same_values(left: Iterable[Value], right: Iterable[Value]) -> bool:
    """Compare two documents' values in order, comments too."""
    return [_comparable(value) for value in left] == [_comparable(value) for value in right]


def _comparable(value: Value) -> Value:
    # sops has no bytes; 1.0 and 1 have the same form, and text formats do not tell them apart.
    kind, plain = value
    if kind is LeafKind.BYTES:
        return LeafKind.STRING, plain
    return (LeafKind.FLOAT if kind is LeafKind.INTEGER else kind), plain


def same_node(left: Node, right: Node) -> bool:
    """Compare two trees: keys in order, kinds and values; comments, and what is a float and what an int, do not count."""
    if isinstance(left, Scalar) or isinstance(right, Scalar):
        return (
            isinstance(left, Scalar)
            and isinstance(right, Scalar)
            and same_values([(left.kind, left.plain)], [(right.kind, right.plain)])
        )
    if isinstance(left, Map) and isinstance(right, Map):
        ours = [entry for entry in left.entries if isinstance(entry, tuple)]
        others = [entry for entry in right.entries if isinstance(entry, tuple)]
        return len(ours) == len(others) and all(
            one[0] == other[0] and same_node(one[1], other[1])
            for one, other in zip(ours, others, strict=True)
        )
    if isinstance(left, List) and isinstance(right, List):
        items = [item for item in left.items if isinstance(item, Node)]
        other_items = [item for item in right.items if isinstance(item, Node)]
        return len(items) == len(other_items) and all(map(same_node, items, other_items))
    return False


__all__ = [
    "Comment",
    "List",
    "Map",
    "Node",
    "Scalar",
    "Value",
    "document_tree",
    "document_trees",
    "same_node",
    "same_values",
]
