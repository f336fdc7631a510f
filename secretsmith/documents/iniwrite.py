"""INI text as go-ini writes it: ``=`` aligned in each section, a blank line between sections."""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.documents.iniread import METADATA_SECTION, strip_mark
from secretsmith.documents.inivalue import check_text, write_name, write_value
from secretsmith.documents.node import Comment, Map, Node, Scalar
from secretsmith.documents.scalartext import to_text
from secretsmith.errors import Code, RefusedInput

Pair = tuple[str, bytes]
"""A key and its value's text."""


def write_entry(name: str, text: bytes) -> bytes:
    """Give ``name = text`` with the quotes that both need, without a line end.

    Raises:
        RefusedInput: NAME, YAML_VALUE, YAML_CHAR, ENCODING.
    """
    return write_name(name) + b" = " + write_value(text)


def aligned(pairs: Sequence[Pair]) -> list[bytes]:
    """Give an entry for each pair, the ``=`` of all in one column."""
    names = [write_name(name) for name, _ in pairs]
    width = max(map(len, names), default=0)
    return [
        name.ljust(width) + b" = " + write_value(text) for name, (_, text) in zip(names, pairs, strict=True)
    ]


def entries_of(section: Node) -> list[Pair]:
    """Give the values of a section as texts; comments are passed over.

    Raises:
        RefusedInput: YAML_SHAPE when ``section`` is no mapping of values.
    """
    return [(name, _text(value)) for name, value in _entries(section)]


def _entries(section: Node) -> list[tuple[str, Node]]:
    if not isinstance(section, Map):
        raise _shape()
    return [each for each in section.entries if not isinstance(each, Comment)]


def _text(value: Node) -> bytes:
    if not isinstance(value, Scalar):
        raise _shape()
    return to_text(value.kind, value.plain)


def _shape() -> RefusedInput:
    return RefusedInput(
        Code.YAML_SHAPE,
        "an INI file has sections, and in them values: nothing deeper, and no value outside of a section",
    )


def section_text(name: str, section: Node, above: list[bytes], *, header: bool) -> bytes:
    """Give a section with its comments; nothing for an empty one without a header.

    As in sops's own tree of an INI file, a comment belongs to the key before it, one before the first key to
    the section; it is written above.
    """
    check_section_name(name)
    comments: dict[int, list[bytes]] = {}
    pairs = entries_of(section)
    place = 0
    for each in section.entries if isinstance(section, Map) else ():
        if isinstance(each, Comment):
            comments.setdefault(place, []).extend(comment_lines(strip_mark(each.text.strip()), b"; "))
        else:
            place += 1
    lines = above + comments.pop(0, [])
    if header:
        lines.append(b"[" + name.encode("utf-8") + b"]")
    for place, line in enumerate(aligned(pairs), 1):
        lines += [*comments.get(place, []), line]
    return b"".join(line + b"\n" for line in lines)


def comment_lines(text: bytes, mark: bytes) -> list[bytes]:
    """Give a comment's lines, each with a mark: ``mark`` on the first if the text can stand behind it.

    Raises:
        RefusedInput: YAML_CHAR, ENCODING.
    """
    check_text(text)
    first, *others = text.lstrip(b" \t\r\n").split(b"\n")
    for start in (mark, b"; ", b"# "):
        if strip_mark(start + first) == first:
            mark = start
            break
    if not first:
        mark = mark.rstrip()
    lines = [mark + first.rstrip(b"\r")]
    lines += [
        line.rstrip(b"\r") if line.lstrip()[:1] in (b";", b"#") else b"; " + line.rstrip(b"\r")
        for line in others
    ]
    return lines


def check_section_name(name: str) -> None:
    """Refuse what no header can say, and the section of sops. Raises ``RefusedInput`` (NAME, YAML_SHAPE)."""
    if name == METADATA_SECTION:
        raise RefusedInput(Code.YAML_SHAPE, "the section 'sops' belongs to sops")
    if not name or any(character in name for character in "]\n\0"):
        raise RefusedInput(Code.NAME, "a section name that no INI file can hold")
    check_text(name.encode("utf-8", "surrogatepass"))


__all__ = ["aligned", "check_section_name", "comment_lines", "entries_of", "section_text", "write_entry"]
