"""INI: read as go-ini with the options of sops, changed in place, hostile input."""

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

from secretsmith.documents.format import Format
from secretsmith.documents.inidoc import IniCodec
from secretsmith.documents.node import Comment, List, Map, Node, Scalar
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.tree import Edit, LeafKind, TreePath
from secretsmith.errors import Code, NotFound, RefusedInput

CODEC = IniCodec()
VECTORS = [case for case in CASES if case["format"] == "ini" and "encrypted" in case]
NEW = Scalar(LeafKind.STRING, b"new value")

names = st.text(st.sampled_from("abXY_-. :é\u4e2d"), min_size=1, max_size=6).filter(
    lambda name: name.strip() == name and name not in ("-", "DEFAULT", "sops")
)
keys = names.filter(lambda name: ":" not in name)
comments = st.text(st.sampled_from("ab ;#=[]'\"\u00e9"), max_size=6).map(lambda text: f"x{text}y")
written = st.sampled_from(
    [
        "",
        "a",
        "a b",
        "a=b:c",
        '"a b"',
        "' a '",
        "`a;b`",
        "`#`",
        '"a',
        "it's",
        '"""a"b"""',
        '"""l1\nl2"""',
        "`l1\n l2`",
    ]
)
characters = st.characters(codec="utf-8", exclude_characters="\0")
values = st.text(characters | st.sampled_from("\n\\ ;#'\"`="), max_size=8)


@st.composite
def sections(draw: st.DrawFn, header: str) -> list[str]:
    """The lines of one section in one style."""
    above = st.lists(comments.map(lambda text: f"; {text}"), max_size=2)
    lines = [*draw(above), header] if header else []
    delimiter = draw(st.sampled_from([" = ", "=", ": ", "  ="]))
    for key in draw(st.lists(keys, max_size=3, unique=True)):
        value = draw(written)
        line = draw(st.sampled_from(["", "", "  "])) + key + delimiter + value
        comment = draw(st.sampled_from(["no", "no", "above", "beside"]))
        if comment == "above":
            lines += [draw(st.sampled_from(["#", "; ", "# "])) + draw(comments), *draw(above)]
        if comment == "beside" and value[:1] not in ("`", '"') and "=" not in key:
            line += draw(st.sampled_from([" ; ", "#", " # "])) + draw(comments).replace('"', "")
        lines.append(line)
        lines += draw(st.sampled_from([[], [], [""]]))
    return [*lines, ""]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """INI files in several styles; at least one section with a name."""
    lines = draw(sections(""))
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        lines += draw(sections(f"[{name}]"))
    lines += draw(st.sampled_from([[], [], ["# the end", ""]]))
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode()


def can_be_written(text: str) -> bool:
    """Whether some kind of quotes makes go-ini read this value."""
    try:
        CODEC.scalar(CODEC.read(b"a=b"), None, LeafKind.STRING, text.encode())
    except RefusedInput as refused:
        return refused.code is not Code.YAML_VALUE
    return True


@given(texts())
def test_what_is_there_can_be_written_back(text: bytes) -> None:
    check_spans(CODEC, text)
    check_seal_and_back(CODEC, text)


@given(texts())
def test_the_block_comes_and_goes(text: bytes) -> None:
    assert check_metadata(CODEC, text).startswith(text)


@given(texts(), st.booleans(), st.data())
def test_insert_then_remove(text: bytes, block: bool, data: st.DataObject) -> None:
    text = check_metadata(CODEC, text) if block else text
    document = CODEC.read(text)
    known = [str(each.path[0]) for each in document.containers[1:] if each.span]
    section = data.draw(st.sampled_from([*known, "A NEW: SECTION"]))
    if section in known:
        check_insert_and_remove(CODEC, text, (section, "A NEW=KEY"), NEW)
    else:
        check_insert_and_remove(CODEC, text, (section,), Map([("a", NEW), ("long", NEW)]))


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=3), min_size=1, max_size=3))
def test_what_is_built_reads_back(tree: dict[str, dict[str, str]]) -> None:
    node = Map(
        [
            (name, Map([(key, Scalar(LeafKind.STRING, value.encode())) for key, value in section.items()]))
            for name, section in tree.items()
        ]
    )
    texts = [value for section in tree.values() for value in section.values()]
    if not all(map(can_be_written, texts)):
        with pytest.raises(RefusedInput):
            CODEC.build(node, METADATA)
        return
    text = CODEC.build(node, METADATA)
    document = CODEC.read(text)
    assert data_of(tree_of(document)) == {"DEFAULT": {}, **tree}
    assert document.metadata == METADATA


EXAMPLE = b"""\
top = 1

; about web
; and more
[web]  # beside
user  = u ; the user
pass  = "p"
# about key
key   = `a;b`
lines = \"\"\"l1
l2\"\"\"
empty =

; the end
"""


def test_where_everything_is() -> None:
    document = CODEC.read(EXAMPLE)
    assert [(leaf.path, leaf.kind.value, leaf.raw, leaf.plain) for leaf in document.leaves] == [
        (("DEFAULT", "top"), "str", b"1", b"1"),
        (
            ("web",),
            "comment",
            b"; about web\n; and more\n[web]  # beside",
            b"about web\n; and more\n# beside",
        ),
        (("web", "user"), "str", b"u", b"u"),
        (("web",), "comment", b"; the user", b"the user"),
        (("web", "pass"), "str", b'"p"', b"p"),
        (("web", "key"), "str", b"`a;b`", b"a;b"),
        (("web",), "comment", b"# about key", b"about key"),
        (("web", "lines"), "str", b'"""l1\nl2"""', b"l1\nl2"),
        (("web", "empty"), "str", b"", b""),
        ((), "comment", b"; the end", b"the end"),
    ]


def test_sealing_leaves_the_rest() -> None:
    document = CODEC.read(EXAMPLE)
    edits = [
        Edit(leaf.span, CODEC.comment(document, leaf, b"C"))
        if leaf.kind is LeafKind.COMMENT
        else Edit(leaf.span, CODEC.scalar(document, leaf, LeafKind.STRING, b"V"))
        for leaf in document.leaves
        if leaf.plain
    ]
    assert (
        document.splice(edits)
        == b"""\
top = V

; C
[web]
user  = V ; C
pass  = "V"
# C
key   = `V`
lines = \"\"\"V\"\"\"
empty =

; C
"""
    )


def test_new_entries_look_like_the_last_one() -> None:
    document = CODEC.read(b"[a]\r\n  long  =x ; c\r\n\r\n[b]\r\n; end\r\n")
    one = Scalar(LeafKind.STRING, b"1")
    assert document.splice(CODEC.insert(document, ("a", "k"), one)) == (
        b"[a]\r\n  long  =x ; c\r\n  k     =1\r\n\r\n[b]\r\n; end\r\n"
    )
    assert document.splice(CODEC.insert(document, ("b", "k"), one)) == (
        b"[a]\r\n  long  =x ; c\r\n\r\n[b]\r\nk = 1\r\n; end\r\n"
    )
    assert (
        document.splice(CODEC.insert(document, ("DEFAULT", "k"), one)) == b"k = 1\r\n\r\n" + document.source
    )
    assert document.splice(CODEC.insert(document, ("c", "k"), one)) == (
        b"[a]\r\n  long  =x ; c\r\n\r\n[b]\r\n\r\n[c]\r\nk = 1\r\n; end\r\n"
    )


def test_a_block_that_comes_first() -> None:
    block = b"[sops]\nversion = 3.11.0\nmac     = x\n\n"
    document = CODEC.read(block + b"; c\n[a]\nk = v\n")
    assert document.metadata_span is not None
    assert document.source[document.metadata_span.start : document.metadata_span.end] == block
    assert CODEC.format_metadata(document, document.metadata) == block
    assert document.splice([Edit(document.metadata_span, b"")]) == b"; c\n[a]\nk = v\n"
    document = CODEC.read(b"\xef\xbb\xbf" + block.strip())
    changed = document.splice(CODEC.insert(document, ("a", "k"), NEW))
    assert changed == b"\xef\xbb\xbf[a]\nk = new value\n\n" + block.strip()


def test_an_entry_goes_with_its_comment() -> None:
    document = CODEC.read(b"[a]\n; about k\n\nk = 1\n; about l\nl = 2\n\n; about b\n[b]\nm = 3 ; c\nn = 4")
    cases: dict[TreePath, bytes] = {
        ("a", "k"): b"[a]\n; about l\nl = 2\n\n; about b\n[b]\nm = 3 ; c\nn = 4",
        ("b", "m"): b"[a]\n; about k\n\nk = 1\n; about l\nl = 2\n\n; about b\n[b]\nn = 4",
        ("b", "n"): b"[a]\n; about k\n\nk = 1\n; about l\nl = 2\n\n; about b\n[b]\nm = 3 ; c",
        ("a",): b"; about b\n[b]\nm = 3 ; c\nn = 4",
        ("b",): b"[a]\n; about k\n\nk = 1\n; about l\nl = 2",
    }
    for path, wanted in cases.items():
        assert document.splice(CODEC.remove(document, path)) == wanted
    for path in [(), ("c",), ("a", "c"), ("DEFAULT",)]:
        with pytest.raises(NotFound):
            CODEC.remove(document, path)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("a", "k"), NEW, Code.EXISTS),
        (("a",), Map([("x", NEW)]), Code.EXISTS),
        (("b",), NEW, Code.YAML_SHAPE),
        (("b", "c", "d"), NEW, Code.YAML_SHAPE),
        (("b", "c"), Map([("x", NEW)]), Code.YAML_SHAPE),
        (("b",), Map([("x", List([]))]), Code.YAML_SHAPE),
        (("sops", "mac"), NEW, Code.YAML_SHAPE),
        (("]", "k"), NEW, Code.NAME),
        (("", "k"), NEW, Code.NAME),
        (("b", ""), NEW, Code.NAME),
        (("b", "-"), NEW, Code.NAME),
        (("b", " k"), NEW, Code.NAME),
        (("b", "k\n"), NEW, Code.NAME),
        (("b", "k\nl"), NEW, Code.NAME),
        (("b", "k"), Scalar(LeafKind.STRING, b'"""`\n'), Code.YAML_VALUE),
        (("b", "k"), Scalar(LeafKind.STRING, b"\0"), Code.YAML_CHAR),
        (("b", "k"), Scalar(LeafKind.STRING, b"\xff"), Code.ENCODING),
    ],
)
def test_what_cannot_be_inserted(path: TreePath, value: Node, code: Code) -> None:
    with pytest.raises(RefusedInput) as caught:
        CODEC.insert(CODEC.read(b"[a]\nk = 1\n"), path, value)
    assert caught.value.code is code


@pytest.mark.parametrize("key", ["a=b", "a:b", 'a"b', "a`b", "#a", ";a", "[a]", "0", "a b", "`=a"])
def test_keys_get_the_quotes_they_need(key: str) -> None:
    document = CODEC.read(b"[a]\nk = 1\n")
    after = CODEC.read(document.splice(CODEC.insert(document, ("a", key), NEW)))
    assert after.leaf(("a", key)).plain == b"new value"


def test_a_comment_beside_a_value_stays_one() -> None:
    document = CODEC.read(b"k = a ; c\n")
    value, comment = document.leaves
    assert CODEC.scalar(document, value, LeafKind.STRING, b"l1\nl2") == b'"""l1\nl2"""'
    # In quotes on one line, the comment would be lost for sops.
    with pytest.raises(RefusedInput) as caught:
        CODEC.scalar(document, value, LeafKind.STRING, b"a;b")
    assert caught.value.hints == ("put the comment above the entry",)
    for text in (b"a\nb", b'"""', b"a\\"):
        with pytest.raises(RefusedInput):
            CODEC.comment(document, comment, text)
    assert CODEC.comment(document, comment, b"use `x`") == b"; use `x`"


def test_comments_without_text_before_a_text() -> None:
    # sops fails when it writes such a comment back; the text is kept, the mark alone is not.
    document = CODEC.read(b";\n;\n; a\n#b\n[s]\nk = 1\n;\nl = 2\n")
    assert [leaf.plain for leaf in document.leaves if leaf.kind is LeafKind.COMMENT] == [b"a\n#b", b""]


def test_comments_of_other_formats_find_a_place() -> None:
    root = Map(
        [
            Comment(b" top"),
            ("a", Map([Comment(b" section"), ("k", NEW), Comment(b" of k"), ("l", NEW)])),
            ("DEFAULT", Map([])),
            Comment(b" end"),
        ]
    )
    text = CODEC.build(root, None)
    assert text == (b"; top\n; section\n[a]\n; of k\nk = new value\nl = new value\n\n[DEFAULT]\n\n; end\n")
    check_spans(CODEC, text)
    for wrong in (NEW, List([]), Map([("a", NEW)]), Map([("a", Map([("b", Map([]))]))])):
        with pytest.raises(RefusedInput) as caught:
            CODEC.build(wrong, None)
        assert caught.value.code is Code.YAML_SHAPE


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors_are_read(case: dict[str, Any]) -> None:
    source = read(case["encrypted"])
    document = check_spans(CODEC, source)
    assert document.metadata_span is not None
    block = source[document.metadata_span.start : document.metadata_span.end]
    assert CODEC.format_metadata(document, document.metadata) == block
    data = document.splice([Edit(document.metadata_span, b"")])
    assert CODEC.build(tree_of(CODEC.read(data)), None) == data


def test_lines_in_the_metadata_are_read_in_both_forms() -> None:
    # sops 3.13.0 and 3.13.1 wrote the lines themselves.
    text = b'[a]\nk = v\n\n[sops]\nage__list_0__map_enc = """l1\nl2\n"""\nmac = l1\\nl2\n'
    assert CODEC.read(text).metadata == {"age": [{"enc": "l1\nl2\n"}], "mac": "l1\nl2"}


def test_sops_reads_what_is_written(peer: Callable[[str], str], tmp_path: Path) -> None:
    sops = RealSops(peer("sops"), tmp_path)

    @settings(max_examples=25)
    @given(texts())
    def read_alike(text: bytes) -> None:
        wanted = data_of(tree_of(CODEC.read(text)))
        encrypted = sops.encrypt("b.ini", text)
        assert json.loads(sops.decrypt("b.ini", encrypted, "--output-type", "json")) == wanted
        # What is in clear in one file is in clear for both; so too the comments.
        ours, theirs = CODEC.read(text), CODEC.read(encrypted)
        assert [leaf.path for leaf in theirs.leaves if leaf.plain] == [
            leaf.path for leaf in ours.leaves if leaf.plain and leaf.path
        ]
        check_spans(CODEC, sops.decrypt("b.ini", encrypted))

    @settings(max_examples=25)
    @given(texts())
    def in_place(text: bytes) -> None:
        wanted = data_of(tree_of(CODEC.read(text)))
        sealed = new_document(Format.INI, text, [[recipient("keys/a.txt")]])
        assert json.loads(sops.decrypt("a.ini", sealed, "--output-type", "json")) == wanted

    @settings(max_examples=25)
    @given(st.lists(values, max_size=12))
    def values_alike(texts: list[str]) -> None:
        texts = [text for text in texts if can_be_written(text)]
        section = Map([(f"k{at}", Scalar(LeafKind.STRING, text.encode())) for at, text in enumerate(texts)])
        encrypted = sops.encrypt("c.ini", CODEC.build(Map([("s", section)]), None))
        decrypted = json.loads(sops.decrypt("c.ini", encrypted, "--output-type", "json"))
        assert decrypted["s"] == data_of(section)

    read_alike()
    in_place()
    values_alike()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", Code.EMPTY),
        (b"\n \t\r\n", Code.EMPTY),
        (b"; only\n# comments\n", Code.EMPTY),
        (b"[a\nk = hunter2\n", Code.YAML_SYNTAX),
        (b"[]\nk = hunter2\n", Code.YAML_SYNTAX),
        (b"[a] ; see [b]\n", Code.YAML_SYNTAX),
        (b"[a] hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\nhunter2\n", Code.YAML_SYNTAX),
        (b"[a]\n= hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\n- = hunter2\n", Code.YAML_SYNTAX),
        (b'[a]\n"" = hunter2\n', Code.YAML_SYNTAX),
        (b"[a]\n`k = hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\n`k` l = hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\nk = hunter2\\\nl = 1\n", Code.YAML_SYNTAX),
        (b"[a]\nk = 1 ; hunter2\\\nl = 1\n", Code.YAML_SYNTAX),
        (b"[a]\nk = `hunter2\n", Code.YAML_SYNTAX),
        (b'[a]\nk = """hunter2\nl = 1\n', Code.YAML_SYNTAX),
        (b'[a]\nk = """', Code.YAML_SYNTAX),
        (b'[a]\nk = """a\nb""" hunter2\n', Code.YAML_SYNTAX),
        (b"[a]\nk = `a` hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\nk = `a` ; hunter2\n", Code.YAML_SYNTAX),
        (b"[a]\n; hunter2\nk = 1 ; hunter2\n", Code.YAML_SYNTAX),
        (b'[a]\nk = 1 ; """\n', Code.YAML_SYNTAX),
        (b"[a]\nk = hunter2\nk = hunter2\n", Code.YAML_DUP),
        (b"[a]\n`k` = hunter2\nk : hunter2\n", Code.YAML_DUP),
        (b"[a]\nk = 1\n[b]\n[a]\nl = 2\n", Code.YAML_DUP),
        (b"k = 1\n[DEFAULT]\nl = 2\n", Code.YAML_DUP),
        (b"[sops]\nmac = 1\nmac = 2\n", Code.YAML_DUP),
        (b"[sops]\nmac = 1\n[sops]\nmac = 2\n", Code.YAML_DUP),
        ("[a]\n\u00e9 = 1\ne\u0301 = 2\n".encode(), Code.NAME_DUP),
        ("[\u00e9]\n[e\u0301]\nk = 2\n".encode(), Code.NAME_DUP),
        (b"[a]\nk = hunter2\0\n", Code.YAML_CHAR),
        (b"[a]\nk = hunter2\xff\n", Code.ENCODING),
        ("[a]\nk = 1\n".encode("utf-16"), Code.ENCODING),
        (b"[sops]\nage__list_5__map_enc = x\n", Code.FORMAT),
        (b"[sops]\na" + b"__map_b" * 100_000 + b" = x\n", Code.FORMAT),
        (b"[a]\n" + b"".join(b"k%d=1\n" % number for number in range(1_000_000)), Code.TOO_BIG),
        (b"".join(b"[k%d]\n" % number for number in range(1_000_000)), Code.TOO_BIG),
        (b"a=1\n" + b";\n" * 1_000_000, Code.TOO_BIG),
        (b"[a]\nk = " + b"x" * (20 << 20), Code.TOO_BIG),
    ],
)
def test_hostile_text(
    text: bytes, code: Code, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        check_refused(CODEC, text, code)


def test_conflict_marks_name_both_sides() -> None:
    text = b"[a]\nk = 1\n[sops]\n<<<<<<< HEAD\nmac = x\n=======\nmac = y\n>>>>>>> topic\n"
    for newline in (b"\n", b"\r\n"):
        message = check_refused(CODEC, text.replace(b"\n", newline), Code.CONFLICT).message
        assert "line 4" in message
        assert "'HEAD'" in message
        assert "'topic'" in message


@pytest.mark.parametrize(
    "text",
    [
        b"[a]\nk = " + b" " * 4_000_000 + b"x\n",
        b"[a]\nk = x" + b" " * 4_000_000 + b"y\n",
        b"[a]\nk = " + b"'" * 4_000_000 + b"\n",
        b"[a]\nk = ```" + b"`" * 4_000_000 + b"\n",
        b'[a]\nk = """' + b"x\n" * 45_000 + b'"""\n',
        b"[a]\n; " + b";#" * 2_000_000 + b"\nk = 1\n",
        b";\n" * 45_000 + b"k = 1\n",
        b"[" + b"a" * 4_000_000 + b"]\nk = 1\n",
        b"a" * 4_000_000 + b" = 1\n",
        "k = {}\n".format("\u3000" * 1_000_000 + "x").encode(),
        b"\n" * 2_000_000 + b"k = 1\n",
        b"".join(b'k%d = "1" ; c\n' % number for number in range(45_000)),
    ],
    ids=[
        "blanks",
        "inside",
        "quotes",
        "ticks",
        "lines",
        "marks",
        "comments",
        "section",
        "key",
        "wide",
        "empty",
        "many",
    ],
)
def test_long_text_takes_linear_time(
    text: bytes, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        document = check_spans(CODEC, text)
        CODEC.insert(document, ("DEFAULT", "b"), NEW)


def test_a_byte_order_mark_stays() -> None:
    text = b"\xef\xbb\xbf; c\nk = 1\n"
    document = check_spans(CODEC, text)
    assert document.leaf(("DEFAULT", "k")).plain == b"1"
    assert CODEC.comment(document, document.leaves[1], SEALED) == b"; " + SEALED
    check_insert_and_remove(CODEC, text, ("DEFAULT", "l"), NEW)
    check_metadata(CODEC, text)
    assert CODEC.read(b"\xef\xbb\xbf[a]\nk = 1").leaf(("a", "k")).plain == b"1"


def test_numbers_and_words_are_strings() -> None:
    document = check_spans(CODEC, b"a = " + b"7" * 5000 + b"\nb = nan\nc = inf\n")
    assert {leaf.kind for leaf in document.leaves} == {LeafKind.STRING}
