"""A value as it is given on a command line or through a pipe: JSON, or text."""

from __future__ import annotations

from secretsmith.documents.jsonread import read_json
from secretsmith.documents.node import Map, Node, document_tree
from secretsmith.errors import Code, RefusedInput, SecretsmithError


def given_json(text: bytes) -> Node:
    """Read one JSON value: a text in quotes, a number, ``true``, a list, an object.

    Raises:
        RefusedInput: USAGE for text that is not exactly one JSON value; its own text is not shown.
    """
    root: Node | None = None
    try:
        document = read_json(b'{"value": ' + text + b"\n}")
        root = None if document.metadata else document_tree(document)
    except SecretsmithError as error:
        reason = error.message
    else:
        reason = "something follows the value"
    # The text stands inside an object: a comma in it would make a second entry.
    if isinstance(root, Map) and len(root.entries) == 1 and isinstance(root.entries[0], tuple):
        return root.entries[0][1]
    raise RefusedInput(
        Code.USAGE, f"the value is not JSON: {reason}", hints=("a text is JSON in quotes: '\"like this\"'",)
    )


__all__ = ["given_json"]
