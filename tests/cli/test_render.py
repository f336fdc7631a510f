"""Text that is safe to show, and tables that align."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.cli.render import columns, printable, table, wants_color


@given(st.text())
def test_printable_text_is_one_line_without_anything_invisible(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no surrogates are left
    assert (shown == text) == text.isprintable()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_printable_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    ["\u202e", "\u2066", "\u200f", "\x1b", "\x9b", "\n", "\x00", "\u2028", "\ufeff", "\udc80", "\U000e0001"],
)
def test_each_dangerous_character_is_escaped(text: str) -> None:
    shown = printable(f"a{text}b")
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=40)), max_size=5))
def test_columns_start_at_the_same_place(rows: list[tuple[str, str, str]]) -> None:
    lines = list(table(("ONE", "TWO", "THREE"), rows))
    assert len(lines) == len(rows) + 1
    widest = max([3, *(columns(printable(row[0])) for row in rows)])
    for row, line in zip(rows, lines[1:], strict=True):
        cell = printable(row[0])
        rest = line[len(cell) :]
        assert line.startswith(cell.rstrip()) or not line
        gap = widest - columns(cell) + 2
        assert rest[:gap].strip() == ""


def test_a_narrow_terminal_continues_the_last_column_below_itself() -> None:
    rows = [("web1", "one two three four five six seven eight")]
    lines = list(table(("NAME", "WHY"), rows, width=30))
    assert lines == ["NAME  WHY", "web1  one two three four five", "      six seven eight"]
    assert all(columns(line) <= 30 for line in lines)


def test_nothing_is_cut_off_where_a_word_is_longer_than_the_room() -> None:
    word = "x" * 50
    assert word in "\n".join(table(("A", "B"), [("1", f"a {word}")], width=30))


def test_wide_and_combining_characters_count_by_columns() -> None:
    assert columns("abc") == 3
    assert columns("日本") == 4
    assert columns("e\u0301") == 1


@pytest.mark.parametrize(
    ("environ", "terminal", "wanted"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
    ],
)
def test_color(environ: dict[str, str], terminal: bool, wanted: bool) -> None:
    assert wants_color(environ, terminal=terminal) is wanted


def test_bold_header_only() -> None:
    assert list(table(("A", "B"), [("1", "2")], bold=True)) == ["\x1b[1mA  B\x1b[0m", "1  2"]
