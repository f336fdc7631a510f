"""A value as a person gives it, made ready for the place in a document where it goes; nothing is opened here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.givenvalue import given_json
from secretsmith.documents.node import Comment, List, Map, Node, Scalar, Value, same_values
from secretsmith.documents.scalartext import to_text
from secretsmith.documents.tree import LeafKind, TreePath, parse_tree_path
from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive

_TEXTS: Final = frozenset({Format.DOTENV, Format.INI})
"""Formats in which every value is a text, and every part of a path a key."""


def given_path(format: Format, key: str) -> TreePath:  # noqa: A002  # the word for it everywhere else
    """Read the slash path ``key`` for a document of ``format``.

    Raises:
        RefusedInput: USAGE for a path that is none; YAML_SHAPE or NAME for one that the format cannot have.
    """
    path = parse_tree_path(key)
    if not path:
        raise RefusedInput(Code.USAGE, "say which value, for instance: db/password")
    # The top of a document is a mapping, whatever the key looks like.
    path = (str(path[0]), *path[1:])
    if format in _TEXTS:
        path = tuple(map(str, path))
    elif path[0] == "sops":
        raise RefusedInput(Code.YAML_SHAPE, "the top-level key 'sops' belongs to sops")
    _require_held(format, path, Scalar(LeafKind.STRING, b"x"))
    return path


def given_node(format: Format, key: str, value: Sensitive, *, json: bool = False) -> Node:  # noqa: A002
    """Return ``value`` as it is put at ``key``: a text byte for byte, or what it says as JSON.

    Raises:
        RefusedInput: as :func:`given_path`; USAGE for JSON that is none; for what the format cannot hold, so that it could
            be read back: YAML_SHAPE, YAML_VALUE, YAML_CHAR, ENCODING. No message has anything of the value.
    """
    path = given_path(format, key)
    node: Node = given_json(value.expose()) if json else Scalar(LeafKind.STRING, value.expose())
    if format in _TEXTS and isinstance(node, Scalar):
        if node.kind is LeafKind.NULL:
            raise RefusedInput(
                Code.YAML_VALUE, f"{format} files have no null; give a text, which may be empty"
            )
        node = Scalar(LeafKind.STRING, to_text(node.kind, node.plain))
    _require_held(format, path, node)
    return node


def new_text(format: Format, path: TreePath, node: Node) -> bytes:  # noqa: A002
    """Return the text in clear of a document with nothing but ``node`` at ``path``.

    Raises:
        RefusedInput: what the format cannot hold.
    """
    for number in range(len(path) - 1, -1, -1):
        segment = path[number]
        node = Map([(segment, node)]) if isinstance(segment, str) else List([node])
    return codec_of(format).build(node, None)


def _require_held(format: Format, path: TreePath, node: Node) -> None:  # noqa: A002
    """Write the value in clear and read it: sealed, it would be found out only when somebody wants to see it."""
    meant = list(_values(node))
    leaves = codec_of(format).read(new_text(format, path, node)).leaves
    found = [(leaf.kind, leaf.plain) for leaf in leaves]
    if not same_values(found, meant) or any(leaf.path[: len(path)] != _first(path) for leaf in leaves):
        raise RefusedInput(
            Code.YAML_VALUE,
            f"{format} files cannot hold this value here so that it reads back the same",
            hints=("YAML and JSON can hold any text; any bytes at all: a secret of its own, NAME.age",),
        )


def _first(path: TreePath) -> TreePath:
    """Return where ``path`` leads in a document that has nothing else: lists have one item."""
    return tuple(segment if isinstance(segment, str) else 0 for segment in path)


def _values(node: Node) -> Iterator[Value]:
    if isinstance(node, Scalar):
        yield node.kind, node.plain
        return
    for each in node.entries if isinstance(node, Map) else node.items:
        if not isinstance(each, Comment):
            yield from _values(each[1] if isinstance(each, tuple) else each)


__all__ = ["given_node", "given_path", "new_text"]
