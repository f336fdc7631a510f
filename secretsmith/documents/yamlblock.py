"""A strict reader of the YAML that documents are nearly always written in: block style, a line at a time.

Mappings and lists by indentation; plain, quoted and block scalars; ``{}`` and ``[]``; comments; streams of
documents; everything that sops itself writes. One pass over the bytes, no backtracking: every expression is
possessive. Whatever goes beyond, right or wrong, is left to the full reader.
Sources: YAML 1.2.2; go-yaml v3 scannerc.go for block scalars.
"""

from __future__ import annotations

import re
from typing import Final

from secretsmith.documents.node import Value
from secretsmith.documents.scalar import resolve_yaml
from secretsmith.documents.sourcetext import too_big
from secretsmith.documents.tree import LeafKind
from secretsmith.documents.yamlassembly import Assembly
from secretsmith.documents.yamlblockscalar import read_block_scalar
from secretsmith.documents.yamllines import (
    BLANK_LINES,
    BLOCK_VALUE,
    COMMENT,
    DOUBLE_VALUE,
    EMPTY_VALUE,
    LINE,
    MAX_KEY,
    MAY_BE_OTHER,
    MERGE,
    ODD,
    ODD_BREAK,
    ONLY_IN_COMMENTS,
    PLAIN_VALUE,
    SEPARATOR,
    SINGLE_VALUE,
    VALUE,
    Outside,
    double_content,
    kind_of,
    single_content,
)
from secretsmith.documents.yamlsimple import read_simple
from secretsmith.errors import Code, RefusedInput

MAX_LONG_WAYS: Final = 100_000
"""Entries that are more than a word behind a word, and numbers: each costs as much as two or three of the others."""


def read_block(source: bytes, *, entries: bool = False) -> Assembly | None:
    """Read ``source``, a text that :func:`check_text` has passed; ``None`` if it is beyond the subset.

    ``entries``: note where each entry stands.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, YAML_DEPTH, YAML_DUP, YAML_VALUE, YAML_SHAPE, NAME_DUP, ENCODING.
    """
    reader = _Reader(Assembly(source, entries))
    try:
        reader.run()
    except Outside:
        return None
    return reader.assembly


class _Reader:
    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.source = assembly.source
        # Where a null would stand, if nothing comes: behind a key or dash.
        self.due: int | None = None
        self.long_ways = 0
        # Short values that have been resolved.
        self.known: dict[str, Value] = {}
        # A mark `---` has been read for this document.
        self.marked = False
        # Half of an entry, `? key`, has been read.
        self.asked = False
        # Behind the mark `...` only comments and another document may come.
        self.ended = False
        # U+2028 and U+2029 are line ends to go-yaml, and sops writes them as such in some values and comments.
        self.separated = (
            not assembly.source.isascii() and ODD.search(assembly.source, assembly.origin) is not None
        )

    def run(self) -> None:
        size, at, simple = len(self.source), self.assembly.origin, not self.separated
        while at < size:
            source = self.source
            if simple and self.due is None and not self.asked and self.assembly.stack:
                at = read_simple(self.assembly, at, self.resolve)
                if at == size:
                    break
            blank = BLANK_LINES.match(source, at)
            if blank is not None:
                at = blank.end()
                continue
            stop = source.find(b"\n", at)
            following = size if stop < 0 else stop + 1
            line = source[at : size if stop < 0 else stop]
            if line.endswith(b"\r"):
                line = line[:-1]
            at = self.line(line, at, following)
        if not self.ended:
            self.end_document(size)
        self.assembly.place(None)

    def line(self, line: bytes, at: int, following: int) -> int:
        """Read the line at ``at``; give where to go on: ``following``, unless a block scalar goes further."""
        if self.separated and ONLY_IN_COMMENTS.search(line) and not line.lstrip(b" ").startswith(b"#"):
            raise Outside
        if line[:3] in (b"---", b"...") and (len(line) == 3 or line[3] == 0x20):
            self.mark(line, at)
            return following
        found = LINE.match(line)
        if found is None:
            raise Outside
        rest = found[4]
        if found[3] is None and not found[2] and rest != b"-":
            return self.other(line, rest, at, following)
        if self.ended or self.asked:
            raise Outside
        self.count()
        self.structure(found, at)
        if found[3] is not None:
            self.key(found[3], at + found.start(3), at + found.end(3))
        elif rest == b"-":
            rest = b""
        return self.value(rest, at + found.start(4), following)

    def count(self) -> None:
        """Count what takes the long way."""
        self.long_ways += 1
        if self.long_ways > MAX_LONG_WAYS:
            raise too_big()

    def other(self, line: bytes, rest: bytes, at: int, following: int) -> int:
        """Read a line without key and dash: nothing, a comment, or half of an entry with a long key."""
        if not rest:
            return following
        start = at + len(line) - len(rest)
        if rest.startswith(b"#"):
            return self.comment(rest, start, at, following)
        if self.ended:
            raise Outside
        if rest.startswith(b"? ") and not self.asked:
            return self.ask(rest, start, start - at, following)
        if self.asked and rest[:2] in (b":", b": ") and self.assembly.stack[-1].indent == start - at:
            return self.answer(line, start, at, following)
        raise Outside

    def comment(self, rest: bytes, start: int, at: int, following: int) -> int:
        """Read a line that is a comment."""
        if self.asked:
            raise Outside
        found = ODD_BREAK.search(rest) if self.separated else None
        if found is None:
            self.assembly.wait(start, start + len(rest))
            return following
        if not self.assembly.cut_comment(start + found.start(), start + found.end()):
            raise Outside
        self.source = self.assembly.source
        return at

    def ask(self, rest: bytes, start: int, column: int, following: int) -> int:
        """Read ``? key``, as sops writes keys that are long or of several lines."""
        self.enter(column, start - column, listed=False)
        assembly = self.assembly
        assembly.place(start)
        key = rest[2:].lstrip(b" ")
        begin = start + len(rest) - len(key)
        found = VALUE.match(key)
        if found is None or found[COMMENT] or found[EMPTY_VALUE] is not None:
            raise Outside
        self.asked = True
        self.count()
        if found[BLOCK_VALUE] is not None:
            read = read_block_scalar(self.source, found[BLOCK_VALUE], following, column)
            if read is None:
                raise Outside
            assembly.key(read[0].decode("utf-8"), start, max(read[1], begin + found.end(BLOCK_VALUE)))
            return read[2]
        kind, plain = self.scalar(found, begin)
        if kind is not LeafKind.STRING:
            raise not_text(assembly, begin)
        assembly.key(plain.decode("utf-8"), start, begin + found.end(kind_of(found)))
        return following

    def answer(self, line: bytes, start: int, at: int, following: int) -> int:
        """Read ``: value`` as if it stood below the key: what begins behind the colon has its own column."""
        self.asked = False
        self.due = start + 1
        inner = line[: start - at] + b" " + line[start - at + 1 :]
        found = LINE.match(inner)
        if found is not None and (found[3] is not None or found[2]):
            return self.line(inner, at, following)
        rest = inner.lstrip(b" ")
        return self.value(rest, at + len(inner) - len(rest), following)

    def mark(self, line: bytes, at: int) -> None:
        behind = line[3:].lstrip(b" ")
        if behind and not behind.startswith(b"#"):
            raise Outside
        assembly = self.assembly
        if line.startswith(b"---"):
            # The first mark belongs to the first document, whatever comments come before it.
            if self.ended or assembly.started or self.marked:
                if not self.ended:
                    self.end_document(at)
                assembly.next_document()
            self.marked, self.ended = True, False
        elif self.ended or not (assembly.started or self.marked):
            raise Outside
        else:
            self.end_document(at)
            self.ended = True
        assembly.content_end, assembly.content_open = at + 3, False
        if behind:
            assembly.place(None)
            assembly.comment((), at + len(line) - len(behind), at + len(line))

    def end_document(self, at: int) -> None:
        if self.asked:
            raise Outside
        self.null()
        while self.assembly.stack:
            self.assembly.close()
        self.assembly.end_document(at)

    def null(self) -> None:
        """Give the value that was due and did not come."""
        if self.due is not None:
            self.assembly.value((LeafKind.NULL, b""), self.due, self.due)
            self.due = None

    def structure(self, found: re.Match[bytes], at: int) -> None:
        """Open and close what the indentation of a line opens and closes."""
        column = len(found[1])
        assembly = self.assembly
        listed = bool(found[2]) or (found[4] == b"-" and found[3] is None)
        self.enter(column, at, listed=listed)
        if assembly.waiting:
            assembly.place(at + column)
        if not listed:
            return
        dashes = [column + place for place, byte in enumerate(found[2]) if byte == 0x2D]
        if found[4] == b"-" and found[3] is None:
            dashes.append(column + len(found[2]))
        for number, dash in enumerate(dashes):
            if number:
                assembly.open("list", at + dash, dash, "block")
            assembly.item(at + dash)
            self.due = at + dash + 1
        if found[3] is not None:
            self.due = None
            inner = column + len(found[2])
            assembly.open("map", at + inner, inner, "block")

    def enter(self, column: int, at: int, *, listed: bool) -> None:
        """Make the container whose entries stand in ``column`` the innermost."""
        assembly = self.assembly
        stack = assembly.stack
        kind = "list" if listed else "map"
        if not stack:
            if assembly.started:
                raise Outside
            assembly.open("list" if listed else "map", at + column, column, "block")
            return
        top = stack[-1]
        if self.due is not None:
            if column > top.indent or (column == top.indent and listed and top.kind == "map"):
                self.due = None
                assembly.open("list" if listed else "map", at + column, column, "block")
                return
            self.null()
        while stack and (
            stack[-1].indent > column or (stack[-1].indent == column and stack[-1].kind != kind)
        ):
            assembly.close()
        if not stack or stack[-1].indent != column:
            raise Outside

    def key(self, key: bytes, start: int, end: int) -> None:
        assembly = self.assembly
        if end - start > MAX_KEY:
            raise Outside
        first = key[0]
        if first == 0x22:
            text = double_content(key)
        elif first == 0x27:
            text = single_content(key)
        elif key == MERGE:
            text = "<<"
        else:
            if self.separated and SEPARATOR.search(key):
                raise Outside
            text = key.decode("utf-8")
            if first in MAY_BE_OTHER and self.resolve(text, start)[0] is not LeafKind.STRING:
                raise not_text(assembly, start)
        assembly.key(text, start, end)
        self.due = end + 1

    def value(self, rest: bytes, start: int, following: int) -> int:
        """Read what stands behind a key or dash."""
        assembly = self.assembly
        if self.separated and SEPARATOR.search(rest) and b"#" in rest:
            self.refuse_in_comment(rest)
        if not rest or rest[0] == 0x23:
            if self.due is not None:
                assembly.content_end = self.due
                assembly.content_open = self.source[self.due - 1] == 0x3A
            if rest:
                assembly.inline(start, start + len(rest))
            return following
        found = VALUE.match(rest)
        if found is None:
            raise Outside
        self.due = None
        end = start + found.end(kind_of(found))
        if found[COMMENT]:
            assembly.inline(start + found.start(COMMENT), start + found.end(COMMENT))
        if found[BLOCK_VALUE] is not None:
            # The comment lies inside of the value: both cannot be replaced.
            assembly.aliased |= bool(found[COMMENT])
            return self.block(found[BLOCK_VALUE], start, following)
        if found[EMPTY_VALUE] is not None:
            self.empty(rest, start, end)
        else:
            assembly.value(self.scalar(found, start), start, end)
        return following

    def refuse_in_comment(self, rest: bytes) -> None:
        """Leave a comment behind a value that has several lines to go-yaml alone."""
        found = VALUE.match(rest)
        if rest.startswith(b"#") or (
            found is not None and found[COMMENT] and SEPARATOR.search(found[COMMENT])
        ):
            raise Outside

    def scalar(self, found: re.Match[bytes], start: int) -> Value:
        plain = found[PLAIN_VALUE]
        if plain is not None:
            if self.separated and SEPARATOR.search(plain):
                raise Outside
            if plain[0] not in MAY_BE_OTHER:
                return LeafKind.STRING, plain
            return self.resolve(plain.decode("utf-8"), start)
        double = found[DOUBLE_VALUE]
        text = double_content(double) if double is not None else single_content(found[SINGLE_VALUE])
        return LeafKind.STRING, text.encode("utf-8")

    def empty(self, rest: bytes, start: int, end: int) -> None:
        assembly = self.assembly
        indent = assembly.line_indent(assembly.line_start(start))
        assembly.open("map" if rest[0] == 0x7B else "list", start, indent, "flow")
        assembly.close(end)

    def block(self, header: bytes, start: int, following: int) -> int:
        assembly = self.assembly
        read = read_block_scalar(self.source, header, following, assembly.stack[-1].indent)
        if read is None:
            raise Outside
        text, end, after = read
        if self.separated and ONLY_IN_COMMENTS.search(text):
            raise Outside
        assembly.value((LeafKind.STRING, text), start, max(end, start + len(header)))
        return after

    def resolve(self, text: str, start: int) -> Value:
        known = self.known.get(text)
        if known is not None:
            return known
        self.count()
        try:
            found = resolve_yaml(text)
        except RefusedInput as error:
            refused = self.assembly.located(start, error)
        else:
            if len(text) < 8:
                self.known[text] = found
            return found
        raise refused


def not_text(assembly: Assembly, start: int) -> RefusedInput:
    """Give the error for a key that is a number, a date or the like."""
    return assembly.located(
        start,
        RefusedInput(
            Code.YAML_SHAPE, "a key is not a text, which sops needs", hints=("put the key in quotes",)
        ),
    )


__all__ = ["not_text", "read_block"]
