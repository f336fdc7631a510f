"""The paths that people name values by, in documents whose lists hold sealed comments.

sops stores an encrypted comment of a list as an item. In the text it counts, for people it does not.
"""

from __future__ import annotations

from bisect import bisect_left

from secretsmith.documents.tree import Document, Leaf, LeafKind, TreePath

_SEALED_START = b"ENC[AES256_GCM,"
_LIST_COMMENT = b",type:comment]"


def is_list_comment(leaf: Leaf) -> bool:
    """Say whether a stored list item is a sealed comment."""
    if leaf.kind is not LeafKind.STRING or not leaf.path or isinstance(leaf.path[-1], str):
        return False
    return leaf.plain.startswith(_SEALED_START) and leaf.plain.endswith(_LIST_COMMENT)


def named_paths(document: Document) -> tuple[TreePath, ...]:
    """Give each leaf the path that people know: comments that stand as list items are not counted."""
    hidden = _hidden(document)
    if not hidden:
        return tuple(leaf.path for leaf in document.leaves)
    return tuple(_counted(leaf, hidden) for leaf in document.leaves)


def stored_path(document: Document, path: TreePath) -> TreePath:
    """Turn a path that people know into the one in the text of the first document: :func:`named_paths` undone.

    Whether a number is a key or a place is for the document to say, as far as it goes.
    """
    hidden = _hidden(document)
    stored: TreePath = ()
    for segment in path:
        container = document.container(stored)
        if container is not None and container.kind == "map":
            stored = (*stored, str(segment))
        elif isinstance(segment, int):
            stored = (*stored, _nth(segment, hidden.get((0, stored), [])))
        else:
            stored = (*stored, segment)
    return stored


def _hidden(document: Document) -> dict[tuple[int, TreePath], list[int]]:
    """Give the places that sealed comments take, rising, by list."""
    hidden: dict[tuple[int, TreePath], list[int]] = {}
    for leaf in document.leaves:
        if is_list_comment(leaf):
            place = leaf.path[-1]
            hidden.setdefault((leaf.document, leaf.path[:-1]), []).append(int(place))
    return hidden


def _counted(leaf: Leaf, hidden: dict[tuple[int, TreePath], list[int]]) -> TreePath:
    named: TreePath = ()
    for depth, segment in enumerate(leaf.path):
        if isinstance(segment, int):
            segment -= bisect_left(hidden.get((leaf.document, leaf.path[:depth]), []), segment)
        named = (*named, segment)
    return named


def _nth(place: int, hidden: list[int]) -> int:
    """Give the place of the item number ``place`` of those that are not hidden."""
    for one in hidden:
        place += one <= place
    return place


__all__ = ["is_list_comment", "named_paths", "stored_path"]
