"""New and removed entries of YAML documents, as edits of their own lines and nothing else."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from secretsmith.documents.node import List, Map, Node
from secretsmith.documents.tree import Container, Document, Edit, Span, TreePath, format_tree_path
from secretsmith.documents.yamlassembly import Assembly, Entry
from secretsmith.documents.yamlemit import Layout, entry_lines, flow_key, flow_text, item_lines
from secretsmith.errors import Code, NotFound

_BLANK_LINES: Final = re.compile(rb"(?:[ ]*\r?\n)*[ ]*")
_LINE_REST: Final = re.compile(rb"[ ]*(?=(#[^\r\n]*)?\r?(?:\n|\Z))")


def layout_of(document: Document) -> Layout:
    """Find how a document indents, from the first of its mappings and lists that shows it."""
    step, offset = None, None
    known = {(each.document, each.path): each for each in document.containers}
    for each in document.containers:
        parent = known.get((each.document, each.path[:-1])) if each.path else None
        if parent is None or each.style == "flow" or parent.style == "flow" or parent.kind == "list":
            continue
        if each.kind == "map" and step is None:
            step = each.indent - parent.indent
        elif each.kind == "list" and offset is None:
            offset = each.indent - parent.indent
        if step is not None and offset is not None:
            break
    if step is None:
        step = offset if offset and offset > 1 else 4
    return Layout(min(step, 8), offset if offset is not None and offset != step else None)


_METADATA: Final = re.compile(rb"(?: *)[^\n]*\n( +)")
_METADATA_LIST: Final = re.compile(rb"\n( +)[a-z_\"']+: *\r?\n( +)- ")


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


class Editor:
    """Edits of one document, read with the places of its entries."""

    def __init__(self, document: Document, assembly: Assembly) -> None:
        self._document = document
        self._entries = assembly.entries
        self._layout = layout_of(document)
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
            place = self._place(container)
            lines = self._lines(container, segment, value, container.indent)
            return (Edit(Span(place, place), self._whole_lines(lines, place)),)
        parent = self._document.container(container.path[:-1])
        if container.empty and parent is not None and parent.style == "block":
            return self._replace(
                container.path, List([value]) if container.kind == "list" else Map([(str(segment), value)])
            )
        return (self._add_in_brackets(container, segment, value),)

    def _add_in_brackets(self, container: Container, segment: str | int, value: Node) -> Edit:
        text = flow_text(value) if isinstance(segment, int) else f"{flow_key(segment)}: {flow_text(value)}"
        siblings = self._siblings(container.path)
        place = siblings[-1][1].end if siblings else container.span.start + 1
        return Edit(Span(place, place), (f", {text}" if siblings else text).encode("utf-8"))

    def _place(self, container: Container) -> int:
        """Find where an entry is added to a block: behind all that is in it, but before the metadata."""
        if container.path:
            return container.span.end
        metadata = self._document.metadata_spans[0]
        if len(metadata) and metadata.end >= container.span.end:
            return metadata.start
        return container.span.end

    def _whole_lines(self, lines: list[str], place: int) -> bytes:
        """Join lines to be put at ``place``, with a line end before or behind as the place needs it."""
        text = self._newline.join(lines)
        source = self._document.source
        if place and source[place - 1 : place] != b"\n" and source[:place] != b"\xef\xbb\xbf":
            return (self._newline + text).encode("utf-8")
        return (text + self._newline).encode("utf-8")

    def _lines(self, container: Container, segment: str | int, value: Node, indent: int) -> list[str]:
        if container.kind == "list":
            return item_lines(value, indent, self._layout)
        return entry_lines(str(segment), value, indent, self._layout)

    def _replace(self, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Write an entry anew with another value; a comment behind a value of one line stays."""
        entry = self._entry(path)
        parent = self._document.container(path[:-1])
        if parent is None:
            raise ValueError("an entry in nothing")
        source = self._document.source
        if parent.style == "flow":
            return (Edit(Span(entry.value, entry.end), flow_text(value).encode("utf-8")),)
        lines = self._lines(parent, path[-1], value, parent.indent)
        lines[0] = lines[0][parent.indent :]
        comment = self._comment_behind(path)
        if comment and not lines[0].endswith(("|", "|-", "|+")):
            lines[0] += comment
        ending = source[: entry.end].endswith(b"\n")
        text = self._newline.join(lines) + (self._newline if ending else "")
        return (Edit(Span(entry.start, entry.end), text.encode("utf-8")),)

    def _comment_behind(self, path: TreePath) -> str:
        for leaf in self._document.leaves:
            if leaf.path == path and not leaf.document and b"\n" not in leaf.raw:
                found = _LINE_REST.match(self._document.source, leaf.span.end)
                if found and found[1]:
                    return " " + found[1].decode("utf-8")
        return ""

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
            return (Edit(self._span_of_lines(entry, siblings), b""),)
        if container.path:
            return self._replace(container.path, List() if container.kind == "list" else Map())
        return (Edit(Span(entry.start, entry.end), b"{}" + self._document.newline),)

    def _span_in_brackets(self, entry: Entry, siblings: list[tuple[TreePath, Entry]]) -> Span:
        places = [each for _, each in siblings]
        for before, after in pairwise(places):
            if before == entry:
                return Span(entry.start, after.start)
            if after == entry and after == places[-1]:
                return Span(before.end, entry.end)
        return Span(entry.start, entry.end)

    def _span_of_lines(self, entry: Entry, siblings: list[tuple[TreePath, Entry]]) -> Span:
        source = self._document.source
        start = source.rfind(b"\n", 0, entry.start) + 1
        if source.startswith(b"\xef\xbb\xbf") and not start:
            start = 3
        if not source[start : entry.start].strip(b" "):
            return Span(start, entry.end)
        # Behind a dash: what comes next moves up to it.
        found = _BLANK_LINES.match(source, entry.end)
        return Span(entry.start, found.end() if found else entry.end)

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


def _wrapped(value: Node, path: TreePath) -> Node:
    for segment in reversed(path):
        value = List([value]) if isinstance(segment, int) else Map([(segment, value)])
    return value


def _shown(path: TreePath) -> str:
    return format_tree_path(path).encode("unicode_escape").decode("ascii")


__all__ = ["Editor", "layout_of", "metadata_layout"]
