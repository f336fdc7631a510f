"""What every text document must be before it is read, and where in it an error stands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 200
MAX_VALUES: Final = 50_000
"""Values, mappings, lists and comments of one document together: what is opened and changed in 2 s and 256 MiB."""
MAX_SEGMENTS: Final = 5_000_000
"""Segments of all paths together: many values at the end of a deep path would fill the memory."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OTHER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_LINE = re.compile(rb"[^\n]++")
_OURS = re.compile(rb"^<{7}(?: ([^\r\n]*))?\r?$", re.MULTILINE)
_THEIRS = re.compile(rb"^>{7}(?: ([^\r\n]*))?\r?$", re.MULTILINE)


_HINTS: Final = {
    Code.EMPTY: "if there once was something in it: git log -p -- FILE",
    Code.ENCODING: "save the file as UTF-8",
    Code.NAME_DUP: "rename one of the two keys",
    Code.YAML_ALIAS: "write out what the aliases stand for",
    Code.YAML_CHAR: "take the character away; in double quotes it can be written as an escape",
    Code.YAML_DEPTH: "make it flatter, or keep it as text in one value",
    Code.YAML_DUP: "take one of the two away",
    Code.YAML_SHAPE: "give it a key: 'name: …'",
    Code.YAML_TAG: "leave the tag away; what is in quotes is a text without it",
    Code.YAML_VALUE: "in quotes it is a text, and is kept as it is",
}
_HINT: Final = "mend the line, or see what changed last: git log -p -- FILE"
_P = ParamSpec("_P")
_T = TypeVar("_T")


def hinted(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let the errors of a reader say what to do next, where they do not yet."""

    @wraps(read)
    def reading(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return read(*args, **kwargs)
        except RefusedInput as error:
            if error.hints:
                raise
            refused = RefusedInput(
                error.code, error.message, hints=(_HINTS.get(error.code, _HINT),), path=error.path
            )
        raise refused

    return reading


def check_source(source: bytes, name: str, *, byte_order_mark: bool = False) -> None:
    """Refuse what is no text that sops would read as format ``name`` ("JSON").

    ``byte_order_mark`` says whether that format may begin with the mark of UTF-8.

    Raises:
        RefusedInput: TOO_BIG; EMPTY for nothing but blanks; ENCODING for another encoding than UTF-8, with
            the offset; YAML_CHAR for NUL.
        Conflict: CONFLICT for the marks of an unfinished merge.
    """
    if len(source) > MAX_BYTES:
        raise too_big()
    if not source.strip():
        raise RefusedInput(Code.EMPTY, "the document is empty")
    if source.startswith(_OTHER_MARKS):
        raise RefusedInput(Code.ENCODING, "the text is UTF-16; UTF-8 is wanted")
    if source.startswith(_BYTE_ORDER_MARK) and not byte_order_mark:
        raise RefusedInput(
            Code.ENCODING,
            f"the text begins with a byte order mark, which sops does not read in {name}",
            hints=("save the file as UTF-8 without the mark",),
        )
    refuse_conflict(source)
    _check_characters(source)


def _check_characters(source: bytes) -> None:
    offset = -1
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start
    # Raised out here: the exception above holds the whole source.
    if offset >= 0:
        raise RefusedInput(
            Code.ENCODING, f"line {line_of(source, offset)}: not UTF-8 at byte {offset} of the file"
        )
    nul = source.find(b"\0")
    if nul >= 0:
        raise RefusedInput(Code.YAML_CHAR, f"line {line_of(source, nul)}: a NUL character")


def refuse_conflict(source: bytes) -> None:
    """Raise ``Conflict`` (CONFLICT), naming both sides, if a merge left its marks in ``source``."""
    if b"<<<<<<<" not in source:
        return
    ours = _OURS.search(source)
    theirs = _THEIRS.search(source, ours.end()) if ours else None
    if ours and theirs:
        sides = " and ".join(f"'{_label(side[1])}'" for side in (ours, theirs))
        raise Conflict(
            Code.CONFLICT,
            f"line {line_of(source, ours.start())}: the marks of an unfinished merge of {sides}",
            hints=("finish the merge: choose one side, then make the other's changes anew",),
        )


def _label(label: bytes | None) -> str:
    return (label or b"?")[:60].decode("utf-8", "replace").encode("unicode_escape").decode("ascii")


def too_big(most: int = MAX_VALUES) -> RefusedInput:
    """Give the error for a document beyond the limits; ``most`` is that of its values."""
    return RefusedInput(
        Code.TOO_BIG,
        f"the document is larger than {MAX_BYTES // 1024 // 1024} MiB or has more than {most} values",
        hints=("split it into several files",),
    )


def check_lines(source: bytes, most: int = MAX_VALUES) -> None:
    """Refuse a document of lines that has more than ``most``, empty ones aside, before any is read (TOO_BIG)."""
    if source.count(b"\n") >= most and sum(1 for _ in _LINE.finditer(source)) > most:
        raise too_big(most)


def newline_of(source: bytes) -> bytes:
    """Give the line end of the first line."""
    at = source.find(b"\n")
    return b"\r\n" if at > 0 and source[at - 1] == ord("\r") else b"\n"


def line_of(source: bytes, offset: int) -> int:
    """Give the number, from 1, of the line that byte ``offset`` stands in."""
    return source.count(b"\n", 0, offset) + 1


def shown(name: str) -> str:
    """Give a key for a message: no control characters, and not too long."""
    text = name.encode("unicode_escape").decode("ascii")
    return text if len(text) <= 60 else text[:57] + "..."


def refuse_twice(source: bytes, offset: int, name: str) -> RefusedInput:
    """Give the error for a key that stands in one mapping a second time, at ``offset``."""
    return RefusedInput(
        Code.YAML_DUP, f"line {line_of(source, offset)}: '{shown(name)}' is already there above"
    )


def check_look_alikes(names: Collection[str]) -> None:
    """Refuse two keys of one mapping that are the same text in another Unicode normal form (NAME_DUP)."""
    if all(map(str.isascii, names)):
        return
    normal: set[str] = set()
    for name in names:
        form = unicodedata.normalize("NFC", name)
        if form in normal:
            raise RefusedInput(
                Code.NAME_DUP, f"two keys look the same: '{shown(name)}' stands there in two encodings"
            )
        normal.add(form)


def at_line(source: bytes, offset: int, error: SecretsmithError) -> SecretsmithError:
    """Give ``error`` with the line of ``offset`` before its message."""
    return type(error)(
        error.code, f"line {line_of(source, offset)}: {error.message}", hints=error.hints, path=error.path
    )


__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_SEGMENTS",
    "MAX_VALUES",
    "at_line",
    "check_lines",
    "check_look_alikes",
    "check_source",
    "hinted",
    "line_of",
    "newline_of",
    "refuse_conflict",
    "refuse_twice",
    "shown",
    "too_big",
]
