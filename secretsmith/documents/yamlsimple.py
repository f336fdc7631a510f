"""The lines that most are, read in one go: a key or dash with a value behind it, comments, and blank lines.

This is where the time goes that a large document takes; nothing in here is done elsewhere in another way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from secretsmith.documents.node import Value
from secretsmith.documents.sourcetext import refuse_twice
from secretsmith.documents.tree import Leaf, LeafKind, Span
from secretsmith.documents.yamlassembly import METADATA_KEY, Assembly
from secretsmith.documents.yamlframes import Entry, Frame
from secretsmith.documents.yamllines import (
    BLANK_LINES,
    COMMENT_LINE,
    MAX_KEY,
    MAY_BE_OTHER,
    OTHER_WORDS,
    SIMPLE,
)

_RESERVED: Final = METADATA_KEY.encode("ascii")


def read_simple(assembly: Assembly, at: int, resolve: Callable[[str, int], Value]) -> int:
    """Read lines from ``at`` on for as long as they go on in the innermost container; give where that ends.

    Raises:
        RefusedInput: TOO_BIG, YAML_DUP, YAML_VALUE.
    """
    top = assembly.stack[-1]
    if top.data is not None:
        return at
    source, number, leaves, waiting = assembly.source, assembly.number, assembly.leaves, assembly.waiting
    is_map, indent, base = top.kind == "map", top.indent, top.path
    depth = len(base) + 1
    while True:
        found = SIMPLE.match(source, at)
        if found is None:
            following = _between(assembly, at)
            if following == at:
                return at
            at = following
            continue
        start, text = found.end(1), found[3]
        if start - at != indent or (found[2] is None) is is_map or (waiting and not waiting.goes_on(top)):
            return at
        if (slot := _slot(assembly, top, found) if is_map else top.count) is None:
            return at
        if waiting:
            assembly.place_here(top)
        place, key_end = found.start(3), found.end(2) if is_map else start + 1
        kind, plain = LeafKind.STRING, text
        if text[0] in MAY_BE_OTHER:
            kind, plain = resolve(text.decode("utf-8"), place)
        assembly.count(depth)
        path = (*base, slot)
        leaves.append(Leaf(path, kind, Span(place, place + len(text)), text, plain, number))
        at = found.end()
        top.count += 1
        top.slot, top.entry_start, top.key_end, top.end = slot, start, key_end, at
        assembly.content_end, assembly.content_open = place + len(text), False
        if assembly.want_entries:
            assembly.entries[number, path] = Entry(start, key_end, place, at)


def _between(assembly: Assembly, at: int) -> int:
    """Read a comment or blank lines, if there are any; give where that ends."""
    comment = COMMENT_LINE.match(assembly.source, at)
    if comment is not None:
        assembly.wait(*comment.span(1))
        return comment.end()
    blank = BLANK_LINES.match(assembly.source, at)
    return at if blank is None else blank.end()


def _slot(assembly: Assembly, top: Frame, found: re.Match[bytes]) -> str | None:
    """Take a key; ``None`` for one that is not simple after all."""
    key = found[2]
    if key in OTHER_WORDS or len(key) > MAX_KEY or (top.parent is None and key == _RESERVED):
        return None
    slot: str = key.decode("utf-8")
    if slot in top.keys:
        raise refuse_twice(assembly.source, found.start(2), slot)
    top.keys.add(slot)
    return slot


__all__ = ["read_simple"]
