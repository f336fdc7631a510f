"""Where the statements of a TOML text stand, line by line, for edits that change nothing else.

A text that tomllib accepts is cut into blocks (a header and what follows it) and statements (``key = value``, over one or
more lines), each with its offsets. Linear, and it decides nothing: a text that is no TOML gives some blocks or others, and
the parse after the edit refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from secretsmith.record import field, record

KeyPath = tuple[str | int, ...]

_STRING = r"""\"\"\"(?:[^\\"]|\\[\s\S]|"(?!""))*+\"{3,5}|'''(?:[^']|'(?!''))*+'{3,5}|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_KEY_PART = re.compile(rf"""[ \t]*+(?:(?P<bare>[A-Za-z0-9_-]++)|(?P<text>{_STRING}))[ \t]*+(?P<dot>\.)?""")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
_DEPTH = {"open": 1, "close": -1}
_VALUE = re.compile(
    rf"""(?P<blank>[ \t\r]++)|(?P<comment>\#[^\n]*+)|(?P<line>\n)|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<plain>{_STRING}|,|[^\s\#\[\]{{}}"',]++|[\s\S])"""
)


@record
class Statement:
    """One ``key = value``.

    ``path`` is absolute (the index of an array table is a number in it); ``key`` is the key as written, in parts. The lines
    run from offset ``start`` to ``end``, the newline and a comment at the end of the line included; ``value`` is where the
    value begins.
    """

    path: KeyPath
    key: tuple[str, ...]
    start: int
    value: int
    end: int


@record(frozen=False)
class Block:
    """A header with its statements; the first block of a text has no header and the empty path.

    Its lines run from offset ``start`` to ``end``, the end of its last statement; comments and empty lines after that are
    nobody's.
    """

    path: KeyPath
    start: int
    end: int
    statements: list[Statement] = field(default_factory=list)


def scan(text: str) -> list[Block]:
    """Cut a TOML text into its blocks."""
    blocks = [Block((), 0, 0)]
    counts: dict[KeyPath, int] = {}
    at = 0
    while at < len(text):
        line_end = _line_end(text, at)
        first = text[at:line_end].lstrip(" \t")[:1]
        if first == "[":
            blocks.append(Block(_header(text, at, counts), at, line_end))
        elif first not in ("", "#", "\n", "\r"):
            statement = _statement(text, at, blocks[-1].path)
            blocks[-1].statements.append(statement)
            line_end = blocks[-1].end = statement.end
        at = line_end
    return blocks


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _header(text: str, at: int, counts: dict[KeyPath, int]) -> KeyPath:
    start = text.index("[", at) + 1
    many = text.startswith("[", start)
    parts = list(_key(text, start + many))
    path: KeyPath = ()
    for position, (part, _) in enumerate(parts, start=1):
        path = (*path, part)
        if many and position == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _key(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the parts of a dotted key, each with the offset behind it."""
    while found := _KEY_PART.match(text, at):
        at = found.end()
        yield found["bare"] or _unquoted(found["text"]), at
        if not found["dot"]:
            return


def _unquoted(token: str) -> str:
    if token[0] == "'" or "\\" not in token:
        return token[1:-1]
    import tomllib  # a key with an escape: rare

    return str(tomllib.loads(f"k = {token}")["k"])


def _statement(text: str, at: int, table: KeyPath) -> Statement:
    parts = list(_key(text, at))
    key = tuple(part for part, _ in parts)
    value = _EQUALS.match(text, parts[-1][1] if parts else at)
    start = position = value.end() if value else at
    depth = 0
    while found := _VALUE.match(text, position):
        position = found.end()
        depth += _DEPTH.get(found.lastgroup or "", 0)
        if found.lastgroup == "line" and depth <= 0:
            break
    return Statement((*table, *key), key, at, start, position)


def append_elements(text: str, array: int, elements: Sequence[str]) -> str:
    """Write ``elements`` (TOML values) behind the last element of the array that begins at the offset ``array``.

    On a line each where the last one has a line of its own, else on its line; a comment behind it stays with it.
    """
    for element in elements:
        text = _append_element(text, array, element)
    return text


def _append_element(text: str, array: int, element: str) -> str:
    last, comma, close = _array_ends(text, array)
    if last is None:
        open_end = array + 1
        if "\n" not in text[open_end:close]:
            return text[:open_end] + element + text[close:]
        line = text.rfind("\n", 0, close) + 1
        indent = text[line:close] + "  "
        return text[:line] + indent + element + "," + newline_of(text) + text[line:]
    start, end = last
    line = text.rfind("\n", 0, start) + 1
    comma_below = comma is not None and "\n" in text[end:comma]
    if line <= array or text[line:start].strip() or comma_below:
        return f"{text[:end]}, {element}{text[end:]}"
    separated = text[:end] + ("," if comma is None else "") + text[end:]
    # Behind a comment on the same line, but never behind the bracket.
    line_end = min(_line_end(separated, end), close + (comma is None))
    head = separated[:line_end].rstrip(" \t") if line_end >= close else separated[:line_end]
    own_line = "" if head.endswith("\n") else newline_of(text)
    after = newline_of(text) if head.endswith("\n") else ""
    return (
        head
        + own_line
        + text[line:start]
        + element
        + ("," if comma is not None else "")
        + after
        + separated[line_end:]
    )


def _array_ends(text: str, array: int) -> tuple[tuple[int, int] | None, int | None, int]:
    """Return where the last element begins and ends (None: no element), the comma behind it, and the closing bracket."""
    last: tuple[int, int] | None = None
    comma: int | None = None
    depth, start, position = 1, array + 1, array + 1
    while found := _VALUE.match(text, position):
        position, kind = found.end(), found.lastgroup or ""
        if depth == 1 and kind == "close":
            return last, comma, found.start()
        if depth == 1 and kind in ("open", "plain") and found[0] != ",":
            start, comma = found.start(), None
        elif depth == 1 and found[0] == ",":
            comma = found.start()
        depth += _DEPTH.get(kind, 0)
        if depth == 1 and kind in ("close", "plain") and found[0] != ",":
            last = (start, position)
    return last, comma, len(text)


def array_end(text: str, array: int) -> int:
    """Return the offset behind the bracket that closes the array which begins at the offset ``array``."""
    return _array_ends(text, array)[2] + 1


def newline_of(text: str) -> str:
    """Return the line end that the text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def insert_lines(text: str, at: int, lines: list[str]) -> str:
    """Insert ``lines`` (without line ends) at the offset ``at``, which is the start of a line or the end of the text."""
    newline = newline_of(text)
    before = text[:at]
    if before and not before.endswith("\n"):
        before += newline
    return before + "".join(line + newline for line in lines) + text[at:]


def insert_block(text: str, after: Block | None, lines: list[str]) -> str:
    """Insert a new block behind ``after`` (None: at the end), with an empty line before and, where something follows, after.

    Comments directly below ``after`` stay with it, unless they stand directly above the next header.
    """
    at = len(text) if after is None else _behind_comments(text, after.end)
    head, tail = text[:at], text[at:]
    gap = [""] if head.strip() and not head.endswith(("\n\n", "\n\r\n")) else []
    end = [""] if tail.strip() and not tail.lstrip(" \t\r").startswith("\n") else []
    return insert_lines(text, at, [*gap, *lines, *end])


def _behind_comments(text: str, at: int) -> int:
    end = at
    while end < len(text) and text[end : _line_end(text, end)].lstrip().startswith("#"):
        end = _line_end(text, end)
    return at if text[end : _line_end(text, end)].strip() else end


def remove_block(text: str, block: Block) -> str:
    """Remove the lines of ``block``; a comment above it stays, and so does one empty line between what is left."""
    head, tail = text[: block.start], text[block.end :]
    if not head.strip() or head.endswith(("\n\n", "\n\r\n")):
        while tail.strip() and not tail[: _line_end(tail, 0)].strip():
            tail = tail[_line_end(tail, 0) :]
    if not tail.strip():
        head, tail = head.rstrip() + newline_of(text) if head.strip() else "", ""
    return head + tail


def dotted(path: Iterable[str | int]) -> str:
    """Spell a key of several parts."""
    return ".".join(quoted(str(part)) for part in path)


def quoted(key: str) -> str:
    """Spell one part of a key; names have neither quotes nor backslashes (policy/principals.py)."""
    return key if _BARE_KEY.fullmatch(key) else f'"{key}"'


def indent_of(text: str, statement: Statement) -> str:
    """Return the blanks that a statement begins with."""
    line = text[statement.start : statement.end]
    return line[: len(line) - len(line.lstrip(" \t"))]


__all__ = [
    "Block",
    "KeyPath",
    "Statement",
    "append_elements",
    "array_end",
    "dotted",
    "indent_of",
    "insert_block",
    "insert_lines",
    "newline_of",
    "quoted",
    "remove_block",
    "scan",
]
