"""One line of an INI file as go-ini reads it with the options of sops, and how a value is written so.

What go-ini reads in a way that nobody means (a backslash at the end of a line, text behind closing quotes)
is refused. Source: go-ini v1.67 parser.go (readKeyName, readValue, readMultilines, hasSurroundedQuote).
"""

from __future__ import annotations

import re
from typing import Final

from secretsmith.documents.sourcetext import line_of
from secretsmith.documents.tree import Span
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record

# Unicode's White_Space, which Go's strings.TrimSpace takes away. str.strip() takes away more.
BLANKS: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_ASCII_BLANKS: Final = b"\t\n\v\f\r "
_TRIPLE: Final = b'"""'
_TICK: Final = b"`"
_DELIMITER = re.compile(rb"[=:]")
_MARK = re.compile(rb"[#;]")


@record
class ValueText:
    """A value where it stands: ``span`` with its quotes, ``end`` is behind its line."""

    plain: bytes = field(repr=False)
    span: Span
    comment: Span | None
    end: int


def trim(source: bytes, start: int, end: int) -> Span:
    """Give ``start`` to ``end`` without the blanks at both ends."""
    raw = source[start:end]
    if raw.isascii():
        behind = raw.lstrip(_ASCII_BLANKS)
        start = end - len(behind)
        return Span(start, start + len(behind.rstrip(_ASCII_BLANKS)))
    left = raw.decode("utf-8").lstrip(BLANKS)
    right = left.rstrip(BLANKS)
    start = end - len(left.encode("utf-8"))
    return Span(start, start + len(right.encode("utf-8")))


def line_end(source: bytes, at: int) -> int:
    """Give where the line of ``at`` ends, its line end included."""
    return source.find(b"\n", at) + 1 or len(source)


def blank_line_before(source: bytes, start: int) -> int:
    """Give the start of the empty line before the line that begins at ``start``; without one, ``start``."""
    before = source.rfind(b"\n", 0, max(start - 1, 0)) + 1
    return start if source[before:start].strip(b" \t\r\n\v\f") else before


def wrong(source: bytes, at: int, why: str, *hints: str) -> RefusedInput:
    """Give the error for the line of ``at``; ``why`` must not hold text of it."""
    return RefusedInput(Code.YAML_SYNTAX, f"line {line_of(source, at)}: {why}", hints=hints)


def read_name(source: bytes, start: int, end: int) -> tuple[str, int]:
    """Read the key of the entry at ``start``: its name, and where its value's text begins."""
    quote = _quote_of_name(source, start, end)
    if quote:
        close = source.find(quote, start + len(quote), end)
        if close < 0:
            raise wrong(source, start, "the quotes of a key are not closed")
        inside, after = (start + len(quote), close), close + len(quote)
    else:
        inside, after = (start, -1), start
    found = _DELIMITER.search(source, after, end)
    if found is None:
        raise wrong(
            source, start, "no '=' in an entry of an INI file", 'a value of several lines needs quotes: """'
        )
    if quote and trim(source, after, found.start()):
        raise wrong(source, start, "text behind the closing quote of a key")
    name = trim(source, inside[0], inside[1] if quote else found.start())
    text = source[name.start : name.end].decode("utf-8")
    if text in ("", "-"):
        raise wrong(source, start, "an entry of an INI file without a name")
    return text, found.end()


def _quote_of_name(source: bytes, start: int, end: int) -> bytes:
    if source.startswith(_TRIPLE, start) and end - start > 6:
        return _TRIPLE
    first = source[start : start + 1]
    return first if first in (b'"', _TICK) else b""


def read_value(source: bytes, start: int, end: int) -> ValueText:
    """Read the value that begins at ``start``, in a line that ends at ``end``; it may go on in further lines.

    Raises:
        RefusedInput: YAML_SYNTAX.
    """
    text = trim(source, start, end)
    if not text:
        # In `key = `, behind the blank that sops writes there.
        at = start + source.startswith(b" ", start)
        return ValueText(b"", Span(at, at), None, end)
    quote = _TRIPLE if source.startswith(_TRIPLE, text.start) else source[text.start : text.start + 1]
    if quote in (_TRIPLE, _TICK):
        return _quoted(source, text.start, end, quote)
    _refuse_continuation(source, text)
    mark = _MARK.search(source, text.start, text.end)
    comment = Span(mark.start(), text.end) if mark else None
    value = trim(source, text.start, mark.start()) if mark else text
    return ValueText(_unquoted(source[value.start : value.end]), value, _checked(source, comment), end)


def _quoted(source: bytes, start: int, end: int, quote: bytes) -> ValueText:
    inside = start + len(quote)
    close = source.rfind(quote, inside, end)
    lines = close < 0
    if lines:
        # The value ends at the last quote of the next line that has one.
        found = source.find(quote, end)
        if found < 0:
            raise wrong(source, start, "the quotes of a value are not closed")
        end = line_end(source, found)
        close = source.rfind(quote, found, end)
    after = close + len(quote)
    rest = trim(source, after, end)
    if rest and source[rest.start] not in b"#;":
        raise wrong(source, after, "text behind the closing quote of a value")
    if rest and not lines:
        raise wrong(
            source,
            after,
            "a comment behind a value in quotes, which sops does not see",
            "put the comment above the entry",
        )
    _refuse_continuation(source, rest)
    comment = _checked(source, rest if rest else None)
    return ValueText(source[inside:close], Span(start, after), comment, end)


def _refuse_continuation(source: bytes, text: Span) -> None:
    if source[text.start : text.end].endswith(b"\\"):
        raise wrong(
            source,
            text.start,
            "a backslash at the end of a line, which joins it to the next one",
            "put a value that ends with a backslash in backquotes: `C:\\`",
        )


def _checked(source: bytes, comment: Span | None) -> Span | None:
    """Refuse a comment beside a value that could be taken for a value's closing quotes."""
    if comment is not None and comment_is_ambiguous(source[comment.start : comment.end]):
        raise wrong(
            source,
            comment.start,
            "a comment beside a value has quotes in it that could belong to the value",
            "put the comment above the entry",
        )
    return comment


def comment_is_ambiguous(text: bytes) -> bool:
    """Say whether ``text`` cannot stand in a line behind a value of any kind."""
    return _TRIPLE in text or b"\n" in text or text.endswith(b"\\")


def _unquoted(raw: bytes) -> bytes:
    for quote in (b"'", b'"'):
        if len(raw) >= 2 and raw.startswith(quote) and raw.find(quote, 1) == len(raw) - 1:
            return raw[1:-1]
    return raw


def write_value(plain: bytes, *, like: bytes = b"", rest: bytes = b"") -> bytes:
    """Give a value with the quotes it needs, if any; ``like`` is the old text, whose quotes are kept.

    ``rest`` is what stands behind it in its line.

    Raises:
        RefusedInput: YAML_VALUE when no quotes make go-ini read this value; YAML_CHAR; ENCODING.
    """
    check_text(plain)
    for quote in _quotes(plain, like, rest):
        text = quote + plain + quote
        if _reads_as(text, rest, plain):
            return text
    hint = "put the comment above the entry" if rest.strip() else "JSON and YAML can: --output-type json"
    raise RefusedInput(
        Code.YAML_VALUE,
        "an INI file cannot hold this value here: no kind of quotes fits it",
        hints=(hint,),
    )


def _quotes(plain: bytes, like: bytes, rest: bytes) -> list[bytes]:
    """Give the quotes to try, in the order of go-ini: backquotes for comment marks, triple ones for lines."""
    if b"\n" in plain:
        # A comment in `rest` may be about to get a text with backquotes.
        return [_TRIPLE] if rest.strip() else [_TICK, _TRIPLE] if like.startswith(_TICK) else [_TRIPLE, _TICK]
    quotes = [b"", b'"', b"'", _TICK, _TRIPLE]
    for quote in (_TRIPLE, _TICK, b'"', b"'"):
        if like.startswith(quote) and len(like) >= 2 * len(quote) and like.endswith(quote):
            return [quote, *quotes]
    return quotes


def _reads_as(text: bytes, rest: bytes, plain: bytes) -> bool:
    line = b"=" + text + rest + b"\n"
    try:
        found = read_value(line, 1, line_end(line, 0))
    except RefusedInput:
        return False
    if (found.plain, found.end) != (plain, len(line)):
        return False
    if not text:
        return True
    comment = trim(rest, 0, len(rest))
    same = (
        found.comment is None
        if not comment
        else found.comment == Span(1 + len(text) + comment.start, 1 + len(text) + comment.end)
    )
    return found.span == Span(1, 1 + len(text)) and same


def check_text(plain: bytes) -> None:
    """Refuse what an INI file cannot hold in any way: NUL, and other text than UTF-8."""
    if b"\0" in plain:
        raise RefusedInput(Code.YAML_CHAR, "an INI file cannot hold a NUL character")
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedInput(Code.ENCODING, "an INI file cannot hold a value that is not UTF-8") from None


def write_name(name: str) -> bytes:
    """Give a key with the quotes it needs. Raises ``RefusedInput`` (NAME) when no quotes help."""
    raw = name.encode("utf-8", "surrogatepass")
    for quote in (b"", _TICK, b'"', _TRIPLE):
        text = quote + raw + quote
        line = text + b" =\n"
        try:
            check_text(raw)
            found = read_name(line, 0, len(line))
        except RefusedInput:
            continue
        starts = quote or text[:1] not in (b"#", b";", b"[")
        if starts and found == (name, len(text) + 2) and b"\n" not in raw:
            return text
    raise RefusedInput(Code.NAME, "a key that no INI file can hold")


__all__ = [
    "BLANKS",
    "ValueText",
    "blank_line_before",
    "check_text",
    "comment_is_ambiguous",
    "line_end",
    "read_name",
    "read_value",
    "trim",
    "write_name",
    "write_value",
    "wrong",
]
