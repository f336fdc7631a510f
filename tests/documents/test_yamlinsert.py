"""New entries of YAML documents and entries that go: which bytes change, and that what is new looks like its neighbours."""

from __future__ import annotations

import pytest
from sopstrees import data_of
from yamlchecks import (
    AWKWARD,
    CODEC,
    OTHER_KINDS,
    X,
    inserted,
    number,
    read,
    removed,
    text,
    tree,
    updated,
)
from yamltexts import SOPS_BLOCK

from secretsmith.documents.node import List, Map, Node, Scalar
from secretsmith.documents.tree import LeafKind, TreePath
from secretsmith.errors import NotFound

# New entries: (document, path, value, document after).

DEEP = Map([("k", text("v")), ("l", List([number(1), Map([("m", X), ("n", text("a\nb\n"))])]))])
INSERTED: dict[str, tuple[str, TreePath, Node, str]] = {
    "at the end": ("a: 1\n", ("b",), X, "a: 1\nb: x\n"),
    "without a final line end": ("a: 1", ("b",), X, "a: 1\nb: x"),
    "of windows": ("a: 1\r\n", ("b", "c"), X, "a: 1\r\nb:\r\n    c: x\r\n"),
    "of windows, without a final line end": ("a: 1\r\nb: 2", ("c",), X, "a: 1\r\nb: 2\r\nc: x"),
    "before blank lines": ("a:\n  b: 1\n\n\nc: 2\n", ("a", "d"), X, "a:\n  b: 1\n  d: x\n\n\nc: 2\n"),
    "behind a comment of the mapping": (
        "a:\n  b: 1\n  # last\nc: 2\n",
        ("a", "d"),
        X,
        "a:\n  b: 1\n  # last\n  d: x\nc: 2\n",
    ),
    "before a comment of what follows": (
        "a:\n  b: 1\n# c\nc: 2\n",
        ("a", "d"),
        X,
        "a:\n  b: 1\n  d: x\n# c\nc: 2\n",
    ),
    "behind an inline comment": ("a: 1 #\tc\n", ("b",), X, "a: 1 #\tc\nb: x\n"),
    "two columns": ("a:\n  b: 1\n", ("c", "d", "e"), X, "a:\n  b: 1\nc:\n  d:\n    e: x\n"),
    "four columns": ("a:\n    b: 1\n", ("c", "d", "e"), X, "a:\n    b: 1\nc:\n    d:\n        e: x\n"),
    "three columns": ("a:\n   b: 1\n", ("c", "d", "e"), X, "a:\n   b: 1\nc:\n   d:\n      e: x\n"),
    "a root that stands in": (
        "  a:\n    b: 1\n",
        ("c", "d"),
        X,
        "  a:\n    b: 1\n  c:\n    d: x\n",
    ),
    "lists in the column of their key": ("a:\n- 1\n", ("b",), List([X]), "a:\n- 1\nb:\n- x\n"),
    "lists that stand in": ("a:\n  - 1\n", ("b",), List([X]), "a:\n  - 1\nb:\n  - x\n"),
    "as the nearest list": (
        "a:\n- 1\nb:\n  c:\n    - 1\n",
        ("b", "d"),
        List([X]),
        "a:\n- 1\nb:\n  c:\n    - 1\n  d:\n    - x\n",
    ),
    "an item": ("a:\n- 1\n- 2\nb: 1\n", ("a", 9), X, "a:\n- 1\n- 2\n- x\nb: 1\n"),
    "an item like - of text": ("a:\n  - b\n", ("a", 1), text("- x"), "a:\n  - b\n  - '- x'\n"),
    "an item of keys": (
        "a:\n  - k: 1\n    l: 2\n",
        ("a", 1),
        Map([("k", X), ("l", X)]),
        "a:\n  - k: 1\n    l: 2\n  - k: x\n    l: x\n",
    ),
    "an item as far from its dash": (
        "a:\n  -   k: 1\n      l: 2\n",
        ("a", 1),
        Map([("k", X), ("l", X)]),
        "a:\n  -   k: 1\n      l: 2\n  -   k: x\n      l: x\n",
    ),
    "an item of an inner list": ("a:\n- - 1\n  - 2\n- 3\n", ("a", 0, 2), X, "a:\n- - 1\n  - 2\n  - x\n- 3\n"),
    "into a map in a list": ("a:\n- k: 1\n- 3\n", ("a", 0, "l"), X, "a:\n- k: 1\n  l: x\n- 3\n"),
    "quoted as its neighbours": ("a: \"p\"\nb: \"q\"\n", ("c",), X, 'a: "p"\nb: "q"\nc: "x"\n'),
    "in their other quotes": ("l:\n- 'p'\n", ("l", 1), X, "l:\n- 'p'\n- 'x'\n"),
    "quotes that were needed are no example": ('a: "yes"\nb: q\n', ("c",), X, 'a: "yes"\nb: q\nc: x\n'),
    "a key quoted as its neighbours": ('"a": 1\n"b": 2\n', ("c",), X, '"a": 1\n"b": 2\n"c": x\n'),
    "a key that needs quotes": ("a: 1\n", ("- b",), X, "a: 1\n'- b': x\n"),
    "an empty mapping": ("a: {}\n", ("a", "b"), X, "a:\n    b: x\n"),
    "an empty list": ("a: []\nb: 1\n", ("a", 0), X, "a:\n    - x\nb: 1\n"),
    "an empty mapping with a comment": ("a: {}  # c\n", ("a", "b", "c"), X, "a:  # c\n    b:\n        c: x\n"),
    "an empty item with a comment": ("l:\n  - {} # c\n", ("l", 0, "b"), X, "l:\n  - # c\n    b: x\n"),
    "an empty mapping in brackets": ("a: [{}]\n", ("a", 0, "b"), X, 'a: [{"b": "x"}]\n'),
    "in brackets": ("a: {b: p}\n", ("a", "c"), X, "a: {b: p, c: x}\n"),
    "in quotes in brackets": ('a: ["p"]\n', ("a", 1), X, 'a: ["p", "x"]\n'),
    "in brackets of several lines": ("a: [\n  p, # c\n  q\n]\n", ("a", 2), X, "a: [\n  p, # c\n  q, x\n]\n"),
    "a tree in brackets": ("a: [1]\n", ("a", 1), DEEP, 'a: [1, {"k": "v", "l": [1, {"m": "x", "n": "a\\nb\\n"}]}]\n'),
    "a tree": (
        "a:\n  b: 1\n",
        ("t",),
        DEEP,
        "a:\n  b: 1\nt:\n  k: v\n  l:\n    - 1\n    - m: x\n      \"n\": |\n        a\n        b\n",
    ),
    "line ends that would take in a blank line": (
        "a:\n  b: 1\n\nc: 2\n",
        ("a", "d"),
        text("x\n\n"),
        'a:\n  b: 1\n  d: "x\\n\\n"\n\nc: 2\n',
    ),
    "a block that must have its line end": ("a: 1", ("b",), text("x\ny\n"), 'a: 1\nb: "x\\ny\\n"'),
    "a block that has none": ("a: 1", ("b",), text("x\ny"), "a: 1\nb: |-\n    x\n    y"),
    "a comment that a block would take in": ("a: 1\n    # c\n", ("a",), text("x\ny\n"), 'a: "x\\ny\\n"\n    # c\n'),
    "before spaces": ("a: 1  \n", ("a",), text("x\ny\n"), 'a: "x\\ny\\n"  \n'),
    "behind a block that keeps its line ends": ("a: |+\n  x\n\n", ("b",), X, "a: |+\n  x\n\nb: x\n"),
    "into the first document": ("a: 1\n---\nb: 2\n", ("c",), X, "a: 1\nc: x\n---\nb: 2\n"),
    "into an empty document": ("---\n---\nb: 2\n", ("c",), X, "---\nc: x\n---\nb: 2\n"),
    "behind the byte order mark": ("\ufeff# c\na: 1\n", ("b",), X, "\ufeff# c\na: 1\nb: x\n"),
    "a long key": ("a: 1\n", ("k" * 950,), X, f"a: 1\n? {'k' * 950}\n: x\n"),
    "in the place of a value": ("a: 1\nb: 2\n", ("a",), X, "a: x\nb: 2\n"),
    "in the place of a value, with its comment": (
        "'a' :   1   # c\n",
        ("a",),
        Map([("k", X)]),
        "'a' :   # c\n    k: x\n",
    ),
    "in the place of a mapping": ("a: # c\n  # d\n  b: 1\n  # e\nf: 1\n", ("a",), X, "a: x # c\nf: 1\n"),
    "in the place of an item": ("l:\n- 1   # c\n- 2\n", ("l", 0), X, "l:\n- x   # c\n- 2\n"),
    "a mapping in the place of an item": ("l:\n- 1\n- 2\n", ("l", 0), Map([("k", X)]), "l:\n- k: x\n- 2\n"),
    "a block in the place of a value with a comment": ("a: 1 # c\n", ("a",), text("x\ny\n"), 'a: "x\\ny\\n" # c\n'),
    "in the place of what is in brackets": ("a: [1, {b: 2}]\n", ("a", 1), X, 'a: [1, "x"]\n'),
    "in the place of brackets": ("a: [1,\n  2] # c\n", ("a",), X, "a: x # c\n"),
    "beyond a value": ("a: 1 # c\nb: 2\n", ("a", "k", "l"), X, "a: # c\n    k:\n        l: x\nb: 2\n"),
    "in the place of a long key's value": ("? |\n  l\n  k\n: 1\nb: 2\n", ("l\nk\n",), X, '"l\\nk\\n": x\nb: 2\n'),
    "an empty mapping in the place of a value": ("a: 1 # c\n", ("a",), Map(), "a: {} # c\n"),
    "an empty list in the place of a mapping": ("a:\n  b: 1\nc: 1\n", ("a",), List(), "a: []\nc: 1\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", INSERTED)
def test_inserts(case: str) -> None:
    source, path, value, expected = INSERTED[case]
    assert inserted(source, path, value) == expected


@pytest.mark.parametrize("source", ["a: 1\n", "a: 1", "a:\n  - 1\n", "l:\n- x\n# c\n", "a: 1\r\n", "a: {}\n"])
def test_inserts_every_value(source: str) -> None:
    document = CODEC.read(source.encode())
    for kind, plain in (*((LeafKind.STRING, each.encode()) for each in AWKWARD), *OTHER_KINDS):
        value = Scalar(kind, plain)
        for path in (("new",), ("a",), ("l", 9), ("x", "y")):
            if path[0] == "l" and document.container(("l",)) is None:
                continue
            out = document.splice(CODEC.insert(document, path, value))
            assert tree(read(out)) == [updated(tree(document)[0], path, data_of(value))], (out, plain)


@pytest.mark.parametrize("key", [each for each in AWKWARD if each and "sops" not in each])
def test_inserts_every_key(key: str) -> None:
    for source in ("a: 1\n", "a:\n  b: 1\n", "a: {b: 1}\n", "l:\n- a: 1\n"):
        top: TreePath = ("l", 0) if source.startswith("l") else ("a",) if "b" in source else ()
        out = inserted(source, (*top, key), X)
        assert list(updated({}, (key,), "x")) == [key]  # type: ignore[call-overload]
        assert tree(read(out.encode()))


def test_a_new_entry_stands_before_the_metadata() -> None:
    block = "\n".join(SOPS_BLOCK) + "\n"
    assert inserted(f"a: 1\n{block}", ("b",), X) == f"a: 1\nb: x\n{block}"
    assert inserted(f"{block}a: 1\n", ("b",), X) == f"{block}a: 1\nb: x\n"
    assert inserted(f"a: 1\n# c\n{block}# d\n", ("b",), X) == f"a: 1\n# c\nb: x\n{block}# d\n"
    assert inserted(f"a:\n  b: 1\n{block}", ("a", "c"), X) == f"a:\n  b: 1\n  c: x\n{block}"
    assert inserted(block, ("b",), X) == f"b: x\n{block}"


def test_what_cannot_be_inserted() -> None:
    document = CODEC.read(b"l: [1]\n")
    with pytest.raises(NotFound):
        CODEC.insert(document, ("l", "key"), X)
    with pytest.raises(ValueError, match="no path"):
        CODEC.insert(document, (), X)
    for source in (b"a: &x 1\nb: *x\n", b'{"a": 1}\n'):
        with pytest.raises(ValueError, match="anew"):
            CODEC.insert(CODEC.read(source), ("b",), X)
        with pytest.raises(ValueError, match="anew"):
            CODEC.remove(CODEC.read(source), ("a",))


# Entries that go: (document, path, document after).

REMOVED: dict[str, tuple[str, TreePath, str]] = {
    "one of several": ("a: 1\nb: 2\nc: 3\n", ("b",), "a: 1\nc: 3\n"),
    "its inline comment": ("a: 1\nb: 2 # c\nc: 3\n", ("b",), "a: 1\nc: 3\n"),
    "not the comment before it": ("a: 1\n# b\nb: 2\nc: 3\n", ("b",), "a: 1\n# b\nc: 3\n"),
    "the last of the document": ("a: 1\n", ("a",), "{}\n"),
    "the last before metadata": (
        "a: 1\n" + "\n".join(SOPS_BLOCK) + "\n",
        ("a",),
        "\n".join(SOPS_BLOCK) + "\n",
    ),
    "without a final line end": ("a: 1\nb: 2", ("b",), "a: 1\n"),
    "of windows": ("a: 1\r\nb: 2\r\n", ("a",), "b: 2\r\n"),
    "all of a mapping": ("a: # c\n  b: 1\n\n  # d\n  e: 2\n  # f\ng: 3\n", ("a",), "g: 3\n"),
    "its comments at the end, blank lines stay": ("a:\n  b: 1\n  # f\n\nc: 3\n", ("a",), "\nc: 3\n"),
    "the last of a mapping": ("a: # c\n  b: 1\nd: 2\n", ("a", "b"), "a: {} # c\nd: 2\n"),
    "the last of a list": ("a:\n  - 1\nd: 2\n", ("a", 0), "a: []\nd: 2\n"),
    "the last of a map in a list": ("a:\n- b: 1\n- c\n", ("a", 0, "b"), "a:\n- {}\n- c\n"),
    "an item": ("a:\n  - 1\n  - 2\n", ("a", 0), "a:\n  - 2\n"),
    "the key behind a dash": ("a:\n- b: 1\n  c: 2\n", ("a", 0, "b"), "a:\n- c: 2\n"),
    "the key behind a dash, blank lines between": ("a:\n- b: 1\n\n  c: 2\n", ("a", 0, "b"), "a:\n- c: 2\n"),
    "the item behind a dash": ("a:\n- - 1\n  - 2\n", ("a", 0, 0), "a:\n- - 2\n"),
    "a block": ("a: |\n  x\n\n  y\n\nb: 1\n", ("a",), "\nb: 1\n"),
    "a block that keeps its line ends": ("a: |+\n  x\n\nb: 1\n", ("a",), "b: 1\n"),
    "behind a block that keeps its line ends": (
        "a: |+\n  x\n\nb: 1\n\n\nc: 2\n",
        ("b",),
        "a: |+\n  x\n\nc: 2\n",
    ),
    "behind a block, before a comment further in": (
        "a: |\n  x\nb: 1\n   # c\nd: 2\n",
        ("b",),
        "a: |\n  x\n# c\nd: 2\n",
    ),
    "behind an empty block": ("a: |\nb: 1\n\n # c\nd: 2\n", ("b",), "a: |\n\n# c\nd: 2\n"),
    "the first in brackets": ("a: [1, 2, 3]\n", ("a", 0), "a: [2, 3]\n"),
    "one in brackets": ("a: {b: 1, c: 2, d: 3}\n", ("a", "c"), "a: {b: 1, d: 3}\n"),
    "the last in brackets": ("a: {b: 1, c: 2 }\n", ("a", "c"), "a: {b: 1 }\n"),
    "the only one in brackets": ("a: {b: 1}\n", ("a", "b"), "a: {}\n"),
    "a value of several lines": ('a: "x\n  y" # c\nb: 1\n', ("a",), "b: 1\n"),
    "a long key": ("? |\n  l\n  k\n: 1\nb: 2\n", ("l\nk\n",), "b: 2\n"),
    "in the first document": ("a: 1\n---\na: 1\n", ("a",), "{}\n---\na: 1\n"),
    "behind the byte order mark": ("\ufeffa: 1\nb: 2\n", ("a",), "\ufeffb: 2\n"),
    "a null": ("a:\nb: 2\n", ("a",), "b: 2\n"),
}


@pytest.mark.parametrize("case", REMOVED)
def test_removes(case: str) -> None:
    source, path, expected = REMOVED[case]
    assert removed(source, path) == expected


def test_nothing_to_remove() -> None:
    document = CODEC.read(b"a: [1]\n")
    for path in (("b",), ("a", 1), ("a", 0, "c")):
        with pytest.raises(NotFound):
            CODEC.remove(document, path)
