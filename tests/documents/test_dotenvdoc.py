"""Dotenv: lines as sops reads them, changes in place, hostile input."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from codeclaws import (
    METADATA,
    SEALED,
    RealSops,
    check_insert_and_remove,
    check_metadata,
    check_refused,
    check_seal_and_back,
    check_spans,
    tree_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sopstrees import data_of
from sopsvectors import CASES, read, recipient

from secretsmith.documents.dotenvdoc import DotenvCodec
from secretsmith.documents.format import Format
from secretsmith.documents.node import Comment, List, Map, Scalar
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.tree import Edit, LeafKind, Span, TreePath
from secretsmith.errors import Code, NotFound, RefusedInput

CODEC = DotenvCodec()
VECTORS = [case for case in CASES if case["format"] == "dotenv" and "encrypted" in case]
NEW = Scalar(LeafKind.STRING, b"new value")

line_text = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), max_size=8)
keys = st.text(
    st.characters(max_codepoint=0xFF, exclude_characters="\n\0=\r"), min_size=1, max_size=6
).filter(lambda key: not key.startswith(("#", "sops_")))
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).filter(
    lambda value: "\\n" not in value
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Dotenv files with comments, empty lines, carriage returns, with and without a line end at the end."""
    lines = [f"{key}={draw(line_text)}" for key in draw(st.lists(keys, min_size=1, max_size=5, unique=True))]
    for _ in range(draw(st.integers(0, 3))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "#", "# a comment", "#x"])))
    return ("\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))).encode()


@given(texts())
def test_what_is_there_can_be_written_back(text: bytes) -> None:
    check_spans(CODEC, text)
    check_seal_and_back(CODEC, text)


@given(texts())
def test_the_block_comes_and_goes(text: bytes) -> None:
    filled = check_metadata(CODEC, text)
    assert filled.startswith(text)
    assert b"sops_age__list_0__map_enc=-----BEGIN-----\\nAA\\n-----END-----\\n\n" in filled


@given(texts(), st.booleans())
def test_insert_then_remove(text: bytes, block: bool) -> None:
    text = check_metadata(CODEC, text) if block else text
    check_insert_and_remove(CODEC, text, ("A NEW KEY",), NEW)


@given(st.dictionaries(keys, values, min_size=1, max_size=5))
def test_what_is_built_reads_back(tree: dict[str, str]) -> None:
    node = Map([(key, Scalar(LeafKind.STRING, value.encode())) for key, value in tree.items()])
    assert data_of(tree_of(CODEC.read(CODEC.build(node, None)))) == tree
    assert CODEC.read(CODEC.build(node, METADATA)).metadata == METADATA


def test_new_lines_go_behind_the_data() -> None:
    document = CODEC.read(b"A=1\n# end\n\nsops_mac=x\nB=2\nsops_version=3\n")
    assert document.metadata == {"mac": "x", "version": "3"}
    assert document.metadata_spans == (Span(11, 22), Span(26, 41))
    changed = document.splice(CODEC.insert(document, ("C",), NEW))
    assert changed == b"A=1\n# end\n\nsops_mac=x\nB=2\nC=new value\nsops_version=3\n"
    # Scattered lines are gathered, in the order they had.
    block = CODEC.format_metadata(document, {"version": "4", "mac": "y", "lastmodified": "z"})
    assert block == b"sops_lastmodified=z\nsops_mac=y\nsops_version=4\n"


def test_a_block_keeps_its_order() -> None:
    document = CODEC.read(b"A=1\nsops_version=3\nsops_mac=x\n")
    assert CODEC.format_metadata(document, {"mac": "y", "version": "3"}) == b"sops_version=3\nsops_mac=y\n"


def test_everything_behind_the_first_equals_sign_is_data() -> None:
    document = CODEC.read(b'export A= "b" # c=d \nB=1\\n2\n #=no comment\n=e\nF=g\r\n')
    assert [(leaf.path, leaf.plain) for leaf in document.leaves] == [
        (("export A",), b' "b" # c=d '),
        (("B",), b"1\n2"),
        ((" #",), b"no comment"),
        (("",), b"e"),
        (("F",), b"g\r"),
    ]


def test_values_of_other_kinds_are_text() -> None:
    document = CODEC.read(b"A=1")
    cases = {
        (LeafKind.BOOLEAN, b"True"): b"true",
        (LeafKind.FLOAT, b"1"): b"1.0",
        (LeafKind.NULL, b""): b"<nil>",
        (LeafKind.STRING, b"a\nb"): b"a\\nb",
        (LeafKind.STRING, SEALED): SEALED,
    }
    for (kind, plain), wanted in cases.items():
        assert CODEC.scalar(document, None, kind, plain) == wanted


@pytest.mark.parametrize(
    ("plain", "code"), [(b"a\\nb", Code.YAML_VALUE), (b"\0", Code.YAML_CHAR), (b"\xff", Code.ENCODING)]
)
def test_what_a_line_cannot_hold_is_refused(plain: bytes, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        CODEC.scalar(CODEC.read(b"A=1"), None, LeafKind.STRING, plain)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("A",), NEW, Code.EXISTS),
        (("B", "C"), NEW, Code.YAML_SHAPE),
        (("B",), Map([("C", NEW)]), Code.YAML_SHAPE),
        (("B",), List([NEW]), Code.YAML_SHAPE),
        (("sops_x",), NEW, Code.YAML_SHAPE),
        (("B=C",), NEW, Code.NAME),
        (("#B",), NEW, Code.NAME),
        (("B\nC",), NEW, Code.NAME),
    ],
)
def test_what_cannot_be_inserted(path: TreePath, value: Scalar | Map | List, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        CODEC.insert(CODEC.read(b"A=1\n"), path, value)
    assert caught.value.code is code


def test_remove_wants_a_value() -> None:
    document = CODEC.read(b"A=1\n# c\nB=2")
    assert document.splice(CODEC.remove(document, ("A",))) == b"# c\nB=2"
    assert document.splice(CODEC.remove(document, ("B",))) == b"A=1\n# c"
    for path in [(), ("C",), ("A", "B")]:
        with pytest.raises(NotFound):
            CODEC.remove(document, path)


def test_comments_have_one_line() -> None:
    document = CODEC.read(b"# a\nA=1\n")
    assert CODEC.comment(document, document.leaves[0], b" b") == b"# b"
    with pytest.raises(RefusedInput):
        CODEC.comment(document, document.leaves[0], b"b\nc")
    assert CODEC.build(Map([Comment(b" b\nc"), ("A", NEW)]), None) == b"# b\n#c\nA=new value\n"
    with pytest.raises(RefusedInput):
        CODEC.build(NEW, None)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors_are_read(case: dict[str, Any]) -> None:
    source = read(case["encrypted"])
    document = check_spans(CODEC, source)
    assert document.metadata_span is not None
    block = source[document.metadata_span.start : document.metadata_span.end]
    assert CODEC.format_metadata(document, document.metadata) == block
    assert CODEC.format_metadata(None, document.metadata) == block
    assert CODEC.build(tree_of(document), document.metadata) == source


def test_sops_reads_what_is_written(peer: Callable[[str], str], tmp_path: Path) -> None:
    sops = RealSops(peer("sops"), tmp_path)

    @settings(max_examples=15)
    @given(texts())
    def in_place(text: bytes) -> None:
        sealed = new_document(Format.DOTENV, text, [[recipient("keys/a.txt")]])
        # sops itself leaves out empty lines, and ends the last one.
        lines = [line for line in text.split(b"\n") if line]
        assert sops.decrypt("a.env", sealed) == b"".join(line + b"\n" for line in lines)

    @settings(max_examples=15)
    @given(texts())
    def read_alike(text: bytes) -> None:
        encrypted = sops.encrypt("b.env", text)
        ours, theirs = CODEC.read(text), CODEC.read(encrypted)
        assert [leaf.path for leaf in theirs.leaves] == [leaf.path for leaf in ours.leaves]
        decrypted = json.loads(sops.decrypt("b.env", encrypted, "--output-type", "json"))
        assert decrypted == data_of(tree_of(ours))

    in_place()
    read_alike()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", Code.EMPTY),
        (b"\n\n", Code.EMPTY),
        (b"# only\n#comments\n", Code.EMPTY),
        (b"A=1\nhunter2", Code.YAML_SYNTAX),
        (b"A=1\r\n\r\nB=2\r\n", Code.YAML_SYNTAX),
        (b"A=1\r\nsops_mac=x\r\n", Code.YAML_SYNTAX),
        (b"A=hunter2\0", Code.YAML_CHAR),
        (b"A=hunter2\xff", Code.ENCODING),
        (b"\xef\xbb\xbfA=1", Code.ENCODING),
        ("A=1\n".encode("utf-16"), Code.ENCODING),
        (b"A=hunter2\nB=1\nA=hunter2\n", Code.YAML_DUP),
        (b"sops_mac=1\nsops_mac=2\n", Code.YAML_DUP),
        ("\u00e9=1\ne\u0301=2\n".encode(), Code.NAME_DUP),
        (b"sops_age__list_9999__map_enc=x\n", Code.FORMAT),
        (b"sops_age" + b"__list_0" * 100_000 + b"=x\n", Code.FORMAT),
        (b"sops_mac=x\nsops_mac__map_a=y\n", Code.FORMAT),
        (b"K=1\n" * 40_000, Code.YAML_DUP),
        (b"".join(b"K%d=1\n" % number for number in range(1_000_000)), Code.TOO_BIG),
        (b"#\n" * 1_000_000, Code.TOO_BIG),
        (b"A=" + b"x" * (20 << 20), Code.TOO_BIG),
    ],
)
def test_hostile_text(
    text: bytes, code: Code, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        check_refused(CODEC, text, code)


def test_conflict_marks_name_both_sides() -> None:
    text = b"A=1\n<<<<<<< HEAD\nsops_mac=x\n=======\nsops_mac=y\n>>>>>>> topic\n"
    message = check_refused(CODEC, text, Code.CONFLICT).message
    assert "'HEAD'" in message
    assert "'topic'" in message
    # Part of a value, it is only text.
    assert CODEC.read(b"A=<<<<<<< HEAD\nB=>>>>>>> topic\n").leaves


@pytest.mark.parametrize(
    "text",
    [
        b"A" * 8_000_000 + b"=1",
        b"A=" + b"\\" * 8_000_000,
        b"A=" + b"=" * 8_000_000,
        b"\n" * 8_000_000 + b"A=1",
    ],
    ids=["key", "backslashes", "equals signs", "lines"],
)
def test_long_text_takes_linear_time(
    text: bytes, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        check_spans(CODEC, text)


def test_numbers_and_words_are_strings() -> None:
    document = CODEC.read(b"A=" + b"7" * 5000 + b"\nB=nan\nC=.inf\n")
    assert {leaf.kind for leaf in document.leaves} == {LeafKind.STRING}
    edits = [Edit(leaf.span, CODEC.scalar(document, leaf, leaf.kind, leaf.plain)) for leaf in document.leaves]
    assert document.splice(edits) == document.source
