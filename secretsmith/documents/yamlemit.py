"""YAML text made anew, in the style of sops: block style, indent 4, lists indented, one line a value.

Source: go-yaml v3, emitterc.go (yaml_emitter_increase_indent, yaml_emitter_select_scalar_style). Not byte for
byte: what is printable stays readable, and an indentation digit always says what is so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from secretsmith.documents.node import Comment, List, Map, Node, Scalar
from secretsmith.documents.scalar import to_yaml_plain
from secretsmith.documents.scalartext import double_quoted, needs_quotes, single_quoted
from secretsmith.documents.tree import LeafKind
from secretsmith.record import field, record

_MERGE: Final = "<<"
# Longer keys need the form `? key`: readers look for the colon in 1024 characters.
_MAX_KEY: Final = 900
# What cannot stand in a block scalar: controls, what some readers take for a line end, spaces before one.
_NOT_LITERAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]|[ \t]\n|[ \t]\\Z"
)
_ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_LINE_ENDS = re.compile("[\n\x85\u2028\u2029]")


@record
class Layout:
    """How a document indents and quotes.

    ``step`` is the width of a level, ``list_offset`` how far lists stand in from their key where that differs.
    ``rounded``: levels are multiples of the step. The columns say it for some columns in particular.
    ``quote`` and ``key_quote``: what texts and keys are put in that could do without (``""`` for nothing;
    None: nothing known). ``blocks``: which marks of block scalars may be used, for what stands behind them.
    """

    step: int = 4
    list_offset: int | None = None
    rounded: bool = True
    map_columns: Mapping[int, int] = field(default_factory=dict)
    list_columns: Mapping[int, int] = field(default_factory=dict)
    quote: str | None = None
    key_quote: str | None = None
    blocks: str = "|-+"

    def inner(self, indent: int) -> int:
        """Give the column of what is below ``indent``; go-yaml goes to the next multiple of the step."""
        known = self.map_columns.get(indent)
        if known is not None:
            return known
        return self.step * ((indent + self.step) // self.step) if self.rounded else indent + self.step

    def listed(self, indent: int) -> int:
        """Give the column of the dashes of a list whose key is at ``indent``."""
        known = self.list_columns.get(indent)
        if known is not None:
            return known
        return self.inner(indent) if self.list_offset is None else indent + self.list_offset


def literal(text: str, parent: int, indent: int) -> str | None:
    """Write ``text`` as ``|`` with its lines at ``indent``, without the last line end; ``None`` if it cannot be.

    ``parent`` is the column of the entries of the mapping or list that it is in.
    """
    body = text.rstrip("\n")
    first = body.lstrip("\n")
    if not first or first[0] == "\t" or _NOT_LITERAL.search(text):
        return None
    if first[0] == " " and indent - parent > 9:
        return None
    digit = str(indent - parent) if first[0] == " " else ""
    ends = len(text) - len(body)
    chomp = ("-", "", "+")[min(ends, 2)]
    pad = " " * indent
    lines = [pad + line if line else "" for line in body.split("\n")] + [""] * max(0, ends - 1)
    return "\n".join([f"|{digit}{chomp}", *lines])


def folded(text: str, parent: int, indent: int) -> str | None:
    """Write ``text`` as ``>``, each of its lines on one, see :func:`literal`."""
    body = text.rstrip("\n")
    if any(not line or line[0] in " \t" for line in body.split("\n")):
        return None
    block = literal(body.replace("\n", "\n\n") + text[len(body) :], parent, indent)
    return None if block is None else ">" + block[1:]


def chomping(block: str) -> str:
    """Tell what the first line of a block scalar says of line ends: ``|`` (one), ``-`` (none), ``+`` (all)."""
    last = block.partition("\n")[0][-1]
    return last if last in "-+" else "|"


def text_of(plain: bytes) -> str | None:
    """Decode a string; ``None`` when it is not UTF-8."""
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        return None


def scalar_text(kind: LeafKind, plain: bytes, parent: int, indent: int, layout: Layout) -> str:
    """Write a value: strings of several lines as block scalars, see :func:`literal`, others on one line."""
    text = text_of(plain) if kind in (LeafKind.STRING, LeafKind.BYTES) else None
    if text is None:
        return to_yaml_plain(kind, plain)
    if "\n" in text:
        block = literal(text, parent, indent)
        if block is not None and chomping(block) in layout.blocks:
            return block
    return quoted_as(text, layout.quote)


def quoted_as(text: str, quote: str | None) -> str:
    """Write a text on one line, in these quotes if they can hold it."""
    if quote == '"':
        return double_quoted(text)
    written = to_yaml_plain(LeafKind.STRING, text.encode("utf-8", "surrogatepass"))
    return single_quoted(text) if quote == "'" and is_printable(text) else written


def is_printable(text: str) -> bool:
    """Say whether ``text`` needs no escapes."""
    return _ESCAPED.search(text) is None


def flow_text(node: Node, layout: Layout | None = None) -> str:
    """Write a tree on one line in brackets; texts in double quotes, as JSON has them, unless their neighbours are not."""
    layout = layout or Layout()
    if isinstance(node, Scalar):
        text = text_of(node.plain) if node.kind in (LeafKind.STRING, LeafKind.BYTES) else None
        if text is None:
            return to_yaml_plain(node.kind, node.plain, flow=True)
        return _quoted_in_brackets(text, layout.quote)
    if isinstance(node, Map):
        pairs = (entry for entry in node.entries if not isinstance(entry, Comment))
        return (
            "{"
            + ", ".join(f"{flow_key(key, layout)}: {flow_text(value, layout)}" for key, value in pairs)
            + "}"
        )
    return (
        "[" + ", ".join(flow_text(item, layout) for item in node.items if not isinstance(item, Comment)) + "]"
    )


def flow_key(key: str, layout: Layout | None = None) -> str:
    """Write a key in brackets, up to its colon."""
    text = _quoted_in_brackets(key, (layout or Layout()).key_quote)
    return f"? {text} " if len(text) > _MAX_KEY else text


def _quoted_in_brackets(text: str, quote: str | None) -> str:
    if quote == "" and not needs_quotes(text, flow=True):
        return text
    return single_quoted(text) if quote == "'" and is_printable(text) else double_quoted(text)


def comment_lines(text: bytes, pad: str) -> list[str]:
    """Write a comment with ``text`` after its mark; further lines get a mark of their own."""
    lines = _LINE_ENDS.split(text.decode("utf-8", "replace"))
    return [f"{pad}#" + _CONTROLS.sub("\ufffd", line) for line in lines]


def is_empty(node: Node) -> bool:
    """Say whether a mapping or list has nothing but comments."""
    if isinstance(node, Scalar):
        return False
    return all(isinstance(each, Comment) for each in (node.entries if isinstance(node, Map) else node.items))


def key_text(key: str, value: Node, quote: str | None = None) -> str:
    """Write a key; one of merging is only left unquoted before what can be merged, as sops demands."""
    if key == _MERGE and isinstance(value, Map):
        return key
    return quoted_as(key, quote)


def map_lines(node: Map, indent: int, layout: Layout) -> list[str]:
    """Write a mapping's entries, each line with its indentation and without its end."""
    lines: list[str] = []
    for entry in node.entries:
        if isinstance(entry, Comment):
            lines += comment_lines(entry.text, " " * indent)
        else:
            lines += entry_lines(*entry, indent, layout)
    return lines


def entry_lines(key: str, value: Node, indent: int, layout: Layout) -> list[str]:
    """Write one entry of a mapping."""
    pad = " " * indent
    text = key_text(key, value, layout.key_quote)
    head, before = f"{pad}{text}:", []
    if len(text) > _MAX_KEY:
        before, head = [f"{pad}? {text}"], f"{pad}:"
    if isinstance(value, Scalar):
        scalar = scalar_text(value.kind, value.plain, indent, layout.inner(indent), layout)
        return [*before, *f"{head} {scalar}".split("\n")]
    if is_empty(value):
        return [*before, *_only_comments(value, pad), head + (" {}" if isinstance(value, Map) else " []")]
    if isinstance(value, Map):
        return [*before, head, *map_lines(value, layout.inner(indent), layout)]
    return [*before, head, *list_lines(value, layout.listed(indent), layout)]


def _only_comments(node: Map | List, pad: str) -> list[str]:
    comments: Iterable[Any] = node.entries if isinstance(node, Map) else node.items
    return [line for each in comments for line in comment_lines(each.text, pad)]


def list_lines(node: List, indent: int, layout: Layout) -> list[str]:
    """Write a list's items, as :func:`map_lines`."""
    lines: list[str] = []
    for item in node.items:
        if isinstance(item, Comment):
            lines += comment_lines(item.text, " " * indent)
        else:
            lines += item_lines(item, indent, layout)
    return lines


def item_lines(item: Node, indent: int, layout: Layout, gap: int = 1) -> list[str]:
    """Write one item of a list, ``gap`` spaces behind its dash; a mapping or list in it begins on the same line."""
    pad = " " * indent
    head = f"{pad}-{' ' * gap}"
    if isinstance(item, Scalar):
        return f"{head}{scalar_text(item.kind, item.plain, indent, layout.inner(indent), layout)}".split("\n")
    if is_empty(item):
        return [*_only_comments(item, pad), head + ("{}" if isinstance(item, Map) else "[]")]
    before: list[str] = []
    parts = item.entries if isinstance(item, Map) else item.items
    while parts and isinstance(parts[0], Comment):
        # Behind the dash it would be a comment of the dash.
        before += comment_lines(parts[0].text, pad)
        parts = parts[1:]
    inner = indent + 1 + gap
    if isinstance(item, Map):
        lines = map_lines(Map([part for part in parts if isinstance(part, tuple | Comment)]), inner, layout)
    else:
        lines = list_lines(List([part for part in parts if not isinstance(part, tuple)]), inner, layout)
    return [*before, f"{head}{lines[0][inner:]}", *lines[1:]]


def tree_of(value: Any) -> Node:
    """Turn plain data, as metadata is, into a tree."""
    if isinstance(value, Mapping):
        return Map([(str(key), tree_of(each)) for key, each in value.items()])
    if isinstance(value, list | tuple):
        return List([tree_of(each) for each in value])
    if value is None:
        return Scalar(LeafKind.NULL)
    if isinstance(value, bool):
        return Scalar(LeafKind.BOOLEAN, b"True" if value else b"False")
    if isinstance(value, int):
        return Scalar(LeafKind.INTEGER, str(value).encode("ascii"))
    return Scalar(LeafKind.STRING, value if isinstance(value, bytes) else str(value).encode("utf-8"))


__all__ = [
    "Layout",
    "chomping",
    "comment_lines",
    "double_quoted",
    "entry_lines",
    "flow_key",
    "flow_text",
    "folded",
    "is_empty",
    "is_printable",
    "item_lines",
    "list_lines",
    "literal",
    "map_lines",
    "needs_quotes",
    "quoted_as",
    "scalar_text",
    "single_quoted",
    "text_of",
    "tree_of",
]
