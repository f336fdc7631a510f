"""ruamel's scanner and parser, for all YAML beyond plain block style: a stream of events with byte spans.

Nothing is constructed, and events come one at a time, so that every limit holds before much has been read:
ruamel needs 50 µs a value and more, is quadratic in the depth of brackets, and follows aliases without end.
The only module that imports ruamel.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner

from secretsmith.documents.sourcetext import MAX_DEPTH, line_of
from secretsmith.documents.yamlassembly import BYTE_ORDER_MARK
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record

MAX_COMPOSED_BYTES: Final = 256 * 1024
MAX_TOKENS: Final = 50_000

EventKind = Literal["scalar", "map", "list", "end", "alias", "document", "document end"]


@record
class Event:
    """What stands at bytes ``start`` to ``end``; the end of a mapping or list has its closing bracket.

    ``text`` is a scalar's content or an alias's name; ``style`` its quotes or block mark. ``flow``: brackets.
    ``explicit``: a document's mark is there.
    """

    kind: EventKind
    start: int
    end: int
    text: str = field(default="", repr=False)
    style: str | None = None
    tag: str | None = None
    anchor: str | None = None
    flow: bool = False
    explicit: bool = False


class _Limit(Exception):
    """A limit was reached; the error to raise is in ``args``."""


class Stream:
    """The events of a text, and what stands between them, as far as they have been read."""

    def __init__(self, source: bytes) -> None:
        """Begin to read ``source``. Raises ``RefusedInput`` (TOO_BIG, YAML_SYNTAX)."""
        if len(source) > MAX_COMPOSED_BYTES:
            raise _too_long()
        _check_directives(source)
        self._origin = len(BYTE_ORDER_MARK) if source.startswith(BYTE_ORDER_MARK) else 0
        self._source = source
        self.text = source[self._origin :].decode("utf-8")
        self._offsets: list[int] | None = None
        if not self.text.isascii():
            self._offsets = list(accumulate((len(each.encode()) for each in self.text), initial=0))
        self.tokens = 0
        self.comments: list[tuple[int, int]] = []
        self.dashes: list[int] = []
        self.questions: list[int] = []
        self.colons: list[int] = []
        self._begun = 0

    def offset(self, index: int) -> int:
        """Turn a place in characters into bytes of the source."""
        index = min(index, len(self.text))
        return self._origin + (index if self._offsets is None else self._offsets[index])

    def note_comments(self, start: int, end: int) -> None:
        """Keep the comments between two tokens, from character ``start`` to ``end``."""
        for found in _COMMENT.finditer(self.text, start, end):
            self.comments.append((self.offset(found.start()), self.offset(found.end())))

    def events(self) -> Iterator[Event]:
        """Give the events in order.

        Raises:
            RefusedInput: YAML_SYNTAX with the line, YAML_DEPTH, TOO_BIG.
        """
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = type("_StreamScanner", (_Scanner,), {"stream": self})
        failure: RefusedInput
        try:
            for event in yaml.parse(self.text):
                known = self._event(event)
                if known is not None:
                    yield known
            return
        except _Limit as limit:
            failure = limit.args[0]
        except (YAMLError, ValueError, RecursionError) as error:
            failure = self._syntax(error)
        # Raised out here: the exceptions above hold the text.
        raise failure

    def _event(self, event: Any) -> Event | None:
        start, end = self.offset(event.start_mark.index), self.offset(event.end_mark.index)
        if isinstance(event, ScalarEvent):
            if start == end:
                start = end = self._null_place(start)
            self._begun = start
            return Event("scalar", start, end, event.value, event.style, event.tag, event.anchor)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            kind: EventKind = "map" if isinstance(event, MappingStartEvent) else "list"
            flow = bool(event.flow_style)
            self._begun = start
            return Event(kind, start, end, tag=event.tag, anchor=event.anchor, flow=flow)
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            return Event("end", start, end)
        if isinstance(event, AliasEvent):
            return Event("alias", start, end, event.anchor)
        if isinstance(event, DocumentStartEvent):
            return Event("document", start, end, explicit=bool(event.explicit))
        if isinstance(event, DocumentEndEvent):
            return Event("document end", start, end, explicit=bool(event.explicit))
        return None

    def _null_place(self, mark: int) -> int:
        """Give where a missing value would stand: ruamel's mark is at what comes next, lines below."""
        for signs in (self.colons, self.dashes):
            place = bisect_left(signs, mark) - 1
            if place >= 0 and signs[place] >= self._begun:
                return signs[place] + 1
        return mark

    def _syntax(self, error: Exception) -> RefusedInput:
        """Say where and why the text is no YAML, in our words: ruamel's quote the text."""
        problem = str(getattr(error, "problem", "")) if isinstance(error, MarkedYAMLError) else ""
        mark = getattr(error, "problem_mark", None)
        said = next((ours for theirs, ours in _PROBLEMS if theirs in problem), "the text is no YAML")
        if mark is None:
            return RefusedInput(Code.YAML_SYNTAX, said)
        return RefusedInput(
            Code.YAML_SYNTAX, f"line {line_of(self._source, self.offset(mark.index))}: {said}"
        )


_PROBLEMS: Final = (
    ("'\\t'", "a tab where spaces should be"),
    ("mapping values are not allowed", "a ': ' where no key can be"),
    ("could not find expected ':'", "a key without ':' behind it"),
    ("sequence entries are not allowed", "a '- ' where no list can be"),
    ("end of stream", "quotes or a bracket are not closed"),
    ("escape", "an escape that YAML does not have"),
    ("expected <block end>", "the indentation does not fit"),
    ("expected ',' or", "a ',' or closing bracket is missing"),
    ("cannot start any token", "a character that needs quotes"),
)
_COMMENT: Final = re.compile(r"#[^\r\n]*")
_DIRECTIVE: Final = re.compile(rb"^%(?!YAML +1\.1 *(?:#.*)?\r?$)", re.MULTILINE)


def _check_directives(source: bytes) -> None:
    """Refuse directives that sops does not read: go-yaml knows YAML 1.1 by name, and tags are refused anyway."""
    if b"%" not in source:
        return
    found = _DIRECTIVE.search(source)
    before = source[: found.start()] if found else b""
    if found and all(line[:1] in (b"", b"#", b"%", b"\r") for line in before.split(b"\n")):
        raise RefusedInput(
            Code.YAML_SYNTAX, f"line {line_of(source, found.start())}: a directive that sops does not know"
        )


def _too_long() -> RefusedInput:
    return RefusedInput(
        Code.TOO_BIG,
        "a document with brackets, anchors or tags is too large"
        f" (more than {MAX_COMPOSED_BYTES // 1024} KiB or {MAX_TOKENS} signs)",
        hints=("write it in block style, one key to a line",),
    )


class _Scanner(Scanner):
    """A scanner that tells its stream of comments and signs, and stops at the limits."""

    stream: Stream

    def fetch_more_tokens(self) -> Any:
        self.stream.tokens += 1
        if self.stream.tokens > MAX_TOKENS:
            raise _Limit(_too_long())
        return super().fetch_more_tokens()

    def scan_to_next_token(self) -> Any:
        start = self.reader.index
        found = super().scan_to_next_token()
        if self.reader.index > start:
            self.stream.note_comments(start, self.reader.index)
        return found

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: Any) -> None:  # noqa: N803  # ruamel's name
        if len(self.flow_context) >= MAX_DEPTH:
            raise _Limit(RefusedInput(Code.YAML_DEPTH, f"brackets nest deeper than {MAX_DEPTH} levels"))
        super().fetch_flow_collection_start(TokenClass, to_push)

    def scan_block_scalar_indentation(self) -> Any:
        # ruamel's own refuses blank lines of different lengths before the text, which are right, and common
        # where the text is empty.
        breaks, longest, end = [], 0, self.reader.get_mark()
        while self.reader.peek() in " \r\n":
            if self.reader.peek() == " ":
                self.reader.forward()
                longest = max(longest, self.reader.column)
            else:
                breaks.append(self.scan_line_break())
                end = self.reader.get_mark()
        return breaks, longest, end

    def fetch_block_entry(self) -> None:
        self.stream.dashes.append(self.stream.offset(self.reader.index))
        super().fetch_block_entry()

    def fetch_key(self) -> None:
        self.stream.questions.append(self.stream.offset(self.reader.index))
        super().fetch_key()

    def fetch_value(self) -> None:
        self.stream.colons.append(self.stream.offset(self.reader.index))
        super().fetch_value()


__all__ = ["MAX_COMPOSED_BYTES", "MAX_TOKENS", "Event", "Stream"]
