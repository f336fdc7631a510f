"""A strict JSON reader that says where each value stands (RFC 8259; root must be an object).

It is linear in time, does not recurse, refuses duplicate keys, and is bounded in depth, size and number of
values. Sources for what things mean: sops, stores/json; Go, encoding/json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

from secretsmith.documents.format import Format
from secretsmith.documents.scalar import resolve_json
from secretsmith.documents.sourcetext import (
    MAX_DEPTH,
    MAX_SEGMENTS,
    MAX_VALUES,
    at_line,
    check_look_alikes,
    check_source,
    hinted,
    line_of,
    newline_of,
    refuse_twice,
    too_big,
)
from secretsmith.documents.tree import Container, Document, Leaf, LeafKind, Span, TreePath
from secretsmith.errors import Code, RefusedInput

METADATA_KEY: Final = "sops"

BLANKS: Final = b" \t\r\n"
# Possessive throughout: nothing is ever tried a second time.
_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
_SPACE = rb"[ \t\r\n]*+"
_START = re.compile(_SPACE)
_KEY = re.compile(rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE)
_VALUE = re.compile(rb"[{\[]" + _SPACE + rb"|" + _STRING + rb"|" + _NUMBER + rb"|true|false|null")
_AFTER = re.compile(_SPACE + rb"([,\]}])" + _SPACE)
_NO_NUMBER = re.compile(rb"[-+]?(?:NaN|Infinity|inf|nan)")
_CLOSERS: Final = {"map": b"}", "list": b"]"}
_SIMPLE: Final = {
    b"true": (LeafKind.BOOLEAN, b"True"),
    b"false": (LeafKind.BOOLEAN, b"False"),
    b"null": (LeafKind.NULL, b""),
}


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("count", "hidden", "indent", "kind", "names", "path", "place", "start")

    def __init__(self, path: TreePath, kind: Literal["map", "list"], start: int, *, hidden: bool) -> None:
        self.path = path
        self.kind = kind
        self.start = start
        self.hidden = hidden
        self.names: dict[str, None] = {}
        self.count = 0
        self.indent = 0
        self.place = -1


_Closed = tuple[TreePath, Literal["map", "list"], int, int, bool, int]
"""A container that has been read: path, kind, start, end, whether it is empty, indentation."""


class _Reader:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.stack: list[_Open] = []
        self.leaves: list[Leaf] = []
        self.containers: list[_Closed | None] = []
        self.metadata: tuple[int, int] | None = None
        self._count = 0
        self._segments = 0
        self._line_from = 0
        self._indent = 0

    def run(self) -> None:
        """Read everything; what was found is in the attributes."""
        source = self.source
        at = self._begin()
        while self.stack:
            top = self.stack[-1]
            path, at = self._key(top, at) if top.kind == "map" else ((*top.path, top.count), at)
            top.count += 1
            hidden = top.hidden or path == (METADATA_KEY,)
            found = _VALUE.match(source, at) or self._fail(at)
            self._account(len(path))
            if source[at] in b"{[":
                at = self._open(path, at, found.end(), hidden=hidden)
                continue
            if path == (METADATA_KEY,):
                raise shapeless(source, at)
            if not hidden:
                self._leaf(path, at, found)
            at = self._after(found.end())
        if at != len(source):
            self._fail(at)

    def _leaf(self, path: TreePath, at: int, found: re.Match[bytes]) -> None:
        raw = found[0]
        kind, plain = resolve_token(self.source, raw, at)
        self.leaves.append(Leaf(path, kind, Span(at, found.end()), raw, plain))

    def _begin(self) -> int:
        at = len(self.source) - len(self.source.lstrip(BLANKS))
        found = _VALUE.match(self.source, at) or self._fail(at)
        if self.source[at] != ord("{"):
            raise RefusedInput(
                Code.YAML_SHAPE, "the document is not a JSON object: sops wants keys and values"
            )
        return self._open((), at, found.end(), hidden=False)

    def _key(self, top: _Open, at: int) -> tuple[TreePath, int]:
        found = _KEY.match(self.source, at) or self._fail(at)
        name = resolve_token(self.source, found[1], at)[1].decode("utf-8")
        if name in top.names:
            raise refuse_twice(self.source, at, name)
        top.names[name] = None
        return (*top.path, name), found.end()

    def _account(self, segments: int) -> None:
        self._count += 1
        self._segments += segments
        if self._count > MAX_VALUES or self._segments > MAX_SEGMENTS:
            raise too_big()

    def _open(self, path: TreePath, at: int, inside: int, *, hidden: bool) -> int:
        if len(self.stack) >= MAX_DEPTH:
            raise RefusedInput(
                Code.YAML_DEPTH, f"line {line_of(self.source, at)}: nested more than {MAX_DEPTH} deep"
            )
        made = _Open(path, "map" if self.source[at] == ord("{") else "list", at, hidden=hidden)
        if not hidden:
            made.indent = self._indent_at(at)
            made.place = len(self.containers)
            self.containers.append(None)
        self.stack.append(made)
        if self.source[inside : inside + 1] == _CLOSERS[made.kind]:
            return self._after(inside)
        return inside

    def _after(self, at: int) -> int:
        """Go on behind a value: over the closing brackets, to what follows the next comma."""
        while self.stack:
            found = _AFTER.match(self.source, at) or self._fail(at)
            if found[1] == b",":
                return found.end()
            top = self.stack.pop()
            if found[1] != _CLOSERS[top.kind]:
                self._fail(found.start(1))
            self._close(top, found.end(1))
            at = found.end() if not self.stack else found.end(1)
        return at

    def _close(self, top: _Open, end: int) -> None:
        if top.path == (METADATA_KEY,):
            self.metadata = (top.start, end)
            if top.kind != "map":
                raise shapeless(self.source, top.start)
        check_look_alikes(top.names)
        if top.place >= 0:
            empty = not top.count or (list(top.names) == [METADATA_KEY] and not top.path)
            self.containers[top.place] = (top.path, top.kind, top.start, end, empty, top.indent)

    def _indent_at(self, at: int) -> int:
        # Only what is new since the last bracket is looked at: the whole may be one line.
        end = self.source.rfind(b"\n", self._line_from, at)
        self._line_from = at
        if end >= 0:
            line = self.source[end + 1 : at]
            self._indent = len(line) - len(line.lstrip(b" \t"))
        elif not self.containers:
            self._indent = at
        return self._indent

    def _fail(self, at: int) -> NoReturn:
        if not self.source[at:].strip(BLANKS):
            raise RefusedInput(Code.YAML_SYNTAX, "the document ends in the middle: brackets are open")
        if _NO_NUMBER.match(self.source, at):
            raise RefusedInput(
                Code.YAML_VALUE, f"line {line_of(self.source, at)}: JSON has no infinity and no NaN"
            )
        raise RefusedInput(
            Code.YAML_SYNTAX,
            f"line {line_of(self.source, at)}: not JSON",
            hints=("JSON has no comments, no comma before a closing bracket, and only double quotes",),
        )


def resolve_token(source: bytes, raw: bytes, at: int) -> tuple[LeafKind, bytes]:
    """Give kind and plain form of the scalar ``raw``, which stands at ``at``; errors name the line."""
    simple = _SIMPLE.get(raw)
    if simple is not None:
        return simple
    if raw[0] == ord('"') and b"\\" not in raw:
        return LeafKind.STRING, raw[1:-1]
    try:
        return resolve_json(raw.decode("utf-8"))
    except RefusedInput as error:
        raise at_line(source, at, error) from None


def shapeless(source: bytes, at: int) -> RefusedInput:
    """Give the error for a key ``sops`` that is not the metadata block."""
    return RefusedInput(
        Code.YAML_SHAPE,
        f"line {line_of(source, at)}: the top-level key 'sops' belongs to sops and is not its metadata here",
        hints=("give that value another key",),
    )


@hinted
def read_json(source: bytes, format: Format = Format.JSON) -> Document:  # noqa: A002  # the word for it
    """Read a JSON document.

    Containers are of flow style: their spans go from bracket to bracket. The metadata's span takes in the
    comma that joins it to the rest; without a block it is the empty place behind the last member.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, ENCODING, YAML_CHAR, YAML_SYNTAX, YAML_DEPTH, YAML_DUP, NAME_DUP,
            YAML_VALUE for numbers beyond a float, YAML_SHAPE when the root is no object or ``sops`` is
            something else than a block.
        Conflict: CONFLICT.
    """
    check_source(source, "JSON")
    reader = _Reader(source)
    reader.run()
    containers = tuple(
        Container(path, kind, Span(start, end), empty=empty, indent=indent, style="flow")
        for path, kind, start, end, empty, indent in filter(None, reader.containers)
    )
    return Document(
        format,
        source,
        tuple(reader.leaves),
        _metadata(source, reader.metadata),
        containers,
        (_metadata_span(source, containers[0].span, reader.metadata),),
        newline_of(source),
    )


def _metadata(source: bytes, place: tuple[int, int] | None) -> Mapping[str, Any]:
    if place is None:
        return {}
    # The reader has been over it: it is JSON, not deep, and has no duplicate keys.
    found: dict[str, Any] = json.loads(source[place[0] : place[1]], parse_int=_whole)
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise RefusedInput(Code.ENCODING, "the sops metadata holds half of a character") from None
    return found


def _whole(text: str) -> int:
    if len(text) > 20:
        raise RefusedInput(Code.YAML_VALUE, "a number in the sops metadata is too large")
    return int(text)


def _metadata_span(source: bytes, root: Span, place: tuple[int, int] | None) -> Span:
    if place is None:
        last = len(source[: root.end - 1].rstrip(BLANKS))
        return Span(last, last)
    return Member(source, Span(*place)).block


class Member:
    """An entry of a mapping or an item of a list, and what joins it to its neighbours.

    Without the bytes of ``removal`` the rest is as if it had never been there. ``block`` is the same, but
    begins behind what is before it: a first member's own blanks are in it, not those of the second.
    """

    __slots__ = ("block", "removal")

    def __init__(self, source: bytes, value: Span) -> None:
        start = _key_start(source, value.start)
        before = len(source[:start].rstrip(BLANKS))
        after = value.end + len(source[value.end :]) - len(source[value.end :].lstrip(BLANKS))
        first = source[before - 1] in b"[{"
        last = source[after] != ord(",")
        if not first:
            # With the comma before it.
            self.block = self.removal = Span(len(source[: before - 1].rstrip(BLANKS)), value.end)
        elif last:
            self.block = self.removal = Span(before, after)
        else:
            behind = source[after + 1 :]
            self.block = Span(before, after + 1)
            self.removal = Span(start, after + 1 + len(behind) - len(behind.lstrip(BLANKS)))


def _key_start(source: bytes, start: int) -> int:
    """Give the start of the key of the value at ``start``, or ``start`` in a list."""
    colon = len(source[:start].rstrip(BLANKS)) - 1
    if source[colon] != ord(":"):
        return start
    quote = len(source[:colon].rstrip(BLANKS)) - 1
    while True:
        quote = source.rindex(b'"', 0, quote)
        behind = source[:quote]
        if (len(behind) - len(behind.rstrip(b"\\"))) % 2 == 0:
            return quote


__all__ = ["BLANKS", "METADATA_KEY", "Member", "read_json", "resolve_token"]
