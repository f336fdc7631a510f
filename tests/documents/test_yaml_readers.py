"""The two readers of YAML: the fast one and the full one find the same, and what sops finds."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from sopsvectors import CASES, UPDATES, read, recipient
from yamltexts import SOPS_BLOCK, block_texts, numbered, scraps

from secretsmith.documents.tree import Document, LeafKind, TreePath, aad_of
from secretsmith.documents.yamlassembly import Assembly
from secretsmith.documents.yamlblock import read_block
from secretsmith.documents.yamldoc import YamlCodec, check_text, read_assembly
from secretsmith.documents.yamlframes import Entry
from secretsmith.documents.yamlfull import read_full
from secretsmith.errors import Code, SecretsmithError

CODEC = YamlCodec()
TEXTS = sorted(
    {
        case[which]
        for case in CASES
        if case["format"] == "yaml"
        for which in ("plain", "encrypted")
        if case.get(which)
    }
    | {update["after"] for update in UPDATES if update["after"].endswith(".yaml")}
    - {"enc/upd_nonexistent.yaml"}
)

Found = tuple[Document, dict[tuple[int, TreePath], Entry]] | tuple[Code, str]


def found_by(assembly: Assembly | None) -> Found | None:
    return None if assembly is None else (assembly.document(), assembly.entries)


def fast(source: bytes) -> Found | None:
    try:
        return found_by(read_block(source, entries=True))
    except SecretsmithError as error:
        return error.code, error.message


def full(source: bytes) -> Found | None:
    try:
        return found_by(read_full(source, entries=True))
    except SecretsmithError as error:
        return error.code, error.message


@pytest.mark.parametrize("path", TEXTS)
def test_agree_on_the_vectors(path: str) -> None:
    source = read(path)
    if path.startswith("enc/") and b"<<" not in source:
        assert fast(source) is not None, "what sops writes needs no other reader"
    if (ours := fast(source)) is not None:
        assert ours == full(source)


@settings(max_examples=400)
@given(block_texts())
def test_agree_on_block_style(source: bytes) -> None:
    if (ours := fast(source)) is not None:
        assert ours == full(source)


@settings(max_examples=600)
@given(scraps())
def test_agree_on_scraps(source: bytes) -> None:
    try:
        check_text(source)
    except SecretsmithError:
        return
    if (ours := fast(source)) is not None:
        assert ours == full(source)


@pytest.mark.slow
@settings(max_examples=5000)
@given(st.one_of(block_texts(), scraps()))
def test_agree_at_length(source: bytes) -> None:
    test_agree_on_scraps.hypothesis.inner_test(source)  # type: ignore[attr-defined]


def test_block_style_is_mostly_read_fast() -> None:
    """The strategy above would prove nothing if the fast reader gave up on most of it."""
    seen = []

    @settings(max_examples=100, database=None)
    @given(block_texts())
    def look(source: bytes) -> None:
        seen.append(fast(source) is not None)

    look()
    assert sum(seen) > len(seen) * 0.7


@pytest.mark.parametrize(
    # ruamel merges `<<`, sops does not.
    "path",
    sorted(path for path in TEXTS if path.startswith("enc/") and b"!!merge" not in read(path)),
)
def test_finds_the_data_that_ruamel_constructs(path: str) -> None:
    """Sealed texts and metadata have no types to differ in."""
    source = read(path)
    document = CODEC.read(source)
    for number, expected in enumerate(YAML(typ="safe", pure=True).load_all(source)):
        metadata = expected.pop("sops", {})
        if not number:
            assert json.loads(json.dumps(metadata, default=str)) == document.metadata
        leaves = {
            leaf.path: leaf.plain.decode()
            for leaf in document.leaves
            if leaf.document == number and leaf.kind is LeafKind.STRING
        }
        assert leaves == {path: value for path, value in flat(expected) if isinstance(value, str)}


def flat(value: Any, path: TreePath = ()) -> list[tuple[TreePath, Any]]:
    if isinstance(value, dict):
        return [one for key, each in value.items() for one in flat(each, (*path, key))]
    if isinstance(value, list):
        return [one for place, each in enumerate(value) for one in flat(each, (*path, place))]
    return [(path, value)]


def test_leaves_and_spans() -> None:
    source = "\ufeff# é\r\na: 'x' # one\r\nb:\r\n- 1\r\n- |\r\n  two\r\n  lines\r\n\r\nc:\r\n".encode()
    document = CODEC.read(source)
    assert [(leaf.path, leaf.kind.value, leaf.raw, leaf.plain) for leaf in document.leaves] == [
        ((), "comment", "# é".encode(), " é".encode()),
        ((), "comment", b"# one", b" one"),
        (("a",), "str", b"'x'", b"x"),
        (("b", 0), "int", b"1", b"1"),
        (("b", 1), "str", b"|\r\n  two\r\n  lines", b"two\nlines\n"),
        (("c",), "null", b"", b""),
    ]
    assert all(source[leaf.span.start : leaf.span.end] == leaf.raw for leaf in document.leaves)
    assert document.newline == b"\r\n"
    (root, numbers) = document.containers
    assert source[root.span.start :].startswith(b"a:") and root.span.end == len(source)
    assert source[numbers.span.start : numbers.span.end] == b"- 1\r\n- |\r\n  two\r\n  lines\r\n"
    assert (numbers.path, numbers.kind, numbers.indent, numbers.style) == (("b",), "list", 0, "block")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_metadata_block_is_no_value(newline: str) -> None:
    block = newline.join(SOPS_BLOCK) + newline
    for before, after in (("a: 1\n", ""), ("", "a: 1\n"), ("# c\n", "# d\na: 1\n"), ("a: 1\n\n", "\n\n")):
        before, after = before.replace("\n", newline), after.replace("\n", newline)
        document = CODEC.read((before + block + after).encode())
        assert document.metadata["shamir_threshold"] == 2
        assert document.metadata["age"][0]["enc"].startswith("-----BEGIN AGE")
        assert document.metadata["lastmodified"] == "2026-11-20T17:12:37Z"
        (span,) = document.metadata_spans
        assert document.source[span.start : span.end].decode() == block
        assert [leaf.path for leaf in document.leaves if leaf.path] in ([("a",)], [])


def test_a_stream_has_a_block_in_each_document() -> None:
    block = "\n".join(SOPS_BLOCK) + "\n"
    document = CODEC.read(f"a: 1\n{block}---\n# c\na: 2\n{block}---\nb: 3\n".encode())
    assert [(leaf.document, leaf.path, leaf.plain) for leaf in document.leaves] == [
        (0, ("a",), b"1"),
        (1, (), b" c"),
        (1, ("a",), b"2"),
        (2, ("b",), b"3"),
    ]
    assert [len(span) for span in document.metadata_spans] == [len(block), len(block), 0]
    assert document.metadata_spans[2].start == len(document.source)


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("a: &x 1\nb: *x\n", {("a",): b"1", ("b",): b"1"}),
        ("a: &x\n  k: [1, {l: z}]\nb:\n  - *x\n", {("b", 0, "k", 1, "l"): b"z", ("b", 0, "k", 0): b"1"}),
        ("a: &x {k: 1}\nb:\n  <<: *x\n  m: 2\n", {("b", "<<", "k"): b"1", ("b", "m"): b"2"}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {("c",): b"2"}),
        ("a: !!str 1\nb: !!binary aGk=\nc: !!float 3\n", {("a",): b"1", ("b",): b"hi", ("c",): b"3"}),
        ('a: "x\n\n  y"\nb: z\n  w\n', {("a",): b"x\ny", ("b",): b"z w"}),
        ("? long\n: 1\n? |\n  two\n  lines\n: - 2\n", {("long",): b"1", ("two\nlines\n", 0): b"2"}),
        ("a: {'b': [x, \"y\"], c: }\n", {("a", "b", 0): b"x", ("a", "b", 1): b"y", ("a", "c"): b""}),
        ("%YAML 1.1\n---\na: 1\n", {("a",): b"1"}),
        ("{}\n", {}),
        ('{"a": 1}', {("a",): b"1"}),
        ("a: !!merge <<\n!!merge <<:\n  b: 1\n", {("a",): b"<<", ("<<", "b"): b"1"}),
        (
            "a: 'x\u2028    y'\nb: |\n    x\n\u2028    y\n",
            {("a",): "x\u2028y".encode(), ("b",): "x\n\u2028y\n".encode()},
        ),
    ],
)
def test_reads(text: str, leaves: dict[TreePath, bytes]) -> None:
    document = CODEC.read(text.encode())
    found = {leaf.path: leaf.plain for leaf in document.leaves if leaf.kind is not LeafKind.COMMENT}
    assert {path: found.get(path) for path in leaves} == leaves


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a: &x 1\nb: *x\n", True),
        ("a: &x 1\n", False),
        ("{a: 1}\n", True),
        ("a: {b, c}\n", True),
        ("a: [b: 1]\n", True),
        ("a: [b, {c: 1}]\n", False),
        ("? a\nb: 1\n", True),
        ("a: | # c\n  x\n", True),
        ("a: |\n  x", True),
        ("a: |-\n  x", False),
    ],
)
def test_what_must_be_made_anew(text: str, again: bool) -> None:
    assert CODEC.read(text.encode()).aliased is again


# Each found by encrypting with sops 3.11, whose output shows where it has put the comment.
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("b:\n# C\n    c: 1\n", ("b",)),
        ("b:\n        # C\n    c: 1\n", ("b",)),
        ("b:\n    c: 1\n    # C\nd: 2\n", ("b",)),
        ("b:\n    c: 1\n  # C\nd: 2\n", ("b",)),
        ("b:\n    c: 1\n# C\nd: 2\n", ()),
        ("b:\n    c: 1\n# C\n\nd: 2\n", ()),
        ("b:\n    c: 1\n\n    # C\n\nd: 2\n", ("b",)),
        ("b:\n    c:\n        e: 1\n    # C\nd: 2\n", ("b", "c")),
        ("b:\n    c:\n        e: 1\n        # x\n    # C\n# y\nd: 2\n", ("b",)),
        ("b:\n    c: 1\n# C\n    d: 2\n", ("b",)),
        ("l:\n- a\n# C\n- b\n", ("l",)),
        ("l:\n- a\n# C\nk: b\n", ()),
        ("l:\n- a\n# C\n", ("l",)),
        ("l:\n- a\n\n# C\n", ()),
        ("l:\n    - a\n    # C\n", ("l",)),
        ("l:\n    - x: a\n      # C\n    - b\n", ("l", 0)),
        ("l:\n    - x: a\n    # C\n    - b\n", ("l",)),
        ("l: # C\n    - x: a\n", ()),
        ("l:\n    - # C\n      x: a\n", ("l",)),
        ("a: [1, 2] # C\n", ("a",)),
        ("a: [1,\n  # C\n  2]\n", ("a",)),
        ("a: {b: 1 # C\n  }\n", ("a",)),
        ("a: |\n    text\n  # C\nb: 1\n", ()),
        ("a: # C\nb: 1\n", ()),
        ("a:\n    # C\nb: 1\n", ()),
        ("# C\n---\na: 1\n", ()),
    ],
)
def test_whose_a_comment_is(text: str, path: TreePath) -> None:
    (found,) = (leaf for leaf in CODEC.read(text.encode()).leaves if leaf.plain == b" C")
    assert found.path == path


@pytest.mark.parametrize(
    ("text", "number"),
    [("a: 1\n# C\n---\nb: 1\n", 0), ("a: 1\n...\n# C\n---\nb: 1\n", 1), ("a: 1\n--- # C\nb: 1\n", 1)],
)
def test_whose_a_comment_between_documents_is(text: str, number: int) -> None:
    (found,) = (leaf for leaf in CODEC.read(text.encode()).leaves if leaf.plain == b" C")
    assert (found.document, found.path) == (number, ())


def test_as_sops_reads(peer: Callable[[str], str]) -> None:
    """Values exactly, comments at nearly every place: random texts, encrypted by sops with all in clear."""
    program = peer("sops")
    comments = {True: 0, False: 0}

    @settings(max_examples=60, database=None, derandomize=True, phases=[Phase.generate])
    @given(block_texts())
    def compare(text: bytes) -> None:
        # What sops does not read, or not even when it has written it itself.
        assume(not re.search(rb"sops:|<<|[|>][1-9]", text))
        source = numbered(text)
        try:
            ours = CODEC.read(source)
        except SecretsmithError:
            return
        theirs = CODEC.read(in_clear(program, source))
        assert values(ours) == values(theirs)
        places = bindings(theirs)
        for mark, place in bindings(ours).items():
            if mark in places:
                comments[places[mark] == place] += 1

    compare()
    assert comments[True] > 50
    assert comments[False] < 0.1 * comments[True]


def in_clear(program: str, source: bytes) -> bytes:
    """What sops makes of a text when it encrypts nothing of it."""
    done = subprocess.run(
        [
            *(program, "encrypt", "--age", recipient("keys/a.txt"), "--encrypted-regex", "^$"),
            *("--input-type", "yaml", "--output-type", "yaml", "--filename-override", "x.yaml"),
        ],
        input=source,
        capture_output=True,
        check=True,
    )
    return done.stdout


def values(document: Document) -> list[tuple[int, TreePath, str, bytes]]:
    """What must be equal; a float without a fraction is written like an integer."""
    numbers = (LeafKind.INTEGER, LeafKind.FLOAT)
    return [
        (leaf.document, leaf.path, "number" if leaf.kind in numbers else leaf.kind.value, leaf.plain)
        for leaf in document.leaves
        if leaf.kind is not LeafKind.COMMENT
    ]


def bindings(document: Document) -> dict[bytes, tuple[int, bytes]]:
    """What the encryption of each numbered comment is bound to."""
    return {
        leaf.plain[leaf.plain.index(b"~") :]: (leaf.document, aad_of(leaf))
        for leaf in document.leaves
        if leaf.kind is LeafKind.COMMENT and b"~" in leaf.plain
    }


def test_entries_are_noted_on_demand() -> None:
    assert read_assembly(b"a: 1\n").entries == {}
    assert read_assembly(b"a: 1 # c\nb:\n  - x\n", entries=True).entries == {
        (0, ("a",)): Entry(0, 1, 3, 9),
        (0, ("b",)): Entry(9, 10, 14, 18),
        (0, ("b", 0)): Entry(14, 15, 16, 18),
    }
