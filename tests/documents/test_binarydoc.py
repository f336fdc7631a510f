"""Binary documents: any bytes in clear, a JSON document when sealed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from codeclaws import METADATA, SEALED, RealSops, check_refused, check_spans, tree_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sopsvectors import CASES, opener, read, recipient

from secretsmith.documents.binarydoc import BinaryCodec
from secretsmith.documents.format import Format
from secretsmith.documents.node import List, Map, Node, Scalar
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import open_document
from secretsmith.documents.sopsplain import plaintext
from secretsmith.documents.tree import Edit, LeafKind
from secretsmith.errors import Code, RefusedInput

CODEC = BinaryCodec()
VECTORS = [case for case in CASES if case["format"] == "binary" and "encrypted" in case]


def data(plain: bytes) -> Map:
    return Map([("data", Scalar(LeafKind.STRING, plain))])


@given(st.binary(max_size=100))
@example(b"")
@example(b'{"a": 1}')
@example(b'{"data": "x", "sops": {}}')
@example(b"<<<<<<< a\n>>>>>>> b\n")
@example(b'{"sops": ')
def test_any_bytes_are_a_value_in_clear(text: bytes) -> None:
    document = check_spans(CODEC, text)
    assert not document.metadata
    assert [(leaf.path, leaf.plain) for leaf in document.leaves] == [(("data",), text)]
    assert CODEC.build(tree_of(document), None) == text
    assert CODEC.scalar(document, document.leaves[0], LeafKind.STRING, b"\xff") == b"\xff"


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors_are_read(case: dict[str, Any]) -> None:
    source = read(case["encrypted"])
    document = check_spans(CODEC, source)
    assert document.format is Format.BINARY
    assert CODEC.build(tree_of(document), document.metadata) == source
    assert document.metadata_span is not None
    block = CODEC.format_metadata(document, document.metadata)
    assert document.splice([Edit(document.metadata_span, block)]) == source


def test_sops_reads_what_is_written(peer: Callable[[str], str], tmp_path: Path) -> None:
    sops = RealSops(peer("sops"), tmp_path)

    @settings(max_examples=12)
    @given(st.binary(max_size=60))
    def both_ways(text: bytes) -> None:
        sealed = new_document(Format.BINARY, text, [[recipient("keys/a.txt")]])
        assert sops.decrypt("a.bin", sealed) == text
        opened = open_document(Format.BINARY, sops.encrypt("b.bin", text), opener("keys/a.txt"))
        assert plaintext(opened) == text

    both_ways()


@pytest.mark.parametrize(
    "root",
    [
        Map([]),
        Map([("other", Scalar(LeafKind.STRING, b"x"))]),
        Map([("data", Scalar(LeafKind.INTEGER, b"1"))]),
        Map([("data", Scalar(LeafKind.STRING, b"x")), ("b", Scalar(LeafKind.NULL))]),
        Map([("data", List([]))]),
        List([]),
    ],
)
def test_other_trees_are_refused(root: Node) -> None:
    for metadata in (None, METADATA):
        with pytest.raises(RefusedInput) as caught:
            CODEC.build(root, metadata)
        assert caught.value.code is Code.YAML_SHAPE


def test_there_are_no_keys_and_no_comments() -> None:
    document = CODEC.read(b"x")
    for refused in (
        lambda: CODEC.insert(document, ("a",), Scalar(LeafKind.NULL)),
        lambda: CODEC.remove(document, ("data",)),
        lambda: CODEC.comment(document, document.leaves[0], b"x"),
    ):
        with pytest.raises(RefusedInput):
            refused()


SEALED_FILE = CODEC.build(data(SEALED), METADATA)


@pytest.mark.parametrize("cut", range(60, len(SEALED_FILE) - 3, 17))
def test_a_truncated_sealed_file_is_never_taken_for_clear_text(cut: int) -> None:
    check_refused(CODEC, SEALED_FILE[:cut], Code.YAML_SYNTAX)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SEALED_FILE.replace(b'"mac"', b"\0mac"), Code.YAML_CHAR),
        (SEALED_FILE.replace(b'"mac"', b'"\xff"'), Code.ENCODING),
        (b"\xef\xbb\xbf" + SEALED_FILE, Code.ENCODING),
        (SEALED_FILE + SEALED_FILE, Code.YAML_SYNTAX),
        (SEALED_FILE.replace(b'"data"', b'"sops"', 1), Code.YAML_SHAPE),
        (b'{"sops": 1, "data": "' + SEALED + b'"}', Code.YAML_SHAPE),
        (b'{"data": "' + SEALED + b'", "data": "hunter2"}', Code.YAML_DUP),
        (b'{"data": "' + SEALED + b'", "a": ' + b"[" * 100_000, Code.YAML_DEPTH),
        (b'{"data": "' + SEALED + b'", "a": NaN}', Code.YAML_VALUE),
        (b'{"data": "' + SEALED + b'", "a": ' + b"7" * 5000 + b"}", Code.YAML_VALUE),
        (b"<<<<<<< HEAD\n" + SEALED_FILE + b"=======\n" + SEALED_FILE + b">>>>>>> topic\n", Code.CONFLICT),
        (
            b'{"data": "'
            + SEALED
            + b'"'
            + b"".join(b',"%d":1' % number for number in range(1_000_000))
            + b"}",
            Code.TOO_BIG,
        ),
        (b"x" * ((20 << 20) + 1), Code.TOO_BIG),
    ],
)
def test_hostile_text(
    text: bytes, code: Code, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        check_refused(CODEC, text, code)


def test_bytes_do_not_go_into_a_sealed_file_in_place() -> None:
    document = CODEC.read(SEALED_FILE)
    with pytest.raises(RefusedInput) as caught:
        CODEC.scalar(document, document.leaves[0], LeafKind.STRING, b"\xff")
    assert caught.value.code is Code.ENCODING
