"""How a YAML document is laid out: what new entries of it should look like, judged by those that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from secretsmith.documents.scalartext import needs_quotes
from secretsmith.documents.tree import Container, Document, Leaf, LeafKind, TreePath
from secretsmith.documents.yamlemit import Layout, text_of

_METADATA: Final = re.compile(rb"(?: *)[^\n]*\n( +)")
_METADATA_LIST: Final = re.compile(rb"\n( +)[a-z_\"']+: *\r?\n( +)- ")


def layout_of(document: Document, near: TreePath = ()) -> Layout:
    """Find how a document indents: what is nearest to ``near`` shows it for its column, the first for the others."""
    maps: dict[int, tuple[int, int]] = {}
    lists: dict[int, tuple[int, int]] = {}
    step = inner_step = offset = None
    exact = []
    for each, parent in _samples(document):
        further = each.indent - parent.indent
        closeness = -1 if each.document else _shared(each.path, near)
        known = maps if each.kind == "map" else lists
        if closeness > known.get(parent.indent, (-2, 0))[0]:
            known[parent.indent] = closeness, each.indent
        if each.kind == "list":
            offset = further if offset is None else offset
        else:
            exact.append((parent.indent, further))
            inner_step = inner_step or further
            if step is None and all(isinstance(segment, str) for segment in parent.path):
                step = further
    if step is None:
        step = offset if offset and offset > 1 else inner_step or 4
    return Layout(
        min(step, 8),
        offset if offset is not None and offset != step else None,
        # go-yaml goes to the next multiple of the step; people count from where they are.
        rounded=not any(column % step and further == step for column, further in exact),
        map_columns={column: found for column, (_, found) in maps.items()},
        list_columns={column: found for column, (_, found) in lists.items()},
    )


def _samples(document: Document) -> Iterable[tuple[Container, Container]]:
    """Give the mappings and lists in block style that are values of keys, each with the mapping it is in."""
    for each in document.containers:
        if each.path and each.style == "block":
            parent = document.container(each.path[:-1], each.document)
            if parent is not None and parent.kind == "map" and parent.style == "block":
                yield each, parent


def _shared(path: TreePath, other: TreePath) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(path, other, strict=False)))


def metadata_layout(document: Document) -> Layout:
    """Find how the metadata block indents; without one, how the document does."""
    layout = layout_of(document)
    block = b"".join(document.source[span.start : span.end] for span in document.metadata_spans[:1])
    found = _METADATA.match(block)
    if found is None:
        return layout
    root = document.container(())
    step = len(found[1]) - (root.indent if root is not None else 0)
    listed = _METADATA_LIST.search(block)
    if listed is None or not 0 < step <= 8:
        return layout
    offset = len(listed[2]) - len(listed[1])
    usual = Layout(step).inner(len(listed[1])) - len(listed[1])
    return Layout(step, None if offset == usual else offset)


def quotes_of_values(leaves: Iterable[Leaf]) -> str | None:
    """Tell the quotes that all of these texts have without need: ``"``, ``'``, ``""`` for none; None: nothing tells."""
    return _common(
        leaf.raw[:1]
        for leaf in leaves
        if leaf.kind is LeafKind.STRING and b"\n" not in leaf.raw and _is_free(leaf.plain)
    )


def quotes_of_keys(keys: Iterable[tuple[str, bytes]]) -> str | None:
    """Tell the quotes of keys, each given with the byte it begins with, as :func:`quotes_of_values`."""
    return _common(first for key, first in keys if _is_free(key.encode("utf-8")))


def _is_free(plain: bytes) -> bool:
    text = None if plain.startswith(b"ENC[") else text_of(plain)
    return text is not None and not needs_quotes(text)


def _common(firsts: Iterable[bytes]) -> str | None:
    found = {first.decode("ascii") if first[:1] in (b'"', b"'") else "" for first in firsts}
    return found.pop() if len(found) == 1 else None


__all__ = ["layout_of", "metadata_layout", "quotes_of_keys", "quotes_of_values"]
