"""How things look: escaped text, plain tables, errors and hints. No third-party package, and nothing is printed here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secretsmith.errors import SecretsmithError

PROGRAM = "secretsmith"
_GAP = "  "
# Inside JSON strings: DEL and C1 controls, bidi and other invisible format characters, line separators, lone surrogates.
# json.dumps has escaped C0 already.
_UNSAFE_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


def printable(text: str) -> str:
    r"""Escape what could steer a terminal or lie to the eye: controls, ANSI, bidi, invisible and unassigned characters.

    A name or comment in a repository is somebody else's text; with an escape sequence in it, a listing could hide a line.
    The result is one line: newlines become ``\n``.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""Return ``value`` as JSON that is safe on a terminal: the characters of :func:`printable` are ``\u`` escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def error_lines(error: SecretsmithError) -> Iterator[str]:
    """Yield the lines that tell a person about an error: what happened, then what to do."""
    yield f"{PROGRAM}: error: {printable(error.message)}"
    for hint in error.hints:
        yield f"{PROGRAM}: hint: {printable(hint)}"


def wants_color(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether to use bold: only on a terminal, never with NO_COLOR (no-color.org) or TERM=dumb."""
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None, bold: bool = False
) -> Iterator[str]:
    """Yield the lines of an aligned table.

    ``width`` is the terminal's: where a line is longer, its last column continues below itself; nothing is cut off. Without
    it (in a pipe) every row is one line. Cells are escaped by :func:`printable`.
    """
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(header) - 1)]
    indent = sum(widths) + len(_GAP) * len(widths)
    for number, row in enumerate(cells):
        start = "".join(cell + " " * (w - columns(cell)) + _GAP for cell, w in zip(row, widths, strict=False))
        for part in _wrapped(row[-1], width, indent):
            text = (start + part).rstrip()
            yield f"\x1b[1m{text}\x1b[0m" if bold and number == 0 else text
            start = " " * indent


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    room = 0 if width is None else width - indent
    if room < 20 or columns(text) <= room:  # a column narrower than a word reads worse than a long line
        return [text]
    import textwrap  # a terminal that is too narrow, only

    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def columns(text: str) -> int:
    """Return how many terminal columns ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # names are nearly always ASCII

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


__all__ = ["PROGRAM", "columns", "error_lines", "json_text", "printable", "table", "wants_color"]
