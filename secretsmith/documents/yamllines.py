"""The lines of YAML in block style, as expressions, and what stands in quotes.

All expressions are possessive: none goes back over what it has matched, so each takes linear time.
Source: YAML 1.2.2 §7.3, §5.7; go-yaml v3, scannerc.go.
"""

from __future__ import annotations

import json
import re
from typing import Final

# The first byte of a plain scalar, and what may follow in it. Tabs are left to the full reader.
_FIRST = rb"""(?:[^\x00-\x20\-?:,\[\]{}#&*!|>'"%@`]|[\-?:](?=[^\x00-\x20]))"""
_PLAIN = _FIRST + rb"(?:[^\x00-\x20:]++|:(?=[^\x00-\x20])|[ ]++(?=[^\x00-\x20:#]))*+"
_DOUBLE = rb'"(?:[^"\\\x00-\x08\x0a-\x1f]++|\\.)*+"'
_SINGLE = rb"'(?:[^'\x00-\x08\x0a-\x1f]++|'')*+'"

# The line that most are: indent, key or dash, and a value; all without quotes, the key like no number.
_KEY_WORD = rb"""[^\x00-\x20\-?:,\[\]{}#&*!|>'"%@`~.+0-9][^\x00-\x20:]*+(?::[^\x00-\x20:]++)*+"""
_WORD = rb"""[^\x00-\x20\-?:,\[\]{}#&*!|>'"%@`][^\x00-\x20:]*+(?::[^\x00-\x20:]++)*+"""
_MORE = rb"(?:[ ]++[^\x00-\x20:#][^\x00-\x20:]*+(?::[^\x00-\x20:]++)*+)*+"
SIMPLE: Final = re.compile(b"([ ]*+)(?:(" + _KEY_WORD + b"):|-)[ ](" + _WORD + _MORE + rb")\r?+\n")
BLANK_LINES: Final = re.compile(rb"(?:[ ]*+\r?+\n)++")
COMMENT_LINE: Final = re.compile(rb"[ ]*+(#[^\r\n]*+)\r?+\n")
OTHER_WORDS: Final = frozenset(
    word
    for name in ("true", "false", "null")
    for word in (name.encode(), name.title().encode(), name.upper().encode())
)

# indent, dashes, key, the rest
LINE: Final = re.compile(
    rb"([ ]*+)((?:-[ ]++)*+)(?:("
    + _PLAIN
    + b"|"
    + _DOUBLE
    + b"|"
    + _SINGLE
    + rb"|!!merge[ ]<<):(?:[ ]++|\Z))?+(.*+)",
    re.DOTALL,
)
# plain, double, single, empty container, block scalar; a comment behind it
VALUE: Final = re.compile(
    b"(?:(" + _PLAIN + b")|(" + _DOUBLE + b")|(" + _SINGLE + rb")|(\{[ ]*+\}|\[[ ]*+\])|([|>][0-9+-]{0,2}+))"
    rb"(?:[ ]++(\#.*+)?+)?+\Z",
    re.DOTALL,
)
PLAIN_VALUE, DOUBLE_VALUE, SINGLE_VALUE, EMPTY_VALUE, BLOCK_VALUE, COMMENT = range(1, 7)
# A plain scalar that begins with another byte than these is text, whatever follows (go-yaml, resolve.go).
MAY_BE_OTHER: Final = frozenset(b"tTfFnN~.+-0123456789")
MERGE: Final = b"!!merge <<"
# go-yaml and ruamel know a key without a question mark only in 1024 characters.
MAX_KEY: Final = 1000

SEPARATOR: Final = re.compile(rb"\xe2\x80[\xa8\xa9]")
# Line ends to go-yaml and nobody else; a byte order mark inside is nothing to it. NEL and the mark are only
# written in comments.
ODD_BREAK: Final = re.compile(rb"[\xe2\xc2](?:(?<=\xe2)\x80[\xa8\xa9]|(?<=\xc2)\x85)")
ODD: Final = re.compile(rb"[\xe2\xc2\xef](?:(?<=\xe2)\x80[\xa8\xa9]|(?<=\xc2)\x85|(?<=\xef)\xbb\xbf)")
ONLY_IN_COMMENTS: Final = re.compile(rb"\xc2\x85|\xef\xbb\xbf")
# Blanks around a line end in quotes do not count.
_AROUND_SEPARATORS: Final = re.compile("[ \t]*([\u2028\u2029]+)[ \t]*")
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
# Escapes that JSON has too, and a faster reader.
_AS_JSON: Final = re.compile(rb'(?:[^\\]++|\\(?:["\\/bfnrt]|u(?![dD][89A-Fa-f])[0-9A-Fa-f]{4}))*+')
_MAX_ESCAPES: Final = 200_000
_ESCAPES: Final = {
    b"0": "\0", b"a": "\a", b"b": "\b", b"t": "\t", b"\t": "\t", b"n": "\n", b"v": "\v", b"f": "\f", b"r": "\r",
    b"e": "\x1b", b" ": " ", b'"': '"', b"/": "/", b"\\": "\\", b"N": "\x85", b"_": "\xa0", b"L": "\u2028",
    b"P": "\u2029",
}  # fmt: skip


class Outside(Exception):  # no error: the other reader takes over
    """The text is not the block style that is read here."""


def kind_of(found: re.Match[bytes]) -> int:
    """Tell which kind of value :data:`VALUE` has matched."""
    last = found.lastindex or COMMENT
    if last != COMMENT:
        return last
    return next(kind for kind in range(PLAIN_VALUE, COMMENT) if found[kind] is not None)


def single_content(quoted: bytes) -> str:
    """Give what stands in single quotes."""
    text = quoted[1:-1].replace(b"''", b"'").decode("utf-8")
    return _AROUND_SEPARATORS.sub(r"\1", text) if "\u2028" in text or "\u2029" in text else text


def double_content(quoted: bytes) -> str:
    """Give what stands in double quotes. Raises ``Outside`` for escapes that do not exist."""
    inner = quoted[1:-1]
    if b"\xe2\x80" in inner and SEPARATOR.search(inner):
        raise Outside
    if b"\\" not in inner:
        return inner.decode("utf-8")
    if _AS_JSON.fullmatch(inner):
        found = json.loads(b'"' + inner + b'"', strict=False)
        return str(found)
    if inner.count(b"\\") > _MAX_ESCAPES:
        raise Outside
    parts: list[str] = []
    done = 0
    for found in _ESCAPE.finditer(inner):
        parts.append(inner[done : found.start()].decode("utf-8"))
        parts.append(_escaped(found))
        done = found.end()
    parts.append(inner[done:].decode("utf-8"))
    return "".join(parts)


def _escaped(found: re.Match[bytes]) -> str:
    if found[4] is not None:
        text = _ESCAPES.get(found[4])
        if text is None:
            raise Outside
        return text
    code = int(found[1] or found[2] or found[3], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise Outside
    return chr(code)


__all__ = [
    "BLANK_LINES",
    "BLOCK_VALUE",
    "COMMENT",
    "COMMENT_LINE",
    "DOUBLE_VALUE",
    "EMPTY_VALUE",
    "LINE",
    "MAX_KEY",
    "MAY_BE_OTHER",
    "MERGE",
    "ODD",
    "ODD_BREAK",
    "ONLY_IN_COMMENTS",
    "OTHER_WORDS",
    "PLAIN_VALUE",
    "SEPARATOR",
    "SIMPLE",
    "SINGLE_VALUE",
    "VALUE",
    "Outside",
    "double_content",
    "kind_of",
    "single_content",
]
