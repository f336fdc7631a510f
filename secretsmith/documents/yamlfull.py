"""The full reader of YAML: composes the events of :mod:`yamlcompose`, aliases within bounds."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from secretsmith.documents.node import Value
from secretsmith.documents.scalar import resolve_yaml
from secretsmith.documents.sourcetext import line_of
from secretsmith.documents.tree import Leaf, LeafKind, TreePath
from secretsmith.documents.yamlassembly import METADATA_KEY, Assembly
from secretsmith.documents.yamlblock import not_text
from secretsmith.documents.yamlblockscalar import read_block_scalar
from secretsmith.documents.yamlcompose import Event, Stream
from secretsmith.documents.yamlframes import Frame
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record

_TAG: Final = "tag:yaml.org,2002:"
_COLLECTION_TAGS: Final = {"map": (None, "!", _TAG + "map"), "list": (None, "!", _TAG + "seq")}
_PROPERTIES: Final = re.compile(rb"(?:[&!]\S*\s+)*+")
_BLOCK_HEADER: Final = re.compile(rb"([|>][-+0-9]*+)[ \t]*(#[^\r\n]*)?[^\n]*\n?")
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")


@record
class _Subtree:
    """A mapping or list that has an anchor."""

    path: TreePath
    leaves: tuple[Leaf, ...]
    frames: tuple[Frame, ...]


class _Open:
    """The anchor of a mapping or list that has not ended: an alias to it would contain itself."""


def read_full(source: bytes, *, entries: bool = False) -> Assembly:
    """Read ``source``, a text that :func:`check_text` has passed, whatever its style.

    ``entries``: note where each entry stands.

    Raises:
        RefusedInput: what :func:`read_block` raises, and YAML_SYNTAX with the line, YAML_ALIAS, YAML_TAG.
    """
    composer = _Composer(Assembly(source, entries), Stream(source))
    composer.run()
    return composer.assembly


class _Composer:
    def __init__(self, assembly: Assembly, stream: Stream) -> None:
        self.assembly = assembly
        self.stream = stream
        self.delivered = 0
        # The value that ended last: its end, its first leaf, and the container of a comment behind it.
        self.last: tuple[int, int, TreePath | None] | None = None
        self.anchors: dict[str, Value | _Subtree | _Open | None] = {}
        self.names: list[tuple[str | None, int]] = []
        self.begun = False

    def run(self) -> None:
        steps = {
            "scalar": self.scalar,
            "map": self.start,
            "list": self.start,
            "end": self.end,
            "alias": self.alias,
            "document": self.begin_document,
            "document end": self.end_document,
        }
        for event in self.stream.events():
            self.deliver(event.start)
            steps[event.kind](event)
        self.deliver(len(self.assembly.source) + 1)
        self.assembly.place(None)

    # Comments.

    def deliver(self, stop: int) -> None:
        """Hand on the comments that begin before ``stop``."""
        comments = self.stream.comments
        while self.delivered < len(comments) and comments[self.delivered][0] < stop:
            self.comment(*comments[self.delivered])
            self.delivered += 1

    def comment(self, start: int, end: int) -> None:
        assembly = self.assembly
        source = assembly.source
        top = assembly.stack[-1] if assembly.stack else None
        if not source[assembly.line_start(start) : start].strip():
            if top is not None and top.style == "flow":
                assembly.inline(start, end)
            else:
                self.pass_dashes(start)
                assembly.wait(start, end)
        elif self.last is not None and b"\n" not in source[self.last[0] : start]:
            _, first, path = self.last
            if path is not None and (top is None or top.data is None):
                assembly.comment(path, start, end, first)
        else:
            if assembly.waiting:
                assembly.place(self.next_content())
            assembly.inline(start, end)

    def pass_dashes(self, start: int) -> None:
        """Place the comments before the last dash before ``start``, and begin anew behind it."""
        assembly = self.assembly
        place = bisect_left(self.stream.dashes, start) - 1
        dash = self.stream.dashes[place] if place >= 0 else -1
        if dash < assembly.content_end:
            return
        if assembly.waiting:
            assembly.place(self.next_content())
        assembly.content_end, assembly.content_open = dash + 1, False

    def next_content(self) -> int:
        """Give where the first thing behind the waiting comments stands."""
        found = _BLANKS.match(self.assembly.source, self.assembly.waiting.end)
        return found.end() if found else self.assembly.waiting.end

    # Documents.

    def begin_document(self, event: Event) -> None:
        assembly = self.assembly
        if self.begun:
            assembly.next_document()
        self.begun = True
        self.anchors = {}
        self.last = None
        if event.explicit:
            assembly.content_end, assembly.content_open = event.start + 3, False

    def end_document(self, event: Event) -> None:
        self.assembly.end_document(event.start)
        self.last = None
        if event.explicit:
            self.assembly.content_end, self.assembly.content_open = event.start + 3, False

    # Content.

    def scalar(self, event: Event) -> None:
        assembly = self.assembly
        if not assembly.stack:
            if not event.text and event.start == event.end:
                return
            raise assembly.no_mapping(event.start)
        top = assembly.stack[-1]
        if top.kind == "map" and not top.keyed:
            self.key(event, top)
            return
        self.due(top, event.start)
        value = self.resolve(event)
        end = event.end
        if event.style in ("|", ">"):
            end = self.block_end(event, top)
        elif event.start == end:
            self.check_null(event, top)
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        first = len(assembly.leaves)
        assembly.value(value, event.start, end)
        top.keyed = False
        self.last = (end, first, top.path)

    def key(self, event: Event, top: Frame) -> None:
        assembly = self.assembly
        text = self.key_text(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = LeafKind.STRING, text.encode("utf-8")
        begin = self.question(event.start)
        if top.style == "block" and not top.keys:
            # An anchor or tag of the mapping's own stands before its first key.
            top.start, top.indent = begin, begin - assembly.line_start(begin)
        if assembly.waiting:
            assembly.place(self.next_content())
        end = self.block_end(event, top) if event.style in ("|", ">") else event.end
        assembly.key(text, begin, end)
        top.keyed = True
        self.last = None
        if top.style == "flow" and assembly.source[event.end : event.end + 2] in (b":,", b":}", b":]"):
            raise RefusedInput(
                Code.YAML_SYNTAX,
                f"line {line_of(assembly.source, event.end)}: a ':' in brackets without a space behind it",
            )

    def key_text(self, event: Event) -> str:
        kind, plain = self.resolve(event)
        if kind is LeafKind.STRING and (event.text or event.style):
            try:
                return plain.decode("utf-8")
            except UnicodeDecodeError:
                pass
        raise not_text(self.assembly, event.start)

    def question(self, start: int) -> int:
        """Give where the entry of a key at ``start`` begins: at its question mark, if it has one."""
        place = bisect_left(self.stream.questions, start) - 1
        if place < 0:
            return start
        mark = self.stream.questions[place]
        between = re.sub(rb"#[^\r\n]*", b"", self.assembly.source[mark + 1 : start])
        return start if between.strip() else mark

    def due(self, top: Frame, start: int, *, nested: bool = False) -> None:
        """Begin the item that a value at ``start`` is, and place the comments before it.

        ``nested``: a block is to follow, and comments behind the dash are for what stands in it.
        """
        assembly = self.assembly
        begin = start
        if top.kind == "list" and top.style == "block":
            place = bisect_left(self.stream.dashes, start) - 1
            begin = self.stream.dashes[place] if place >= 0 else start
            if not top.count:
                top.start, top.indent = begin, begin - assembly.line_start(begin)
        if assembly.waiting and not (nested and (top.kind == "map" or assembly.waiting.end > begin)):
            assembly.place(self.next_content())
        if top.kind == "list":
            assembly.item(begin)

    def resolve(self, event: Event) -> Value:
        if event.tag == _TAG + "merge" and event.text == "<<":
            # So go-yaml writes the key of a merge, and every other text that looks like it.
            return LeafKind.STRING, b"<<"
        try:
            return resolve_yaml(event.text, quoted=event.style is not None, tag=event.tag)
        except RefusedInput as error:
            refused = self.assembly.located(event.start, error)
        raise refused

    def block_end(self, event: Event, top: Frame) -> int:
        """Place a block scalar's comment; find its end: ruamel's is behind the blank lines that follow."""
        source = self.assembly.source
        properties = _PROPERTIES.match(source, event.start)
        header = _BLOCK_HEADER.match(source, properties.end() if properties else event.start)
        if header is None:
            return event.end
        if header[2]:
            # The comment lies inside of the value: both cannot be replaced.
            self.assembly.aliased = True
            self.assembly.inline(*header.span(2))
        read = read_block_scalar(source, header[1], header.end(), top.indent)
        if read is not None and read[0] == event.text.encode("utf-8"):
            return max(read[1], header.end(1))
        return event.start + len(source[event.start : event.end].rstrip())

    def check_null(self, event: Event, top: Frame) -> None:
        """See whether a value could be put where a null is: behind a colon or dash, not just nowhere."""
        mark = b":" if top.kind == "map" else b"-"
        if top.style == "flow" or self.assembly.source[event.start - 1 : event.start] != mark:
            self.assembly.aliased = True

    def start(self, event: Event) -> None:
        assembly = self.assembly
        if event.tag not in _COLLECTION_TAGS[event.kind]:
            raise self.error(Code.YAML_TAG, event, "a mapping or list has a tag, which sops would drop")
        kind = "map" if event.kind == "map" else "list"
        if assembly.stack:
            top = assembly.stack[-1]
            if top.kind == "map" and not top.keyed:
                raise not_text(assembly, event.start)
            self.due(top, event.start, nested=not event.flow)
        style = "flow" if event.flow else "block"
        line = assembly.line_start(event.start)
        indent = assembly.line_indent(line) if event.flow else event.start - line
        # An implicit pair, [a: 1], has no brackets of its own.
        assembly.aliased |= event.flow and event.start == event.end
        self.names.append((event.anchor, len(assembly.frames)))
        if event.anchor is not None:
            self.anchors[event.anchor] = _Open()
        assembly.open(
            "map" if kind == "map" else "list", event.start, indent, "flow" if style == "flow" else "block"
        )
        self.last = None

    def end(self, event: Event) -> None:
        assembly = self.assembly
        frame = assembly.stack[-1]
        flow = frame.style == "flow"
        assembly.close(event.end if flow else None)
        if frame.parent is not None:
            frame.parent.keyed = False
        anchor, number = self.names.pop()
        if anchor is not None:
            self.anchors[anchor] = (
                _Subtree(
                    frame.path, tuple(assembly.leaves[frame.first_leaf :]), tuple(assembly.frames[number:])
                )
                if frame.data is None
                else None
            )
        if flow and frame.parent is not None:
            path: TreePath | None = frame.path if frame.count else frame.parent.path
            if frame.data is not None:
                path = None
            self.last = (event.end, frame.first_leaf, path)

    def alias(self, event: Event) -> None:
        assembly = self.assembly
        known = self.anchors.get(event.text)
        top = assembly.stack[-1] if assembly.stack else None
        if isinstance(known, _Open):
            raise self.error(Code.YAML_ALIAS, event, "an alias stands for something that contains it")
        if known is None:
            raise self.error(Code.YAML_ALIAS, event, "an alias without an anchor before it")
        if top is None or top.data is not None or (top.parent is None and top.slot == METADATA_KEY):
            raise self.error(Code.YAML_ALIAS, event, "an alias where the metadata or the document should be")
        if top.kind == "map" and not top.keyed:
            raise self.error(Code.YAML_ALIAS, event, "an alias as a key")
        assembly.aliased = True
        self.due(top, event.start)
        first = len(assembly.leaves)
        if isinstance(known, _Subtree):
            assembly.copy(known.path, known.leaves, known.frames, event.start, event.end)
        else:
            assembly.value(known, event.start, event.end)
        top.keyed = False
        self.last = (event.end, first, top.path)

    def error(self, code: Code, event: Event, message: str) -> RefusedInput:
        return RefusedInput(code, f"line {line_of(self.assembly.source, event.start)}: {message}")


__all__ = ["read_full"]
