"""Texts of YAML in block style, as strategies: hand-formatted, with comments in every place."""

from __future__ import annotations

import re

from hypothesis import strategies as st

SCALARS = (
    *(
        "x",
        "two words",
        "a:b",
        "a#b",
        "-x",
        "?x",
        ":x",
        "it's",
        'say "hi"',
        "é",
        "漢字",
        "🦀",
        "<<",
        "=",
        "~",
    ),
    *("1", "-17", "0x1F", "0644", "1_000", "08", "1e3", ".5", "true", "False", "null", "yes", "2019-12-31"),
    *(
        "2001-12-14t21:59:43.10-05:00",
        ".inf",
        "-.NaN",
        "12:30",
        "ENC[AES256_GCM,data:A==,iv:A=,tag:A=,type:str]",
    ),
    *(
        "''",
        "'it''s'",
        "'# no'",
        "'a: b'",
        '""',
        '"a\\nb"',
        '"\\u263a\\x41\\t"',
        '"a # b"',
        '"\\""',
        "{}",
        "[]",
        "[ ]",
    ),
)
KEYS = (
    "a",
    "b",
    "key",
    "two words",
    "é",
    "a:b",
    "-k",
    "yes",
    "'q k'",
    '"d: k"',
    "!!merge <<",
    "n.m",
    "K",
    "e\u0301",
)
COMMENTS = ("# note", "#", "#ENC[AES256_GCM,data:A==,iv:A=,tag:A=,type:comment]", "# é: - x", "#  two  ")
BLOCK_LINES = ("text", "", "  more", "# none", "- x", "k: v", "tail ", "é", "\ttab", "---", "'")


@st.composite
def _block(draw: st.DrawFn, parent: int) -> list[str]:
    """The header of a block scalar, and its lines."""
    chomp = draw(st.sampled_from(("", "-", "+")))
    step = draw(st.integers(1, 4))
    lines = draw(st.lists(st.sampled_from(BLOCK_LINES), max_size=5))
    digit = str(step) if draw(st.booleans()) or (lines and lines[0][:1] in (" ", "\t")) else ""
    mark = draw(st.sampled_from("|>"))
    pad = " " * (parent + step)
    comment = draw(st.sampled_from(("", "", " # head")))
    return [f"{mark}{digit}{chomp}{comment}", *(pad + line if line else "" for line in lines)]


@st.composite
def _value(draw: st.DrawFn, head: str, indent: int, depth: int) -> list[str]:
    """The lines of an entry or item whose line begins with ``head``."""
    choice = draw(st.integers(0, 9))
    inline = draw(st.sampled_from(("", "", "", " # inline", "  ", "   # wide")))
    if choice < 4 or depth > 3:
        return [f"{head} {draw(st.sampled_from(SCALARS))}{inline}"]
    if choice == 4:
        return [f"{head}{inline}"]
    if choice == 5:
        first, *rest = draw(_block(indent))
        return [f"{head} {first}", *rest]
    listed = draw(st.booleans())
    least = 0 if listed and not head.endswith("-") else 1
    inner = indent + draw(st.integers(least, 4))
    return [f"{head}{inline}", *draw(_entries(inner, depth + 1, listed))]


@st.composite
def _filler(draw: st.DrawFn, indent: int) -> list[str]:
    """Blank lines and comments, at their place or beside it."""
    lines = []
    for _ in range(draw(st.sampled_from((0, 0, 0, 0, 1, 1, 2)))):
        column = draw(st.sampled_from((indent, indent, indent, 0, 1, 2, 4, indent + 2)))
        lines.append(draw(st.sampled_from(("", " ", " " * column + draw(st.sampled_from(COMMENTS))))))
    return lines


@st.composite
def _entries(draw: st.DrawFn, indent: int, depth: int, listed: bool) -> list[str]:
    lines = draw(_filler(indent))
    pad = " " * indent
    if not listed:
        for key in draw(
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=draw(st.integers(0, 9)) > 0)
        ):
            lines += draw(_value(f"{pad}{key}:", indent, depth))
            lines += draw(_filler(indent))
        return lines
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 3)) or depth > 3:
            lines += draw(_value(f"{pad}-", indent, depth))
        else:
            gap = draw(st.integers(1, 3))
            inner = draw(_entries(indent + 1 + gap, depth + 1, draw(st.booleans())))
            while inner and (not inner[0].strip() or inner[0].lstrip().startswith("#")):
                inner = inner[1:]
            lines += [f"{pad}-{' ' * gap}{inner[0].lstrip()}", *inner[1:]]
        lines += draw(_filler(indent))
    return lines


SOPS_BLOCK = [
    "sops:",
    "    age:",
    "        - recipient: age1x",
    "          enc: |",
    "            -----BEGIN AGE ENCRYPTED FILE-----",
    "            YWdlLWVuY3J5cHRpb24ub3Jn",
    "            -----END AGE ENCRYPTED FILE-----",
    '    lastmodified: "2026-11-20T17:12:37Z"',
    "    mac: ENC[AES256_GCM,data:nmza,iv:A=,tag:A=,type:str]",
    "    shamir_threshold: 2",
    "    unencrypted_suffix: _unencrypted",
    "    version: 3.11.0",
]


@st.composite
def _document(draw: st.DrawFn) -> list[str]:
    lines = draw(_entries(draw(st.sampled_from((0, 0, 0, 2))), 0, False))
    if draw(st.booleans()):
        block = list(SOPS_BLOCK)
        if draw(st.booleans()):
            block.insert(
                draw(st.integers(1, 12)), draw(st.sampled_from(("    # in", "# out", "", "          # deep")))
            )
        lines = [*lines, *block] if draw(st.booleans()) else [*block, *lines]
    return lines


@st.composite
def block_texts(draw: st.DrawFn) -> bytes:
    """A text in block style, or nearly so, now and then with a metadata block."""
    lines: list[str] = draw(
        st.sampled_from(([], [], ["---"], ["# top", "---"], ["--- # mark"], ["", "# top"]))
    )
    lines = list(lines) + draw(_document())
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        lines += draw(
            st.sampled_from((["---"], ["--- # mark"], ["...", "---"], ["...", "# between", "--- # m"]))
        )
        lines += draw(_document()) if draw(st.integers(0, 5)) else []
    lines += draw(st.sampled_from(([], [], ["..."], ["# tail"], ["", "# tail"], ["...", "# tail"])))
    newline = draw(st.sampled_from(("\n", "\n", "\r\n")))
    text = newline.join(lines) + draw(st.sampled_from((newline, newline, "")))
    return draw(st.sampled_from((b"", b"", b"\xef\xbb\xbf"))) + text.encode("utf-8")


def numbered(source: bytes) -> bytes:
    """Give each comment that is surely one a mark of its own, ``~7~``."""
    lines = source.split(b"\n")
    for number, line in enumerate(lines):
        if re.match(rb" *#(?!ENC)", line) or re.search(rb" # ?(inline|wide|mark)", line):
            lines[number] = line.rstrip(b"\r ") + b" ~%d~" % number
    return b"\n".join(lines)


def scraps() -> st.SearchStrategy[bytes]:
    """Scraps of YAML's signs, right and wrong."""
    parts = (
        "a",
        "b",
        "1",
        ":",
        ": ",
        "- ",
        "-",
        " ",
        "  ",
        "\n",
        "\n",
        "\n  ",
        "# c",
        "'",
        '"',
        "|",
        ">",
        "{}",
        "[]",
    )
    more = (
        "{",
        "}",
        "[",
        "]",
        ",",
        "&x ",
        "*x",
        "!!str ",
        "? ",
        "---\n",
        "...\n",
        "\t",
        "\r\n",
        "é",
        "sops:",
        "\\",
    )
    return st.lists(st.sampled_from(parts + more), max_size=24).map(
        lambda found: "".join(found).encode("utf-8")
    )


__all__ = ["SOPS_BLOCK", "block_texts", "numbered", "scraps"]
