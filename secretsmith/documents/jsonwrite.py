"""JSON text as sops writes it: ``": "``, one member a line, short escapes (sops, stores/json)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretsmith.documents.node import Comment, List, Map, Node, Scalar
from secretsmith.documents.scalartext import to_json_text
from secretsmith.documents.tree import LeafKind
from secretsmith.record import record


@record
class Style:
    """How JSON is laid out: ``unit`` is one step of indentation, or None for all on one line."""

    unit: str | None = "\t"
    newline: str = "\n"
    colon: str = ": "
    comma: str = ", "

    def line(self, lead: str) -> str:
        """Give what goes before a member that is ``lead`` deep."""
        return "" if self.unit is None else self.newline + lead

    def between(self, lead: str) -> str:
        """Give what goes between two members that are ``lead`` deep."""
        return self.comma if self.unit is None else "," + self.line(lead)


def write_node(node: Node, style: Style, lead: str = "") -> str:
    """Give ``node`` as JSON; ``lead`` is the indentation of its line. Comments have no place in JSON.

    Raises:
        RefusedInput: YAML_VALUE for infinity and NaN, ENCODING for text that is not UTF-8.
    """
    if isinstance(node, Scalar):
        return to_json_text(node.kind, node.plain)
    inner = lead + (style.unit or "")
    if isinstance(node, Map):
        brackets = "{}"
        members = [
            write_member(each[0], each[1], style, inner)
            for each in node.entries
            if not isinstance(each, Comment)
        ]
    else:
        brackets = "[]"
        members = [write_node(each, style, inner) for each in node.items if not isinstance(each, Comment)]
    if not members:
        return brackets
    text = style.between(inner).join(members)
    return brackets[0] + style.line(inner) + text + style.line(lead) + brackets[1]


def write_member(name: str, node: Node, style: Style, lead: str) -> str:
    """Give an entry of a mapping, its indentation not included."""
    key = to_json_text(LeafKind.STRING, name.encode("utf-8", "surrogatepass"))
    return key + style.colon + write_node(node, style, lead)


def node_of(value: Any) -> Node:
    """Give plain data, such as metadata, as a tree."""
    if isinstance(value, Mapping):
        return Map([(str(name), node_of(below)) for name, below in value.items()])
    if isinstance(value, list | tuple):
        return List([node_of(below) for below in value])
    if value is None:
        return Scalar(LeafKind.NULL)
    if isinstance(value, bool):
        return Scalar(LeafKind.BOOLEAN, b"True" if value else b"False")
    if isinstance(value, int):
        return Scalar(LeafKind.INTEGER, str(value).encode("ascii"))
    if isinstance(value, float):
        return Scalar(LeafKind.FLOAT, repr(value).encode("ascii"))
    return Scalar(LeafKind.STRING, str(value).encode("utf-8", "surrogatepass"))


__all__ = ["Style", "node_of", "write_member", "write_node"]
