"""A strict reader of INI files with the rules of go-ini, as sops sets them, that says where things stand.

The tree has two levels: sections, and in them values, which are all strings; what stands before the first
section belongs to ``DEFAULT``. sops knows one comment for each section and key, and its walk comes to it
after the key: the lines above, or what stands behind the value. Source: go-ini v1.67 parser.go (parse);
sops, stores/ini/store.go.
"""

from __future__ import annotations

import re
from typing import Final

from secretsmith.documents.flatten import unflatten
from secretsmith.documents.format import Format
from secretsmith.documents.inivalue import (
    ValueText,
    blank_line_before,
    line_end,
    read_name,
    read_value,
    trim,
    wrong,
)
from secretsmith.documents.sourcetext import (
    check_lines,
    check_look_alikes,
    check_source,
    hinted,
    newline_of,
    refuse_twice,
)
from secretsmith.documents.tree import Container, Document, Leaf, LeafKind, Span
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record

DEFAULT_SECTION: Final = "DEFAULT"
METADATA_SECTION: Final = "sops"
MAX_LINES: Final = 50_000
"""A quarter of what other formats may have: the rules for one line are many, and reading must end in two seconds."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_LINE = re.compile(rb"[^\n]++\n?")
_MARKS = re.compile(rb"(?:(?:;[; ]*+|#[# ]*+)?+[\r\n]++)*+(?:;[; ]*+|#[# ]*+)?+")
# Most lines of most files: nothing in them that any rule below is about.
_SIMPLE = re.compile(
    rb"[ \t]*+([A-Za-z0-9_.-]++)[ \t]*+[=:][ \t]*+"
    rb"([^\x00-\x20\"'`#;\\\x7f-\xff]++(?:[ \t]++[^\x00-\x20\"'`#;\\\x7f-\xff]++)*+)[ \t]*+\r?+\n"
)


def strip_mark(text: bytes) -> bytes:
    """Give the text of a comment without its mark, and without lines before it that are nothing but a mark.

    sops fails on those when it writes the file again (go-ini, writeToBuffer: index out of range).
    """
    found = _MARKS.match(text)
    return text[found.end() :] if found else text


@record(frozen=False)
class _Section:
    name: str
    start: int
    end: int
    names: dict[str, None] = field(default_factory=dict)


class _Reader:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.begin = len(BYTE_ORDER_MARK) if source.startswith(BYTE_ORDER_MARK) else 0
        self.sections = [_Section(DEFAULT_SECTION, self.begin, self.begin)]
        self.leaves: list[Leaf] = []
        self.flat: dict[str, str] = {}
        self.block: Span | None = None
        self._at_begin = False
        self._names: dict[str, None] = {}
        self._section: _Section | None = self.sections[0]
        self._pending: list[Span] = []
        self._filled = self.begin

    def run(self) -> None:
        """Read everything; what was found is in the attributes."""
        source, at = self.source, self.begin
        for line in _LINE.finditer(source, at):
            if line.start() >= at:
                at = self._line(line.start(), line.end())
        self._trailing()
        for section in self.sections:
            check_look_alikes(section.names)
        check_look_alikes(self._names)

    def _line(self, at: int, end: int) -> int:
        """Read what begins at ``at``, a line that is not empty; gives where to go on."""
        simple = _SIMPLE.match(self.source, at) if not self._pending else None
        if simple is not None and self._section is not None and simple[1] != b"-":
            return self._simple_entry(self._section, simple)
        text = trim(self.source, at, end)
        if not text:
            return end
        if self._at_begin and self.block is not None and self.block.end == self._filled:
            # A block at the very beginning has the empty lines between it and what comes next.
            self.block = Span(self.block.start, at)
        first = self.source[text.start]
        if first in b"#;":
            self._pending.append(text)
        elif first == ord("["):
            self._header(text, end)
        else:
            end = self._entry(text.start, end)
        self._filled = end
        return end

    def _simple_entry(self, section: _Section, line: re.Match[bytes]) -> int:
        name, value = line[1].decode("ascii"), line[2]
        if name in section.names:
            raise refuse_twice(self.source, line.start(), name)
        section.names[name] = None
        section.end = self._filled = line.end()
        self.leaves.append(Leaf((section.name, name), LeafKind.STRING, Span(*line.span(2)), value, value))
        return line.end()

    def _header(self, text: Span, end: int) -> None:
        source = self.source
        close = source.rfind(b"]", text.start, end)
        if close < 0:
            raise wrong(source, text.start, "a section without its closing bracket")
        name = source[text.start + 1 : close].decode("utf-8")
        if not name or "]" in name:
            raise wrong(
                source,
                text.start,
                "a section without a name, or with a second closing bracket in its line",
                "put a comment above the section",
            )
        rest = trim(source, close + 1, end)
        if rest and source[rest.start] not in b"#;":
            raise wrong(source, rest.start, "text behind the name of a section")
        if name in self._names:
            raise refuse_twice(source, text.start, name)
        self._names[name] = None
        if name == METADATA_SECTION:
            self._metadata_header(text.start, end)
        else:
            self._data_header(name, text, rest, end)

    def _metadata_header(self, start: int, end: int) -> None:
        # Comments before the block are at the end of the data for us, and nowhere for sops.
        self._trailing()
        self._section = None
        self._at_begin = self._filled == self.begin
        start = self.source.rfind(b"\n", 0, start) + 1
        self.block = Span(self.begin if self._at_begin else blank_line_before(self.source, start), end)

    def _data_header(self, name: str, text: Span, rest: Span, end: int) -> None:
        start = self._pending[0].start if self._pending else text.start
        if name == DEFAULT_SECTION:
            if self.sections[0].names:
                raise refuse_twice(self.source, text.start, name)
            del self.sections[0]
        self._section = _Section(name, start, end)
        self.sections.append(self._section)
        if self._pending or rest:
            last = rest.end if rest else self._pending[-1].end
            self._comment((name,), Span(start, last), rest)

    def _entry(self, start: int, end: int) -> int:
        source, section = self.source, self._section
        name, at = read_name(source, start, end)
        value = read_value(source, at, end)
        names = self.flat if section is None else section.names
        if name in names:
            raise refuse_twice(source, start, name)
        if section is None:
            self._metadata_entry(name, value)
        else:
            section.names[name] = None
            section.end = value.end
            span = value.span
            self.leaves.append(
                Leaf((section.name, name), LeafKind.STRING, span, source[span.start : span.end], value.plain)
            )
            self._entry_comment((section.name,), start, value.comment)
        return value.end

    def _metadata_entry(self, name: str, value: ValueText) -> None:
        self.flat[name] = value.plain.decode("utf-8")
        if self.block is not None:
            self.block = Span(self.block.start, value.end)
        self._pending.clear()

    def _entry_comment(self, path: tuple[str, ...], start: int, beside: Span | None) -> None:
        if self._pending and beside:
            raise wrong(
                self.source,
                start,
                "a comment above an entry and one beside it: sops keeps one for each",
                "put them together above the entry",
            )
        if beside:
            self._comment(path, beside, beside)
        elif self._pending:
            self._comment(path, Span(self._pending[0].start, self._pending[-1].end), None)

    def _comment(self, path: tuple[str, ...], span: Span, beside: Span | None) -> None:
        source = self.source
        parts = [source[line.start : line_end(source, line.start)] for line in self._pending]
        self._pending.clear()
        text = b"".join(parts) + (source[beside.start : beside.end] if beside else b"")
        whole = trim(text, 0, len(text))
        plain = strip_mark(text[whole.start : whole.end])
        self.leaves.append(Leaf(path, LeafKind.COMMENT, span, source[span.start : span.end], plain))

    def _trailing(self) -> None:
        if self._pending:
            self._comment((), Span(self._pending[0].start, self._pending[-1].end), None)


@hinted
def read_ini(source: bytes) -> Document:
    """Read an INI document. Comments that go before nothing have the path ``()``; sops drops them.

    Raises:
        RefusedInput: EMPTY (also for comments alone), TOO_BIG, ENCODING, YAML_CHAR, YAML_DUP, NAME_DUP,
            YAML_SYNTAX, FORMAT for metadata that is no tree.
        Conflict: CONFLICT.
    """
    check_source(source, "INI", byte_order_mark=True)
    check_lines(source, MAX_LINES)
    reader = _Reader(source)
    reader.run()
    sections = reader.sections
    if reader.block is None and len(sections) == 1 and sections[0].end == reader.begin:
        raise RefusedInput(Code.EMPTY, "the document has no values")
    containers = [Container((), "map", Span(0, len(source)))]
    for section in sections:
        containers.append(
            Container((section.name,), "map", Span(section.start, section.end), empty=not section.names)
        )
    end = Span(len(source), len(source))
    return Document(
        Format.INI,
        source,
        tuple(reader.leaves),
        unflatten(reader.flat),
        tuple(containers),
        (reader.block or end,),
        newline_of(source),
    )


__all__ = ["BYTE_ORDER_MARK", "DEFAULT_SECTION", "METADATA_SECTION", "read_ini", "strip_mark"]
