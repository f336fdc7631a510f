"""Anything put anywhere into any YAML text that people may have laid out, and anything taken away.

The law of all of it: after an edit the text reads to exactly the tree that was meant, for both of our
readers and for ruamel on its own, every byte outside of the change is what it was, and what is new looks
like what is next to it.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sopstrees import data_of
from yamlchecks import (
    AWKWARD,
    CODEC,
    OTHER_KINDS,
    X,
    comments,
    read,
    text,
    tree,
    updated,
    values,
)
from yamltexts import block_texts

from secretsmith.documents.node import List, Map, Node, Scalar
from secretsmith.documents.scalar import to_python
from secretsmith.documents.tree import Document, Edit, Leaf, LeafKind, TreePath
from secretsmith.errors import SecretsmithError

# Random documents, random places, random values.

KEYS = st.sampled_from(
    [
        "new",
        "k",
        "- k",
        "a b",
        "1",
        "true",
        "",
        "#k",
        "a: b",
        "x\ny",
        "\U0001f980",
        "z" * 950,
        "?",
        "-",
        "'",
        '"',
    ]
)
SCALARS = st.one_of(
    st.sampled_from([each for each in AWKWARD if len(each) < 100]).map(text),
    st.text(max_size=8).map(lambda each: Scalar(LeafKind.STRING, each.encode("utf-8", "ignore"))),
    st.sampled_from(OTHER_KINDS).map(lambda each: Scalar(*each)),
)


def _larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    entries = st.lists(st.tuples(KEYS, inner), max_size=3, unique_by=lambda entry: entry[0])
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda each: List([*each])), entries.map(lambda each: Map([*each]))
    )


NODES: st.SearchStrategy[Node] = st.recursive(SCALARS, _larger, max_leaves=5)


def paths_of(document: Document) -> list[TreePath]:
    leaves = [
        leaf.path for leaf in document.leaves if leaf.kind is not LeafKind.COMMENT and not leaf.document
    ]
    return leaves + [each.path for each in document.containers if each.path and not each.document]


def set_somewhere(document: Document, chance: random.Random, key: str, value: Node) -> tuple[TreePath, bytes]:
    paths = paths_of(document)
    if paths and chance.random() < 0.4:
        path = chance.choice(paths)
    else:
        container = chance.choice([each for each in document.containers if not each.document])
        path = (*container.path, 99 if container.kind == "list" else key)
        path += chance.choice([(), (), ("deep",), ("deep", 0, "er")])
    return path, document.splice(CODEC.insert(document, path, value))


def check_lines_outside(before: bytes, after: bytes, edits: tuple[Edit, ...]) -> None:
    """What an edit does not cover is what it was: no line before or behind it is touched."""
    (edit,) = edits
    assert after.startswith(before[: edit.span.start])
    assert after.endswith(before[edit.span.end :])


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(block_texts(), st.randoms(use_true_random=False), KEYS, NODES)
def test_setting_anything_anywhere(source: bytes, chance: random.Random, key: str, value: Node) -> None:
    try:
        document = CODEC.read(source)
    except SecretsmithError:
        return
    if document.aliased:
        return
    path, out = set_somewhere(document, chance, key, value)
    before = tree(document)
    after = read(out)
    assert tree(after) == [updated(before[0], path, data_of(value)), *before[1:]]
    check_lines_outside(source, out, CODEC.insert(document, path, value))
    if path not in paths_of(document) and not any(
        path[:n] in {leaf.path for leaf in document.leaves} for n in range(1, len(path))
    ):
        assert Counter(comments(after)) == Counter(comments(document))


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(block_texts(), st.randoms(use_true_random=False))
def test_removing_anything(source: bytes, chance: random.Random) -> None:
    try:
        document = CODEC.read(source)
    except SecretsmithError:
        return
    paths = paths_of(document)
    if document.aliased or not paths:
        return
    path = chance.choice(paths)
    edits = CODEC.remove(document, path)
    out = document.splice(edits)
    expected: Any = copy.deepcopy(tree(document))
    node = expected[0]
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    after = read(out)
    assert tree(after) == expected
    # None is made up; one behind the metadata may now count as the document's.
    assert all(each in source for each in comments(after))
    check_lines_outside(source, out, edits)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(block_texts(), st.randoms(use_true_random=False), SCALARS)
def test_any_value_in_the_place_of_any(source: bytes, chance: random.Random, value: Scalar) -> None:
    try:
        document = CODEC.read(source)
    except SecretsmithError:
        return
    indexes = [n for n, leaf in enumerate(document.leaves) if leaf.kind is not LeafKind.COMMENT]
    if document.aliased or not indexes:
        return
    leaf = document.leaves[chance.choice(indexes)]
    out = document.splice([Edit(leaf.span, CODEC.scalar(document, leaf, value.kind, value.plain))])
    after = read(out)
    assert [each[:2] for each in values(after)] == [each[:2] for each in values(document)]
    assert to_python(*kind_and_plain(after, leaf)) == pytest.approx(
        to_python(value.kind, value.plain), nan_ok=True
    )
    assert comments(after) == comments(document)


def kind_and_plain(document: Document, leaf: Leaf) -> tuple[LeafKind, bytes]:
    (found,) = (
        each
        for each in document.leaves
        if (each.document, each.path) == (leaf.document, leaf.path) and each.kind is not LeafKind.COMMENT
    )
    return found.kind, found.plain


@pytest.mark.slow
@settings(max_examples=1000, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
@given(block_texts(), st.randoms(use_true_random=False), KEYS, NODES)
@example(b"a:\n- |+\n  x\n\n- y\n\nb: 1\n", random.Random(1), "k", X)
def test_changes_at_length(source: bytes, chance: random.Random, key: str, value: Node) -> None:
    test_setting_anything_anywhere.hypothesis.inner_test(source, chance, key, value)  # type: ignore[attr-defined]
    test_removing_anything.hypothesis.inner_test(source, chance)  # type: ignore[attr-defined]
