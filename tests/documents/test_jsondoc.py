"""JSON: spans, changes in place, what sops reads and writes, hostile input."""

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
    shape,
    tree_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sopstrees import data_of
from sopsvectors import CASES, read, recipient

from secretsmith.documents.format import Format
from secretsmith.documents.jsondoc import JsonCodec
from secretsmith.documents.jsonwrite import node_of
from secretsmith.documents.node import List, Map, Node, Scalar
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.tree import Edit, LeafKind, TreePath
from secretsmith.errors import Code, NotFound, RefusedInput

CODEC = JsonCodec()
VECTORS = [case for case in CASES if case["format"] == "json" and "encrypted" in case]
NEW = Scalar(LeafKind.STRING, b"new & shiny")

keys = st.text(st.characters(max_codepoint=0xFF), max_size=6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=4),
    max_leaves=12,
)
roots = st.dictionaries(keys, trees, max_size=5)


@st.composite
def texts(draw: st.DrawFn, tree: st.SearchStrategy[dict[str, Any]] = roots) -> bytes:
    """JSON in all layouts that json.dumps can make."""
    indent = draw(st.sampled_from([None, 0, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]))
    text = json.dumps(draw(tree), indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    text += draw(st.sampled_from(["", "\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode()


@given(texts())
def test_what_is_there_can_be_written_back(text: bytes) -> None:
    document = check_spans(CODEC, text)
    check_seal_and_back(CODEC, text)
    assert data_of(tree_of(document)) == json.loads(text)


@given(texts(), st.integers(0, 2))
def test_the_block_comes_and_goes(text: bytes, place: int) -> None:
    filled = check_metadata(CODEC, text)
    assert json.loads(filled) == {**json.loads(text), "sops": METADATA}
    entries = list(json.loads(text).items())
    entries.insert(place, ("sops", METADATA))
    document = CODEC.read(json.dumps(dict(entries), indent=2).encode())
    assert document.metadata == METADATA
    assert document.metadata_span is not None
    same = document.splice([Edit(document.metadata_span, CODEC.format_metadata(document, METADATA))])
    assert json.loads(same) == dict(entries)
    without = document.splice([Edit(document.metadata_span, b"")])
    assert json.loads(without) == json.loads(text)


@given(texts(), st.sampled_from([None, 0, 1, 9]), st.data())
def test_insert_then_remove(text: bytes, block: int | None, data: st.DataObject) -> None:
    if block is not None:
        entries = list(json.loads(text).items())
        entries.insert(block, ("sops", METADATA))
        text = json.dumps(dict(entries), indent=data.draw(st.sampled_from([None, 2]))).encode()
    document = CODEC.read(text)
    container = document.containers[data.draw(st.integers(0, len(document.containers) - 1))]
    paths = [leaf.path for leaf in document.leaves]
    paths += [each.path for each in document.containers]
    below = [path for path in paths if path and path[:-1] == container.path]
    last: str | int = len(below) if container.kind == "list" else 'a "new" one'
    values: list[Node] = [NEW, Map([("k", NEW)]), List([NEW, Map([])])]
    value = data.draw(st.sampled_from(values))
    check_insert_and_remove(CODEC, text, (*container.path, last), value)


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        (b"{}", ("a",), b'{\n\t"a": 1\n}'),
        (b'{\n  "a": 0\n}\n', ("b",), b'{\n  "a": 0,\n  "b": 1\n}\n'),
        (b'{\r\n  "a": 0\r\n}\r\n', ("b", "c"), b'{\r\n  "a": 0,\r\n  "b": {\r\n    "c": 1\r\n  }\r\n}\r\n'),
        (b'{"a":0}', ("b", "c"), b'{"a":0,"b":{"c":1}}'),
        (b'{"a": 0}', ("b", 0), b'{"a": 0, "b": [1]}'),
        (b'{\n\t"a": []\n}', ("a", 7), b'{\n\t"a": [\n\t\t1\n\t]\n}'),
        (b'{\n\t"a": [5, 6]\n}', ("a", 7), b'{\n\t"a": [5, 6, 1]\n}'),
        (b'{\n\t"a": "x"\n}', ("a", "b"), b'{\n\t"a": {\n\t\t"b": 1\n\t}\n}'),
        (b'{"0": {"1": 2}}', (0, 3), b'{"0": {"1": 2, "3": 1}}'),
    ],
)
def test_what_is_inserted_looks_like_its_neighbours(text: bytes, path: TreePath, wanted: bytes) -> None:
    document = CODEC.read(text)
    assert document.splice(CODEC.insert(document, path, Scalar(LeafKind.INTEGER, b"1"))) == wanted


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (("a",), b'{\n  "b": [1, 2, 3]\n}'),
        (("b",), b'{\n  "a": "}"\n}'),
        (("b", 0), b'{\n  "a": "}",\n  "b": [2, 3]\n}'),
        (("b", 1), b'{\n  "a": "}",\n  "b": [1, 3]\n}'),
        (("b", 2), b'{\n  "a": "}",\n  "b": [1, 2]\n}'),
    ],
)
def test_remove_takes_the_comma(path: TreePath, wanted: bytes) -> None:
    document = CODEC.read(b'{\n  "a": "}",\n  "b": [1, 2, 3]\n}')
    assert document.splice(CODEC.remove(document, path)) == wanted


def test_remove_with_a_key_full_of_quotes() -> None:
    document = CODEC.read(b'{"x": 1, "a\\\\\\":\\"{\\\\" : 2}')
    assert document.splice(CODEC.remove(document, ('a\\":"{\\',))) == b'{"x": 1}'


def test_wrong_places_are_refused() -> None:
    document = CODEC.read(b'{"a": [1], "sops": {"mac": "x"}}')
    for path, code in {
        ("a",): Code.EXISTS,
        ("a", 0): Code.EXISTS,
        ("a", "b"): Code.YAML_SHAPE,
        ("sops", "b"): Code.YAML_SHAPE,
    }.items():
        with pytest.raises(RefusedInput) as caught:
            CODEC.insert(document, path, NEW)
        assert caught.value.code is code
    for path in [("b",), ("a", 1), (), ("sops",)]:
        with pytest.raises(NotFound):
            CODEC.remove(document, path)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors_are_read(case: dict[str, Any]) -> None:
    source = read(case["encrypted"])
    document = check_spans(CODEC, source)
    data = json.loads(source)
    assert document.metadata == data.pop("sops")
    assert data_of(tree_of(document)) == data
    assert document.metadata_span is not None
    # sops writes with a tab, and so does this: the whole block comes out the same.
    assert (
        CODEC.format_metadata(document, document.metadata)
        == source[document.metadata_span.start : document.metadata_span.end]
    )
    assert CODEC.build(tree_of(document), document.metadata) == source


def test_sops_reads_what_is_written(peer: Callable[[str], str], tmp_path: Path) -> None:
    sops = RealSops(peer("sops"), tmp_path)

    @settings(max_examples=15)
    @given(texts())
    def in_place(text: bytes) -> None:
        sealed = new_document(Format.JSON, text, [[recipient("keys/a.txt")]])
        # Beyond 2^53 the digits are a matter of taste.
        assert json.loads(sops.decrypt("a.json", sealed), parse_int=float) == json.loads(
            text, parse_int=float
        )

    @settings(max_examples=15)
    @given(roots)
    def made_anew(tree: dict[str, Any]) -> None:
        text = CODEC.build(node_of(tree), None)
        encrypted = sops.encrypt("b.json", text)
        # What sops prints is what is built: layout, escapes and numbers.
        assert sops.decrypt("b.json", encrypted) == text
        assert [leaf.path for leaf in CODEC.read(encrypted).leaves] == [
            leaf.path for leaf in CODEC.read(text).leaves
        ]

    in_place()
    made_anew()


def test_numbers_are_what_sops_makes_of_them() -> None:
    document = CODEC.read(
        b'{"a": 9007199254740993, "b": 1e21, "c": 1.50, "d": -0, "e": 1E-7, "f": 123456789012345678901}'
    )
    assert [(leaf.kind, leaf.plain) for leaf in document.leaves] == [
        (LeafKind.INTEGER, b"9007199254740993"),
        (LeafKind.FLOAT, b"1000000000000000000000"),
        (LeafKind.FLOAT, b"1.5"),
        (LeafKind.FLOAT, b"-0"),
        (LeafKind.FLOAT, b"0.0000001"),
        (LeafKind.FLOAT, b"123456789012345680000"),
    ]
    wanted = [b"9007199254740993", b"1e+21", b"1.5", b"-0", b"1e-7", b"123456789012345680000"]
    assert [CODEC.scalar(document, None, leaf.kind, leaf.plain) for leaf in document.leaves] == wanted


def test_unchanged_number_keeps_its_text() -> None:
    document = CODEC.read(b'{"a": 1.50, "b": 2}')
    assert CODEC.scalar(document, document.leaves[0], LeafKind.FLOAT, b"1.5") == b"1.50"
    assert CODEC.scalar(document, document.leaves[1], LeafKind.FLOAT, b"2") == b"2"


def test_infinity_has_no_json() -> None:
    for plain in (b"+Inf", b"-Inf", b"NaN"):
        with pytest.raises(RefusedInput) as caught:
            CODEC.scalar(CODEC.read(b"{}"), None, LeafKind.FLOAT, plain)
        assert caught.value.code is Code.YAML_VALUE


def test_comments_are_refused_or_left_out() -> None:
    with pytest.raises(RefusedInput):
        CODEC.comment(CODEC.read(b"{}"), CODEC.read(b'{"a": 1}').leaves[0], b"x")
    with pytest.raises(RefusedInput):
        CODEC.build(List([NEW]), None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", Code.EMPTY),
        (b" \n\t", Code.EMPTY),
        (b"[1, 2]", Code.YAML_SHAPE),
        (b'"hunter2"', Code.YAML_SHAPE),
        (b'{"a": "hunter2"', Code.YAML_SYNTAX),
        (b'{"a": "hunter2', Code.YAML_SYNTAX),
        (b'{"a": ', Code.YAML_SYNTAX),
        (b'{"a"', Code.YAML_SYNTAX),
        (b"{", Code.YAML_SYNTAX),
        (b'{"a": "hunter2"}}', Code.YAML_SYNTAX),
        (b'{"a": "hunter2"} {}', Code.YAML_SYNTAX),
        (b'{"a": ["hunter2"}]', Code.YAML_SYNTAX),
        (b'{"a": "hunter2",}', Code.YAML_SYNTAX),
        (b'{"a": [1,]}', Code.YAML_SYNTAX),
        (b'{,"a": 1}', Code.YAML_SYNTAX),
        (b"{'a': 1}", Code.YAML_SYNTAX),
        (b'{"a": 01}', Code.YAML_SYNTAX),
        (b'{"a": +1}', Code.YAML_SYNTAX),
        (b'{"a": .5}', Code.YAML_SYNTAX),
        (b'{"a": True}', Code.YAML_SYNTAX),
        (b'{"a": "hunter2\n"}', Code.YAML_SYNTAX),
        (b'{"a": "\\x"}', Code.YAML_SYNTAX),
        (b'// hunter2\n{"a": 1}', Code.YAML_SYNTAX),
        (b'{"a": NaN}', Code.YAML_VALUE),
        (b'{"a": -Infinity}', Code.YAML_VALUE),
        (b'{"a": ' + b"7" * 5000 + b"}", Code.YAML_VALUE),
        (b'{"a": 1e400}', Code.YAML_VALUE),
        (b'{"a": "hunter2\0"}', Code.YAML_CHAR),
        (b'{"a": "hunter2\xff"}', Code.ENCODING),
        (b'\xef\xbb\xbf{"a": 1}', Code.ENCODING),
        ('{"a": 1}'.encode("utf-16"), Code.ENCODING),
        (b'{"a": "\\ud800"}', Code.ENCODING),
        (b'{"a": 1, "\\u0061": 2}', Code.YAML_DUP),
        (b'{"sops": {"mac": "x"}, "sops": {"mac": "y"}}', Code.YAML_DUP),
        ('{"\u00e9": 1, "e\u0301": 2}'.encode(), Code.NAME_DUP),
        ('{"K": 1, "\u212a": 2}'.encode(), Code.NAME_DUP),
        (b'{"sops": "hunter2"}', Code.YAML_SHAPE),
        (b'{"sops": [1]}', Code.YAML_SHAPE),
        (b'{"sops": null}', Code.YAML_SHAPE),
        (b'{"a": ' + b"[" * 100_000, Code.YAML_DEPTH),
        (b'{"a": ' * 100_000, Code.YAML_DEPTH),
    ],
)
def test_hostile_text(
    text: bytes, code: Code, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        check_refused(CODEC, text, code)


def test_errors_name_the_line() -> None:
    assert "line 3" in check_refused(CODEC, b'{\n"a": 1,\n"a": 2}', Code.YAML_DUP).message
    assert "byte 8" in check_refused(CODEC, b'{\n"a":\n"\xff"}', Code.ENCODING).message


def test_conflict_marks_name_both_sides() -> None:
    marks = b'<<<<<<< HEAD\n\t\t"mac": "a",\n=======\n\t\t"mac": "b",\n>>>>>>> topic\x1b[31m\n'
    for text in (b'{\n\t"sops": {\n' + marks + b'\t\t"version": "3"\n\t}\n}\n', marks):
        error = check_refused(CODEC, text, Code.CONFLICT)
        assert "'HEAD'" in error.message
        assert "'topic\\x1b[31m'" in error.message


@pytest.mark.parametrize(
    "text",
    [
        b"{" + b",".join(b'"k%d":1' % number for number in range(1_000_000)) + b"}",
        b'{"a": [' + b"[]," * 300_000 + b"[]]}",
        b'{"a":' + b"[" * 198 + b"1," * 150_000 + b"1" + b"]" * 198 + b"}",
        b'{"a": "' + b"x" * (20 << 20) + b'"}',
    ],
    ids=["keys", "lists", "deep and wide", "bytes"],
)
def test_too_big(text: bytes, within: Callable[[float], AbstractContextManager[None]]) -> None:
    with within(2):
        check_refused(CODEC, text, Code.TOO_BIG)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "' + b"\\n" * 2_000_000 + b'"}',
        b'{"a": "' + b"\\" * 2_000_000 + b'"}',
        b'{"a": ' + b" " * 4_000_000 + b"1}",
        b'{"a": [' + b"[]," * 40_000 + b"1]}",
        b'{"a": 0.' + b"1" * 2_000_000 + b"}",
    ],
    ids=["escapes", "backslashes", "blanks", "one line", "digits"],
)
def test_long_text_takes_linear_time(
    text: bytes, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        document = check_spans(CODEC, text)
        CODEC.insert(document, ("b",), NEW)
        CODEC.remove(document, ("a",))


def test_sealed_text_needs_no_escapes() -> None:
    document = CODEC.read(b'{"a": 1}')
    assert CODEC.scalar(document, document.leaves[0], LeafKind.STRING, SEALED) == b'"' + SEALED + b'"'
    assert shape(document) == [(("a",), LeafKind.INTEGER, b"1", b"1")]
