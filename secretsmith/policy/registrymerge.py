"""Two branches that both added something at one place of ``secretsmith.toml``. Pure: text in, text out.

A registry is merged by lines, as git merges any text. What git leaves as a conflict is resolved here only where both sides
added and neither took away: whole blocks and lines at one place, or elements of one list. A reader that one side removed
comes back in no case; that is left to people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from secretsmith.errors import SecretsmithError
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.statements import append_elements, newline_of, scan
from secretsmith.record import field, record

_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")


@record(frozen=False)
class _Hunk:
    """A conflict: its lines as they stand in the text, and the three versions."""

    text: list[str] = field(default_factory=list)
    parts: tuple[list[str], list[str], list[str]] = field(default_factory=lambda: ([], [], []))


def with_both_additions(text: str) -> str | None:
    """Resolve a text with conflict markers of git's diff3 style; None when it takes a person, or gives no valid registry."""
    lines: list[str] = []
    for piece in _pieces(text):
        if isinstance(piece, str):
            lines.append(piece)
            continue
        resolved = _resolved(*piece.parts)
        if resolved is None:
            return None
        lines += resolved
    merged = "".join(lines)
    try:
        parse_registry(merged)
    except SecretsmithError:
        return None
    return merged


def _pieces(text: str) -> Iterator[str | _Hunk]:
    hunk, part = _Hunk(), -1
    for line in text.splitlines(keepends=True):
        mark = line[:7] if line[:7] in _MARKS and line[7:8] in ("", " ", "\r", "\n") else ""
        if part < 0 and mark != _MARKS[0]:
            yield line
            continue
        hunk.text.append(line)
        if mark == _MARKS[3]:
            yield hunk
            hunk, part = _Hunk(), -1
        elif mark:
            part = _MARKS.index(mark)
        else:
            hunk.parts[part].append(line)
    yield from hunk.text


def _resolved(ours: list[str], base: list[str], theirs: list[str]) -> list[str] | None:
    if not "".join(base).strip():
        return _one_behind_the_other(ours, theirs)
    if not len(ours) == len(base) == len(theirs):
        return None
    lines = [_line(*each) for each in zip(ours, base, theirs, strict=True)]
    return None if None in lines else [line for line in lines if line is not None]


def _one_behind_the_other(ours: list[str], theirs: list[str]) -> list[str] | None:
    """Return both; lines of the table above come before a header, or they would end up in another table."""
    first, second = (theirs, ours) if _starts(ours) and not _starts(theirs) else (ours, theirs)
    if not _starts(second) and any(_is_header(line) for line in first):
        return None
    gap = [newline_of("".join(first))] if _starts(second) and first[-1].strip() and second[0].strip() else []
    return [*first, *gap, *second]


def _starts(lines: Sequence[str]) -> bool:
    """Say whether the first line that is not empty or a comment is a header."""
    said = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return _is_header(next(said, ""))


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("[")


def _line(ours: str, base: str, theirs: str) -> str | None:
    if base in (ours, theirs):
        return theirs if ours == base else ours
    if ours == theirs:
        return ours
    lists = [_list(line) for line in (ours, base, theirs)]
    if None in lists or len({each[0] for each in lists if each is not None}) > 1:
        return None
    (_, at, mine), (_, _, before), (_, _, other) = (each for each in lists if each is not None)
    if not {*before} <= {*mine} & {*other}:
        return None  # somebody was taken out
    new = [json.dumps(word, ensure_ascii=False) for word in other if word not in mine]
    return append_elements(ours, at, new)


def _list(line: str) -> tuple[str, int, list[str]] | None:
    """Return key, place and words of a line that is ``key = [words]``."""
    import tomllib  # only for merges

    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    statements = scan(line)[0].statements
    if len(statements) != 1 or len(statements[0].key) != 1:
        return None
    value = found[statements[0].key[0]]
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        return None
    return statements[0].key[0], statements[0].value, value


__all__ = ["with_both_additions"]
