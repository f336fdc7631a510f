"""New and removed entries of YAML documents, as edits of their own lines and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from secretsmith.documents.node import Comment, List, Map, Node, Scalar
from secretsmith.documents.tree import Container, Document, Edit, LeafKind, Span, TreePath, format_tree_path
from secretsmith.documents.yamlemit import (
    Layout,
    entry_lines,
    flow_key,
    flow_text,
    is_empty,
    item_lines,
    list_lines,
    map_lines,
    scalar_text,
)
from secretsmith.documents.yamlframes import Entry
from secretsmith.documents.yamllayout import layout_of, quotes_of_keys, quotes_of_values
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.record import replace

_BLANK_LINES: Final = re.compile(rb"(?:[ ]*\r?\n)*[ ]*")
_WHOLE_BLANK_LINES: Final = re.compile(rb"(?:[ ]*\r?\n)*(?:[ ]+\Z)?")
_COLON: Final = re.compile(rb"[ ]*:(?=[ \r\n]|\Z)")
_COMMENT_BEHIND: Final = re.compile(rb"([ \t]+#[^\r\n]*)\r?(?:\n|\Z)")
_LINE_END: Final = re.compile(rb"\r?(?:\n|\Z)")
_NOTHING_BEHIND: Final = re.compile(rb"[ \t]*\r?(?:\n|\Z)")
_BLOCK: Final = re.compile(rb"(?:[&!]\S*\s+)*+[|>]([-+1-9]*)[ \t]*\r?(?:\n(?:[ ]*\r?\n)*([ ]*)|\Z)")
_NEXT_COMMENT: Final = re.compile(rb"(?:[ ]*\r?\n)*([ ]*)#")
_GAP: Final = re.compile(rb"-([ ]+)[^ \r\n#]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NEIGHBOURS: Final = 50

Siblings = Sequence[tuple[TreePath, Entry]]


class Editor:
    """Edits of one document, given with the places of its entries.

    ``read`` reads a text: where a comment stands is part of what its encryption binds, and a new entry next
    to it may change what it belongs to, so this is tried.
    """

    def __init__(
        self,
        document: Document,
        entries: Mapping[tuple[int, TreePath], Entry],
        read: Callable[[bytes], Document],
    ) -> None:
        self._document = document
        self._entries = entries
        self._read = read
        self._newline = document.newline.decode("ascii")

    # Adding.

    def insert(self, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Give the edits that put ``value`` at ``path`` of the first document."""
        document = self._document
        for depth in range(len(path)):
            container = document.container(path[:depth])
            if container is None:
                # A value is there: it gives room to a mapping.
                return self._replace(path[:depth], _wrapped(value, path[depth:]))
            segment = path[depth]
            if container.kind == "map":
                segment = str(segment)
                path = (*path[:depth], segment, *path[depth + 1 :])
            elif isinstance(segment, str):
                raise NotFound(Code.NOT_FOUND, f"no key '{_shown(path[: depth + 1])}': a list is there")
            if (0, path[: depth + 1]) not in self._entries:
                return self._add(container, segment, _wrapped(value, path[depth + 1 :]))
        return self._replace(path, value)

    def _add(self, container: Container, segment: str | int, value: Node) -> tuple[Edit, ...]:
        """Add an entry at the end of a mapping or list."""
        if container.style == "block" and (not container.empty or not container.path):
            return (self._add_lines(container, segment, value),)
        parent = self._document.container(container.path[:-1])
        if container.empty and parent is not None and parent.style == "block":
            return self._replace(
                container.path, List([value]) if container.kind == "list" else Map([(str(segment), value)])
            )
        return (self._add_in_brackets(container, segment, value),)

    def _add_in_brackets(self, container: Container, segment: str | int, value: Node) -> Edit:
        siblings = self._siblings(container.path)
        layout = self._layout(container, siblings)
        text = flow_text(value, layout)
        if not isinstance(segment, int):
            text = f"{flow_key(segment, layout)}: {text}"
        place = siblings[-1][1].end if siblings else container.span.start + 1
        return Edit(Span(place, place), (f", {text}" if siblings else text).encode("utf-8"))

    def _add_lines(self, container: Container, segment: str | int, value: Node) -> Edit:
        siblings = self._siblings(container.path)
        layout = self._layout(container, siblings)
        edits = []
        for place in self._places(container):
            fitting = self._fitting(layout, place, container.indent)
            lines = self._lines(container, segment, value, fitting, siblings)
            edits.append(Edit(Span(place, place), self._whole_lines(lines, place)))
        if len(edits) == 1:
            return edits[0]
        return next((edit for edit in edits if self._keeps_comments(edit)), edits[0])

    def _places(self, container: Container) -> list[int]:
        """Find where an entry may be added to a block: behind all that is in it, comments too, or before those.

        At the top it is before the metadata, where that comes last.
        """
        end = container.span.end
        last = self._end_of_values(container)
        metadata = self._document.metadata_spans[0]
        if not container.path and len(metadata) and (last is None or last <= metadata.start):
            end = metadata.start
        last = end if last is None else last
        source = self._document.source
        behind = source[end : end + 1000].lstrip(b" \r\n")
        if (last < end and source[last:end].strip()) or behind.startswith(b"#"):
            return list(dict.fromkeys((end, last)))
        return [end]

    def _end_of_values(self, container: Container) -> int | None:
        """Give where the line after the last value in a container begins, if it has any: comments may follow in it."""
        path, depth = container.path, len(container.path)
        values = [leaf for leaf in self._document.leaves if leaf.kind is not LeafKind.COMMENT]
        brackets = [each for each in self._document.containers if each.style == "flow"]
        ends = [
            span.end
            for number, inner, span in (
                *((leaf.document, leaf.path, leaf.span) for leaf in values),
                *((each.document, each.path, each.span) for each in brackets),
            )
            if not number and len(inner) > depth and inner[:depth] == path
        ]
        if not ends:
            return None
        at = self._document.source.find(b"\n", max(ends))
        return len(self._document.source) if at < 0 else at + 1

    def _keeps_comments(self, edit: Edit) -> bool:
        """Say whether every comment belongs to the same mapping or list after ``edit`` as before."""
        try:
            after = self._read(self._document.splice([edit]))
        except SecretsmithError:
            return False
        return _comments(after) == _comments(self._document)

    def _whole_lines(self, lines: list[str], place: int) -> bytes:
        """Join lines to be put at ``place``, with a line end before or behind as the place needs it."""
        text = self._newline.join(lines)
        return (self._newline + text if self._is_open(place) else text + self._newline).encode("utf-8")

    def _is_open(self, place: int) -> bool:
        """Say whether ``place`` is behind a last line without a line end."""
        source = self._document.source
        return bool(place and source[place - 1 : place] != b"\n" and source[:place] != _BYTE_ORDER_MARK)

    def _lines(
        self, container: Container, segment: str | int, value: Node, layout: Layout, siblings: Siblings
    ) -> list[str]:
        if container.kind == "list":
            return item_lines(value, container.indent, layout, self._gap(value, siblings))
        return entry_lines(str(segment), value, container.indent, layout)

    # Replacing.

    def _replace(self, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Give an entry another value; its key, and a comment behind key or value on one line, stay."""
        entry = self._entry(path)
        parent = self._document.container(path[:-1])
        if parent is None:
            raise ValueError("an entry in nothing")
        siblings = [each for each in self._siblings(path[:-1]) if each[0] != path]
        layout = self._fitting(self._layout(parent, siblings, path), entry.end, parent.indent)
        if parent.style == "flow":
            return (Edit(Span(entry.value, entry.end), flow_text(value, layout).encode("utf-8")),)
        head = self._end_of_head(entry, parent)
        if head is None or (is_empty(value) and _has_comments(value)):
            return self._replace_all(path, value, layout)
        old = self._span_on_lines(path)
        comment = self._comment_behind(head if old is None else old.end)
        if isinstance(value, Scalar) or is_empty(value):
            behind = head if old is None else old.end
            alone = _LINE_END.match(self._document.source, behind) is not None
            text = self._one_value(value, parent, layout, alone=alone)
            if old is not None:
                text = text if len(old) else " " + text
                return (Edit(old, text.replace("\n", self._newline).encode("utf-8")),)
            lines = f" {text}{comment}".split("\n")
        elif parent.kind == "list" and not comment:
            gap = self._gap(value, siblings)
            lines = item_lines(value, parent.indent, layout, gap)
            lines[0] = lines[0][parent.indent + 1 :]
        elif isinstance(value, Map):
            inner = parent.indent + 2 if parent.kind == "list" else layout.inner(parent.indent)
            lines = [comment, *map_lines(value, inner, layout)]
        else:
            inner = parent.indent + 2 if parent.kind == "list" else layout.listed(parent.indent)
            lines = [comment, *list_lines(value, inner, layout)]
        ending = self._newline if self._document.source[: entry.end].endswith(b"\n") else ""
        text = self._newline.join(lines) + ending
        return (Edit(Span(head, entry.end), text.encode("utf-8")),)

    def _replace_all(self, path: TreePath, value: Node, layout: Layout) -> tuple[Edit, ...]:
        """Write an entry anew, its key too: one of the form ``? key``."""
        entry, parent = self._entry(path), self._document.container(path[:-1])
        if parent is None:
            raise ValueError("an entry in nothing")
        lines = self._lines(parent, path[-1], value, layout, ())
        lines[0] = lines[0][parent.indent :]
        ending = self._newline if self._document.source[: entry.end].endswith(b"\n") else ""
        text = self._newline.join(lines) + ending
        return (Edit(Span(entry.start, entry.end), text.encode("utf-8")),)

    def _one_value(self, value: Node, parent: Container, layout: Layout, *, alone: bool) -> str:
        if not isinstance(value, Scalar):
            return "{}" if isinstance(value, Map) else "[]"
        if alone:
            return scalar_text(value.kind, value.plain, parent.indent, layout.inner(parent.indent), layout)
        # A block scalar would take what is behind it on its line, a comment or spaces, for its own.
        return scalar_text(value.kind, value.plain, 0, 0, replace(layout, blocks=""))

    def _end_of_head(self, entry: Entry, parent: Container) -> int | None:
        """Find where ``key:`` or the dash of an entry ends; ``None`` for other forms."""
        if parent.kind == "list":
            return entry.key_end
        source = self._document.source
        if source[entry.start : entry.start + 2] in (b"? ", b"?\n", b"?\r"):
            return None
        found = _COLON.match(source, entry.key_end)
        return found.end() if found else None

    def _span_on_lines(self, path: TreePath) -> Span | None:
        """Give the bytes of a value that stands behind its key: of all but block mappings and lists."""
        container = self._document.container(path)
        if container is not None:
            return None if container.style == "block" else container.span
        return next(
            leaf.span
            for leaf in self._document.leaves
            if leaf.path == path and not leaf.document and leaf.kind is not LeafKind.COMMENT
        )

    def _comment_behind(self, place: int) -> str:
        found = _COMMENT_BEHIND.match(self._document.source, place)
        return found[1].decode("utf-8") if found else ""

    # Removing.

    def remove(self, path: TreePath) -> tuple[Edit, ...]:
        """Give the edits that take away the entry at ``path`` of the first document."""
        entry = self._entry(path)
        container = self._document.container(path[:-1])
        siblings = self._siblings(path[:-1])
        if container is None:
            raise ValueError("an entry in nothing")
        if container.style == "flow":
            return (Edit(self._span_in_brackets(entry, siblings), b""),)
        if len(siblings) > 1 or (not container.path and len(self._document.metadata_spans[0])):
            return (self._without_lines(entry),)
        if container.path:
            return self._replace(container.path, List() if container.kind == "list" else Map())
        return (Edit(Span(entry.start, entry.end), b"{}" + self._document.newline),)

    def _span_in_brackets(self, entry: Entry, siblings: Siblings) -> Span:
        places = [each for _, each in siblings]
        for before, after in pairwise(places):
            if before == entry:
                return Span(entry.start, after.start)
            if after == entry and after == places[-1]:
                return Span(before.end, entry.end)
        return Span(entry.start, entry.end)

    def _without_lines(self, entry: Entry) -> Edit:
        """Take away the lines of an entry so that what follows does not become part of a block scalar above."""
        source = self._document.source
        start = source.rfind(b"\n", 0, entry.start) + 1
        if source.startswith(_BYTE_ORDER_MARK) and not start:
            start = 3
        if source[start : entry.start].strip(b" "):
            # Behind a dash: what comes next moves up to it.
            found = _BLANK_LINES.match(source, entry.end)
            return Edit(Span(entry.start, found.end() if found else entry.end), b"")
        above, end = self._block_above(start), entry.end
        if above is not None and b"+" in above[1]:
            # It keeps its line ends, and would take in blank lines.
            found = _WHOLE_BLANK_LINES.match(source, end)
            end = found.end() if found else end
        comment, column = _NEXT_COMMENT.match(source, end), entry.start - start
        if above is not None and comment and len(comment[1]) >= max(len(above[2] or b""), column + 1):
            # It stands as far in as the block's lines.
            return Edit(Span(start, comment.end() - 1), source[end : comment.start(1)] + b" " * column)
        return Edit(Span(start, end), b"")

    def _block_above(self, place: int) -> re.Match[bytes] | None:
        """Give the mark of the value before ``place``, and how far in its lines stand, if it is a block scalar."""
        before = [leaf for leaf in self._document.leaves if leaf.span.end <= place]
        last = max(before, key=lambda leaf: leaf.span.end, default=None)
        return None if last is None else _BLOCK.match(last.raw)

    # Looking.

    def _entry(self, path: TreePath) -> Entry:
        """Give an entry's place. Raises ``NotFound``."""
        found = self._entries.get((0, path)) if path else None
        if found is None:
            raise NotFound(Code.NOT_FOUND, f"nothing at '{_shown(path)}'")
        return found

    def _siblings(self, path: TreePath) -> list[tuple[TreePath, Entry]]:
        """Give the entries of the mapping or list at ``path``, in order."""
        depth = len(path) + 1
        return sorted(
            (
                (each, entry)
                for (number, each), entry in self._entries.items()
                if not number and len(each) == depth and each[:-1] == path
            ),
            key=lambda one: one[1].start,
        )

    def _layout(self, container: Container, siblings: Siblings, path: TreePath | None = None) -> Layout:
        """Find how to write what comes into ``container``, by what is next to it."""
        siblings = siblings[-_NEIGHBOURS:]
        known = {each for each, _ in siblings}
        values = [leaf for leaf in self._document.leaves if leaf.path in known and not leaf.document]
        source = self._document.source
        keys = [
            (str(each[-1]), source[entry.start : entry.start + 1])
            for each, entry in siblings
            if container.kind == "map"
        ]
        quotes = quotes_of_values(leaf for leaf in values if leaf.kind is not LeafKind.COMMENT)
        layout = layout_of(self._document, path or (*container.path, ""))
        return replace(layout, quote=quotes, key_quote=quotes_of_keys(keys))

    def _fitting(self, layout: Layout, place: int, indent: int) -> Layout:
        """Leave out the block scalars whose value would take in what stands at ``place``.

        Those are blank lines, if it keeps its line ends, and comments that stand further in than ``indent``.
        """
        source = self._document.source
        comment = _NEXT_COMMENT.match(source, place)
        if comment and len(comment[1]) > indent:
            return replace(layout, blocks="")
        if self._is_open(place):
            return replace(layout, blocks="-")
        following = _NOTHING_BEHIND.match(source, place)
        return replace(layout, blocks="|-") if following and len(source) > place else layout

    def _gap(self, value: Node, siblings: Siblings) -> int:
        """Find how far behind its dash a value like ``value`` begins in a list."""
        gaps = []
        for path, entry in siblings[-_NEIGHBOURS:]:
            found = _GAP.match(self._document.source, entry.start)
            if found and (self._document.container(path) is None) == isinstance(value, Scalar):
                gaps.append(len(found[1]))
        return gaps[-1] if gaps else 1


def _wrapped(value: Node, path: TreePath) -> Node:
    for segment in reversed(path):
        value = List([value]) if isinstance(segment, int) else Map([(segment, value)])
    return value


def _has_comments(value: Node) -> bool:
    if isinstance(value, Scalar):
        return False
    return any(
        isinstance(each, Comment) for each in (value.entries if isinstance(value, Map) else value.items)
    )


def _comments(document: Document) -> list[tuple[int, TreePath, bytes]]:
    return [(leaf.document, leaf.path, leaf.raw) for leaf in document.leaves if leaf.kind is LeafKind.COMMENT]


def _shown(path: TreePath) -> str:
    return format_tree_path(path).encode("unicode_escape").decode("ascii")


__all__ = ["Editor"]
