"""Where each key and value of a TOML text stands.

tomllib gives values without places, and tomlkit is too slow and too heavy for commands that only read.
This is a scanner of a text that tomllib has accepted already, so it decides nothing: it walks the tokens
once, in linear time and without recursion, and notes where each table header, key and array element
begins.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right

from secretsmith.record import record

KeyPath = tuple[str | int, ...]

# Possessive repetition (++, *+) keeps every alternative linear (TOML 1.0: keys, strings, comments).
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]++|\#[^\n]*+)
    |(?P<line>\n[ \t\r\n]*+)
    |(?P<text>\"\"\"(?:[^\\"]|\\[\s\S]|"(?!""))*+\"{3,5}
        |'''(?:[^']|'(?!''))*+'{3,5}
        |"(?:[^"\\\n]|\\.)*+"
        |'[^'\n]*+')
    |(?P<mark>[\[\]{},=.])
    |(?P<bare>[^\s\[\]{},=.\#"']++)
    |(?P<other>[\s\S])""",
    re.VERBOSE,
)


@record(frozen=False)
class _Array:
    path: KeyPath
    index: int = 0


@record(frozen=False)
class _Inline:
    path: KeyPath
    named: bool = False  # the key before the next comma has been read


class Positions:
    """Offsets of the keys of one text, found by one scan."""

    def __init__(self, text: str) -> None:
        self._offsets: dict[KeyPath, int] = {}
        # Where lines begin: one place is asked for by an error, thousands by warnings.
        self._lines = array("L", [0])
        self._lines.extend(match.end() for match in re.finditer("\n", text))
        _Scan(text, self._offsets).run()

    def offset(self, path: KeyPath) -> int:
        """Give the offset of ``path``, or of its nearest ancestor that the text names, or 0."""
        for length in range(len(path), 0, -1):
            found = self._offsets.get(path[:length])
            if found is not None:
                return found
        return 0

    def line_column(self, path: KeyPath) -> tuple[int, int]:
        """Give line and column (1-based, in characters) of ``path`` or of its nearest ancestor."""
        offset = self.offset(path)
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Turn an offset into line and column, both 1-based, the column in characters."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


class _Scan:
    """The walk: statements at the top level, then values with a stack of open arrays and inline tables."""

    def __init__(self, text: str, offsets: dict[KeyPath, int]) -> None:
        self._tokens = (m for m in _TOKEN.finditer(text) if m.lastgroup != "skip")
        self._offsets = offsets
        self._table: KeyPath = ()
        self._counts: dict[KeyPath, int] = {}

    def run(self) -> None:
        token: re.Match[str] | None
        for token in self._tokens:
            if token.lastgroup == "line":
                continue
            if token.group() == "[":
                self._header()
            else:
                self._pair(token, self._table)
            # Numbers and dates are several tokens.
            while token is not None and token.lastgroup != "line":
                token = self._next()

    def _note(self, path: KeyPath, offset: int) -> None:
        self._offsets.setdefault(path, offset)

    def _next(self) -> re.Match[str] | None:
        return next(self._tokens, None)

    def _key(self, token: re.Match[str] | None, end: str) -> list[tuple[str, int]]:
        """Read a dotted key up to ``end``; gives its parts with their offsets."""
        parts: list[tuple[str, int]] = []
        while token is not None and token.group() != end and token.lastgroup != "line":
            if token.lastgroup in ("bare", "text"):
                parts.append((_plain(token.group()), token.start()))
            token = self._next()
        return parts

    def _header(self) -> None:
        token = self._next()
        many = token is not None and token.group() == "["
        parts = self._key(self._next() if many else token, "]")
        path: KeyPath = ()
        for position, (part, start) in enumerate(parts):
            path = (*path, part)
            last = position == len(parts) - 1
            if many and last:
                self._counts[path] = self._counts.get(path, -1) + 1
            self._note(path, start)
            if path in self._counts:
                path = (*path, self._counts[path])
                self._note(path, start)
        self._table = path
        if many:
            self._next()

    def _pair(self, token: re.Match[str], table: KeyPath) -> None:
        """Read ``key = value`` at the top level, whatever the value holds, up to the end of its line."""
        open_: list[_Array | _Inline] = []
        self._enter(self._named(token, table), open_)
        while open_:
            inner = self._next()
            if inner is None:
                return
            self._inside(inner, open_)

    def _named(self, token: re.Match[str], table: KeyPath) -> KeyPath:
        path = table
        for part, start in self._key(token, "="):
            path = (*path, part)
            self._note(path, start)
        return path

    def _enter(self, path: KeyPath, open_: list[_Array | _Inline]) -> None:
        """Look at the first token of the value of ``path``; nothing to do for a plain one."""
        token = self._next()
        if token is not None:
            self._begin(token, path, open_)

    def _begin(self, token: re.Match[str], path: KeyPath, open_: list[_Array | _Inline]) -> None:
        self._note(path, token.start())
        if token.group() == "[":
            open_.append(_Array(path))
        elif token.group() == "{":
            open_.append(_Inline(path))

    def _inside(self, token: re.Match[str], open_: list[_Array | _Inline]) -> None:
        here, text = open_[-1], token.group()
        if text in ("]", "}"):
            open_.pop()
        elif text == ",":
            if isinstance(here, _Array):
                here.index += 1
            else:
                here.named = False
        elif isinstance(here, _Inline):
            if not here.named:
                here.named = True
                self._enter(self._named(token, here.path), open_)
        elif token.lastgroup != "line":
            self._begin(token, (*here.path, here.index), open_)


def _plain(token: str) -> str:
    """The key that a token spells; an escape in a quoted key is rare enough to be read by tomllib itself."""
    if token[0] == "'":
        return token[1:-1]
    if token[0] != '"':
        return token
    if "\\" not in token:
        return token[1:-1]
    import tomllib  # a key with an escape: only then, and only for a place in a message

    return str(tomllib.loads(f"k = {token}")["k"])


__all__ = ["KeyPath", "Positions", "line_column"]
