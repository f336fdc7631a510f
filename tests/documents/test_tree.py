"""Trees with byte spans: paths go both ways, splices change what they name and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.documents.agefile import read_age_document
from secretsmith.documents.format import Format
from secretsmith.documents.tree import (
    Document,
    Edit,
    Leaf,
    LeafKind,
    Span,
    TreePath,
    format_tree_path,
    parse_tree_path,
)
from secretsmith.errors import Code, NotFound, RefusedInput


@settings(deadline=None)
@given(
    st.lists(
        st.integers(0, 10**8) | st.text(max_size=5) | st.sampled_from(["0", "~", "/", "~k", "~1", "12"]),
        max_size=5,
    )
)
def test_every_path_is_read_back(path: list[str | int]) -> None:
    assert parse_tree_path(format_tree_path(tuple(path))) == tuple(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("db/password", ("db", "password")),
        ("a/b/0", ("a", "b", 0)),
        ("a/007", ("a", "007")),
        ("a/~k0", ("a", "0")),
        ("a/~k", ("a", "")),
        ("~0~1", ("~/",)),
        ("-1", ("-1",)),
    ],
)
def test_examples(text: str, path: TreePath) -> None:
    assert parse_tree_path(text) == path


@pytest.mark.parametrize("text", ["/", "a//b", "a/", "/a", "~", "~2", "a~"])
def test_malformed_paths(text: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        parse_tree_path(text)
    assert caught.value.code is Code.USAGE


def document(source: bytes, *leaves: Leaf) -> Document:
    return Document(Format.YAML, source, leaves)


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, list[Edit]]:
    source = draw(st.binary(max_size=30))
    marks = sorted(draw(st.lists(st.integers(0, len(source)), max_size=8)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    return source, [Edit(Span(start, end), draw(st.binary(max_size=4))) for start, end in pairs]


@settings(deadline=None)
@given(edited(), st.randoms())
def test_splice_is_the_source_with_the_spans_replaced(case: tuple[bytes, list[Edit]], random: object) -> None:
    source, edits = case
    expected, done = b"", 0
    for edit in edits:
        expected += source[done : edit.span.start] + edit.text
        done = edit.span.end
    expected += source[done:]
    assert document(source).splice(edits) == expected
    starts = [edit.span for edit in edits]
    if len(set(starts)) == len(starts):
        mixed = list(edits)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        assert document(source).splice(mixed) == expected, "the order given does not matter"


@settings(deadline=None)
@given(edited())
def test_putting_back_what_stands_there_changes_nothing(case: tuple[bytes, list[Edit]]) -> None:
    source, edits = case
    assert document(source).splice([]) == source
    assert document(source).splice(Edit(e.span, source[e.span.start : e.span.end]) for e in edits) == source


@pytest.mark.parametrize(
    "spans", [[(0, 2), (1, 3)], [(0, 3), (1, 2)], [(1, 2), (1, 2)], [(0, 3), (2, 2)], [(0, 5)], [(5, 5)]]
)
def test_overlaps_and_spans_beyond_the_end_are_refused(spans: list[tuple[int, int]]) -> None:
    for order in (spans, spans[::-1]):
        with pytest.raises(ValueError, match="edit"):
            document(b"abcd").splice(Edit(Span(*span), b"x") for span in order)


def test_insertions_beside_replacements() -> None:
    edits = [Edit(Span(1, 3), b"X"), Edit(Span(1, 1), b"<"), Edit(Span(3, 3), b">"), Edit(Span(1, 1), b"<")]
    assert document(b"abcd").splice(edits) == b"a<<X>d"


@pytest.mark.parametrize("span", [(-1, 0), (2, 1)])
def test_no_span(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="span"):
        Span(*span)


def test_leaves_are_found_by_path() -> None:
    one = Leaf(("a", 0), LeafKind.STRING, Span(3, 4), b"x")
    two = Leaf(("a", "1"), LeafKind.STRING, Span(5, 6), b"y")
    tree = document(b"a: x y", one, two)
    assert tree.leaf(("a", 0)) is one
    assert tree.leaf(parse_tree_path("a/1")) is two, "a number finds a key that looks like it"
    with pytest.raises(NotFound, match=r"a/b\\x1b"):
        tree.leaf(("a", "b\x1b"))
    with pytest.raises(NotFound):
        tree.leaf(())


@settings(deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=5))
def test_an_age_file_is_one_leaf(data: bytes, other: bytes) -> None:
    tree = read_age_document(data)
    (leaf,) = tree.leaves
    assert (leaf.raw, tree.leaf(()), tree.format) == (data, leaf, Format.AGE)
    assert tree.splice([Edit(leaf.span, other)]) == other


def test_bytes_stay_out_of_the_printed_form() -> None:
    tree = read_age_document(b"hunter2")
    assert "hunter2" not in repr(tree) + repr(tree.leaves) + repr(Edit(Span(0, 1), b"hunter2"))
