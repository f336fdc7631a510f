"""Block scalars of YAML, ``|`` and ``>``, read as go-yaml does (scannerc.go, yaml_parser_scan_block_scalar)."""

from __future__ import annotations

import re
from typing import Final

_SEPARATOR: Final = re.compile(rb"\xe2\x80[\xa8\xa9]")
_HEADER: Final = re.compile(rb"([|>])(?:([1-9])([+-])?|([+-])([1-9])?)?")


def read_block_scalar(source: bytes, header: bytes, at: int, parent: int) -> tuple[bytes, int, int] | None:
    """Read the lines from ``at`` of a scalar that began with ``header``, inside of a container at ``parent``.

    Gives the text, where its last line of content ends (without the line end), and where the line after it
    begins. ``None`` for what only the full reader may judge.
    """
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    step = int(found[2] or found[5] or 0)
    lines = _Lines(source, at)
    indent = parent + step if step else lines.detect(parent + 1)
    if indent is None:
        return None
    lines.collect(indent)
    chomp = found[3] or found[4] or b""
    keep = chomp == b"+"
    if found[1] == b"|":
        text = b"".join([each for line in zip(lines.body, lines.breaks, strict=True) for each in line][:-1])
    elif lines.separated:
        return None
    else:
        text = _fold(lines.body)
    if lines.body and chomp != b"-":
        text += lines.breaks[-1]
    if keep:
        text += b"".join(lines.blanks)
    return text, lines.kept_end if keep else lines.body_end, lines.after


class _Lines:
    """The lines of one scalar, and the line end behind each: at the end of the file there may be none.

    The separators U+2028 and U+2029 are line ends to go-yaml, and stay what they are in the value.
    """

    def __init__(self, source: bytes, at: int) -> None:
        self._source = source
        self.body: list[bytes] = []
        self.breaks: list[bytes] = []
        self.blanks: list[bytes] = []
        self.body_end = self.kept_end = -1
        self.after = at
        self.separated = False

    def _line(self, at: int) -> tuple[bytes, int, bytes]:
        stop = self._source.find(b"\n", at)
        line = self._source[at:] if stop < 0 else self._source[at:stop]
        if b"\xe2\x80" in line:
            found = _SEPARATOR.search(line)
            if found is not None:
                self.separated = True
                return line[: found.start()], at + found.end(), found[0]
        if stop < 0:
            return line, len(self._source), b""
        return (line[:-1] if line.endswith(b"\r") else line), stop + 1, b"\n"

    def detect(self, least: int) -> int | None:
        """Find the indentation of the first line that is not empty."""
        at, longest = self.after, 0
        while at < len(self._source):
            line, at, _ = self._line(at)
            text = line.lstrip(b" ")
            if text:
                indent = len(line) - len(text)
                # An error to some readers, an indented text to others.
                return None if longest > max(indent, least) or text[0] == 0x09 else max(indent, least)
            longest = max(longest, len(line))
        return max(longest, least)

    def collect(self, indent: int) -> None:
        """Take the lines that are blank or stand at ``indent`` and beyond."""
        margin = b" " * indent
        at, size = self.after, len(self._source)
        while at < size:
            line, following, line_break = self._line(at)
            if line.startswith(margin) and len(line) > indent:
                self.body += [b""] * len(self.blanks)
                self.breaks += self.blanks
                self.blanks = []
                self.body.append(line[indent:])
                self.breaks.append(line_break)
                self.body_end = self.kept_end = at + len(line)
            elif line.strip(b" "):
                break
            else:
                if line_break:
                    self.blanks.append(line_break)
                self.kept_end = at + len(line)
            at = self.after = following


def _fold(lines: list[bytes]) -> bytes:
    """Join lines by spaces, but those around empty and further indented lines by line ends."""
    parts: list[bytes] = []
    empty = 0
    last_indented = True
    for line in lines:
        if not line:
            empty += 1
            continue
        indented = line[:1] in (b" ", b"\t")
        if not parts:
            parts.append(b"\n" * empty)
        elif last_indented or indented:
            parts.append(b"\n" * (empty + 1))
        else:
            parts.append(b"\n" * empty or b" ")
        parts.append(line)
        last_indented, empty = indented, 0
    return b"".join(parts)


__all__ = ["read_block_scalar"]
