"""Whether a document has what a manifest's ``key`` names; the names in it are not encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from secretsmith.errors import Code, SecretsmithError
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.documents.node import Node
    from secretsmith.documents.sopsfile import SopsFile


@record
class Trouble:
    """Why a key will not do, as the end of a sentence; ``hint`` is "" when setting it is what helps."""

    code: Code
    why: str
    hint: str = ""


class KeysOfDocument:
    """The names of one document that was read. Each mapping is walked once, however many keys are asked for."""

    def __init__(self, file: SopsFile) -> None:
        from secretsmith.documents.naming import is_list_comment
        from secretsmith.documents.node import Map, document_trees
        from secretsmith.documents.tree import LeafKind

        # sops keeps a sealed comment of a list as an item of it, which is no place that people count.
        hidden = {
            index: (LeafKind.COMMENT, b"")
            for index, leaf in enumerate(file.document.leaves)
            if is_list_comment(leaf)
        }
        trees = tuple(document_trees(file.document, hidden))
        self._root: Node = next(iter(trees), Map())
        self._documents = len(trees)
        self._below: dict[int, Mapping[str, Node]] = {}

    def trouble_as_json(self) -> Trouble | None:
        """Return what is wrong with all of the document as JSON, None for nothing."""
        if self._documents < 2:
            return None
        why = f"which is a stream of {self._documents} documents, and JSON holds one"
        return Trouble(Code.YAML_SHAPE, why, 'leave out output, or declare output = "yaml"')

    def trouble(self, key: str, *, whole: bool) -> Trouble | None:
        """Return what is wrong with a slash path, None for nothing; ``whole`` allows a mapping or list."""
        from secretsmith.documents.node import Map, Scalar
        from secretsmith.documents.tree import parse_tree_path
        from secretsmith.policy.words import did_you_mean

        try:
            path = parse_tree_path(key)
        except SecretsmithError as error:
            return Trouble(error.code, f"and that is no key: {error.message}", "a key looks like: mail/smtp")
        node = self._root
        for segment in path:
            names = self._names(node)
            # A name in a list is no place, but a number is a fine key of a mapping.
            below = names.get(str(segment)) if isinstance(node, Map) or isinstance(segment, int) else None
            if below is None:
                near = did_you_mean(str(segment), names)
                return Trouble(Code.NOT_FOUND, "and there is no such key in it", near[0] if near else "")
            node = below
        if whole or isinstance(node, Scalar):
            return None
        what = "mapping" if isinstance(node, Map) else "list"
        return Trouble(
            Code.YAML_SHAPE,
            f"which is a {what} and no single value",
            'name a value in it, or declare output = "json" (or "yaml") for all of it',
        )

    def _names(self, node: Node) -> Mapping[str, Node]:
        found = self._below.get(id(node))
        if found is None:
            found = self._below[id(node)] = _names(node)
        return found


def _names(node: Node) -> Mapping[str, Node]:
    from secretsmith.documents.node import Comment, Map, Scalar

    if isinstance(node, Scalar):
        return {}
    if isinstance(node, Map):
        return dict(entry for entry in node.entries if isinstance(entry, tuple))
    items = (item for item in node.items if not isinstance(item, Comment))
    return {str(place): item for place, item in enumerate(items)}


__all__ = ["KeysOfDocument", "Trouble"]
