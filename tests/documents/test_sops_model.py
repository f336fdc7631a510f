"""The model that codecs and engine share: places, trees, and the paths that people name values by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.naming import is_list_comment, named_paths, stored_path
from secretsmith.documents.node import (
    Comment,
    List,
    Map,
    Scalar,
    document_tree,
    document_trees,
    same_node,
    same_values,
)
from secretsmith.documents.tree import Document, Leaf, LeafKind, Span, TreePath, aad_of
from secretsmith.errors import NotFound

COMMENT = b"ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:comment]"
VALUE = b"ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"


def yaml(source: bytes) -> Document:
    return codec_of(Format.YAML).read(source)


def text(value: bytes) -> Scalar:
    return Scalar(LeafKind.STRING, value)


@pytest.mark.parametrize(
    ("path", "aad"),
    [
        (("a",), b"a:"),
        (("a", "b", "c"), b"a:b:c:"),
        (("l", 0), b"l:"),
        (("l", 0, 3, "k"), b"l:k:"),
        (("a:b",), b"a:b:"),
        (("ø", ""), "ø::".encode()),
        ((), b":"),
    ],
)
def test_the_place_of_a_value_is_its_keys(path: TreePath, aad: bytes) -> None:
    assert aad_of(Leaf(path, LeafKind.STRING, Span(0, 0), b"")) == aad


def test_values_are_found_in_the_first_document_and_comments_never() -> None:
    document = yaml(b"# c\na: 1\nb: [x]\n---\na: 2\nz: 3\n")
    assert document.leaf(("a",)).plain == b"1"
    assert document.leaf(("b", 0)).plain == b"x"
    for path in ((), ("z",), ("b",)):
        with pytest.raises(NotFound):
            document.leaf(path)
    container = document.container(("b",))
    assert container is not None
    assert container.kind == "list"
    assert document.container(("a",)) is None


def test_a_tree_has_everything_in_order() -> None:
    document = yaml(b"# one\na: {}\nb:\n  - x\n  # two\n  - []\n  - k: v\nc: null\n---\nd: 1\n")
    first = Map(
        [
            Comment(b" one"),
            ("a", Map()),
            ("b", List([text(b"x"), Comment(b" two"), List(), Map([("k", text(b"v"))])])),
            ("c", Scalar(LeafKind.NULL)),
        ]
    )
    assert document_tree(document) == first
    assert document_trees(document) == (first, Map([("d", Scalar(LeafKind.INTEGER, b"1"))]))
    places = {leaf.path: index for index, leaf in enumerate(document.leaves) if leaf.kind is LeafKind.STRING}
    changed = document_tree(document, {places["b", 0]: (LeafKind.COMMENT, b" was an item")})
    assert isinstance(changed, Map)
    assert changed.entries[2] == (
        "b",
        List([Comment(b" was an item"), Comment(b" two"), List(), Map([("k", text(b"v"))])]),
    )


@given(st.lists(st.booleans(), max_size=12), st.booleans())
def test_comments_of_lists_are_not_counted(hidden: list[bool], nested: bool) -> None:
    lines = [b"l:", *(b"  - " + (COMMENT if one else VALUE) for one in hidden)]
    if nested:
        lines += [b"  - - " + COMMENT, b"    - k: " + VALUE]
    document = yaml(b"\n".join(lines) + b"\n")
    names = named_paths(document)
    seen = [
        (path, leaf.path)
        for path, leaf in zip(names, document.leaves, strict=True)
        if leaf.kind is LeafKind.STRING and not is_list_comment(leaf)
    ]
    known = [("l", place) for place in range(hidden.count(False))]
    assert [path for path, _ in seen] == known + ([("l", len(known), 0, "k")] if nested else [])
    assert all(stored_path(document, path) == stored for path, stored in seen)


def test_a_far_place_is_found_at_once() -> None:
    document = yaml(b"l:\n  - " + COMMENT + b"\n  - x\n")
    assert stored_path(document, ("l", 999_999_999)) == ("l", 1_000_000_000)
    assert stored_path(document, (7, 0)) == ("7", 0)


def test_trees_are_compared_by_value() -> None:
    one, float_one = Scalar(LeafKind.INTEGER, b"1"), Scalar(LeafKind.FLOAT, b"1")
    assert same_node(one, float_one)
    assert not same_node(one, text(b"1"))
    assert same_node(Map([Comment(b"c"), ("a", List([one]))]), Map([("a", List([Comment(b"d"), float_one]))]))
    for other in (Map(), List([Map([("a", one)])]), Map([("b", List([one]))]), Map([("a", List())]), one):
        assert not same_node(Map([("a", List([one]))]), other)
    assert same_values([(LeafKind.BYTES, b"x")], [(LeafKind.STRING, b"x")])
    assert not same_values([(LeafKind.STRING, b"x")], [])
    assert not same_values([(LeafKind.COMMENT, b"x")], [(LeafKind.STRING, b"x")])


@pytest.mark.parametrize("kind", [kind for kind in Format if kind is not Format.AGE])
def test_every_format_of_sops_has_a_codec(kind: Format) -> None:
    assert type(codec_of(kind)).__name__.lower() == f"{kind}codec"


def test_an_age_file_has_none() -> None:
    with pytest.raises(KeyError):
        codec_of(Format.AGE)
