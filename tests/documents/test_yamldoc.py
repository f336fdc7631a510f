"""Writing YAML: values in the place of others, comments, the metadata block, and whole texts.

What is written is read back by both of our readers and by ruamel on its own, and looks like what it replaces.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from sopstrees import data_of
from sopsvectors import recipient
from yamlchecks import (
    AWKWARD,
    CODEC,
    OTHER_KINDS,
    X,
    comments,
    number,
    read,
    text,
    tree,
    values,
)
from yamltexts import SOPS_BLOCK

from secretsmith.documents.node import Comment, List, Map
from secretsmith.documents.tree import Document, Edit, LeafKind
from secretsmith.errors import Code, RefusedInput

# Values in the place of others.

PLACES = {
    "plain": "a: old\nz: 1\n",
    "plain, comment": "a: old   # note\nz: 1\n",
    "single": "a: 'old'\nz: 1\n",
    "double": 'a: "old"   # note\nz: 1\n',
    "literal": "a: |\n  old\n  text\nz: 1\n",
    "literal, kept": "a: |+\n  old\n\nz: 1\n",
    "literal, blank lines behind": "a: |-\n  old\n\n\nz: 1\n",
    "folded": "a: >-\n    old\n    text\nz: 1\n",
    "null": "a:\nz: 1\n",
    "null, comment": "a: # note\nz: 1\n",
    "plain of two lines": "a: old\n  text\nz: 1\n",
    "quoted of two lines": 'a: "old\n  text" # note\nz: 1\n',
    "in a list": "l:\n- old\n- x\n",
    "in a list, further in": "l:\n    - old # note\n    - x\n",
    "in a list in a list": "l:\n- - old\n  - x\n",
    "in a map in a list": "l:\n  - k: old\n    m: 1\n",
    "deep": "m:\n   n:\n      o: old\n      # note\n   p: 1\n",
    "in brackets": "a: [old, x]\nz: 1\n",
    "quoted in brackets": "a: {k: 'old', l: \"x\"} # note\nz: 1\n",
    "brackets of several lines": "a: [\n  old, # note\n  x\n]\nz: 1\n",
    "last, without a line end": "z: 1\na: old",
    "before a document": "a: old\n---\na: x\n",
    "long key": "? |\n  long\n  key\n: old\nz: 1\n",
    "windows": "a: old # note\r\nm:\r\n  k: 1\r\n",
    "windows, block": "a: |\r\n  old\r\n  text\r\nm:\r\n  k: 1\r\n",
    "byte order mark": "\ufeffa: old\nz: 1\n",
    "a comment further in behind": "a: old\n      # note\nz: 1\n",
    "a comment further in behind a block": "a: |\n  old\n # note\nz: 1\n",
    "spaces behind": "a: old  \nz: 1\n",
    "spaces behind a key": "a:  \nz: 1\n",
    "tab in the comment": "a: old #\tnote\t\nz: 1\n",
}


def first_value(document: Document) -> int:
    return next(
        index
        for index, leaf in enumerate(document.leaves)
        if b"old" in leaf.raw or (leaf.kind is LeafKind.NULL and leaf.path == ("a",))
    )


@pytest.mark.parametrize("place", PLACES)
def test_every_value_in_every_place(place: str) -> None:
    document = CODEC.read(PLACES[place].encode())
    index = first_value(document)
    leaf = document.leaves[index]
    for kind, plain in (*((LeafKind.STRING, each.encode()) for each in AWKWARD), *OTHER_KINDS):
        out = document.splice([Edit(leaf.span, CODEC.scalar(document, leaf, kind, plain))])
        expected = [list(each) for each in values(document)]
        at = [each.kind for each in document.leaves[:index]].count(LeafKind.COMMENT)
        expected[index - at][2:] = [
            "number" if kind in (LeafKind.FLOAT, LeafKind.INTEGER) else kind.value,
            plain,
        ]
        assert [list(each) for each in values(read(out))] == expected, (plain, out)
        assert comments(CODEC.read(out)) == comments(document)
        if document.newline == b"\r\n":
            assert out.count(b"\n") == out.count(b"\r\n")


@pytest.mark.parametrize(
    ("place", "value", "written"),
    [
        ("plain", "new", "new"),
        ("plain", "it's", "it's"),
        ("plain", "- x", "'- x'"),
        ("plain", "yes", '"yes"'),
        ("plain", "a\nb\n", "|\n    a\n    b"),
        ("plain, comment", "a\nb\n", '"a\\nb\\n"'),
        ("single", "new", "'new'"),
        ("single", "it's", "'it''s'"),
        ("single", "a\nb", "|-\n    a\n    b"),
        ("single", "a\tb", '"a\\tb"'),
        ("double", "new", '"new"'),
        ("double", "a\nb", '"a\\nb"'),
        ("literal", "new\nlines\n", "|\n  new\n  lines"),
        ("literal", "one line", "|-\n  one line"),
        ("literal", " in\nout\n", "|2\n   in\n  out"),
        ("literal", "x \ny", '"x \\ny"'),
        ("folded", "one line", ">-\n    one line"),
        ("folded", "two\nlines\n", ">\n    two\n\n    lines"),
        ("folded", "- a\n  - b\n", "|\n    - a\n      - b"),
        ("null", "new", " new"),
        ("in brackets", "new", "new"),
        ("in brackets", "a, b", '"a, b"'),
        ("quoted in brackets", "new", "'new'"),
        ("windows, block", "a\nb\n", "|\r\n  a\r\n  b"),
        ("literal, blank lines behind", "a\nb\n\n", '"a\\nb\\n\\n"'),
    ],
)
def test_the_style_of_a_value_stays(place: str, value: str, written: str) -> None:
    document = CODEC.read(PLACES[place].encode())
    leaf = document.leaves[first_value(document)]
    assert CODEC.scalar(document, leaf, LeafKind.STRING, value.encode()).decode() == written


def test_the_same_value_keeps_its_text() -> None:
    source = b"a: 0x1F\nb: >-\n    x\n\n    y\nc: 'x'   \nd: !!str 1\n"
    document = CODEC.read(source)
    for leaf in document.leaves:
        assert CODEC.scalar(document, leaf, leaf.kind, leaf.plain) == leaf.raw
    assert CODEC.scalar(document, None, LeafKind.STRING, b"- x") == b"'- x'"


def test_a_sealed_text_is_plain_in_block_style() -> None:
    sealed = b"ENC[AES256_GCM,data:A==,iv:A=,tag:A=,type:str]"
    document = CODEC.read(b"a: 'x'\nb: |\n  x\nc: [x]\n")
    written = [CODEC.scalar(document, leaf, LeafKind.STRING, sealed) for leaf in document.leaves]
    assert written == [sealed, sealed, b'"' + sealed + b'"']


def test_sops_reads_what_is_written(peer: Callable[[str], str]) -> None:
    """All awkward texts at once, in four styles and as keys, through the real sops."""
    shown = [each for each in AWKWARD if "\x00" not in each and "\ufffe" not in each]
    source = b"".join(
        b"k%d: %s\ns%d: 'x'\nd%d: \"x\"\nb%d: |\n  x\n  y\nl%d:\n  - x\n" % (n, b"x", n, n, n, n)
        for n in range(len(shown))
    )
    document = CODEC.read(source)
    edits = [
        Edit(
            leaf.span,
            CODEC.scalar(document, leaf, LeafKind.STRING, shown[int(str(leaf.path[0])[1:])].encode()),
        )
        for leaf in document.leaves
    ]
    out = document.splice(edits)
    for each in set(shown) - {"e\u0301"}:
        out = (
            CODEC.read(out).splice(CODEC.insert(CODEC.read(out), ("keys", each), text(each))) if each else out
        )
    done = subprocess.run(
        [
            *(peer("sops"), "encrypt", "--age", recipient("keys/a.txt"), "--encrypted-regex", "^$"),
            *("--input-type", "yaml", "--output-type", "json", "--filename-override", "x.yaml"),
        ],
        input=out,
        capture_output=True,
        check=True,
    )
    theirs = json.loads(done.stdout)
    assert theirs.pop("keys") == {each: each for each in shown if each and each != "e\u0301"}
    theirs.pop("sops")
    assert theirs == {
        key: [each] if key.startswith("l") else each
        for n, each in enumerate(shown)
        for key in (f"k{n}", f"s{n}", f"d{n}", f"b{n}", f"l{n}")
    }


# Comments.


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("# old\na: 1\n", " new", "# new\na: 1\n"),
        ("a:\n    # old\n    b: 1\n", " two\n lines", "a:\n    # two\n    # lines\n    b: 1\n"),
        ("a: 1 # old\n", " two\n lines", "a: 1 # two  lines\n"),
        ("a:\r\n  # old\r\n  b: 1\r\n", "x\ny", "a:\r\n  #x\r\n  #y\r\n  b: 1\r\n"),
        ("\ufeff# old\na: 1\n", "x\ny", "\ufeff#x\n#y\na: 1\n"),
        ("# old\na: 1\n", "\x1b[31m", "#\ufffd[31m\na: 1\n"),
        ("# old\na: 1\n", "x\u2028y\x85z", "#x\n#y\n#z\na: 1\n"),
        ("a: 1 # old\n", "x\u2028y\x85z", "a: 1 #x y z\n"),
        ("# old\na: 1\n", "", "#\na: 1\n"),
    ],
)
def test_writes_comments(source: str, value: str, expected: str) -> None:
    document = CODEC.read(source.encode())
    (leaf,) = (each for each in document.leaves if each.kind is LeafKind.COMMENT)
    out = document.splice([Edit(leaf.span, CODEC.comment(document, leaf, value.encode()))])
    assert out.decode() == expected
    assert values(read(out)) == values(document)


def test_comments_with_the_line_ends_of_sops(peer: Callable[[str], str]) -> None:
    """A comment from a dotenv file may have line ends in it that only sops knows; its YAML has them, too."""
    for end in ("\u2028", "\u2029", "\x85", "\ufeff"):
        given_text = f"# a{end}b\nA=1\n#{end}\nB=x{end}y\n# t{end}\n"
        theirs = in_clear(peer("sops"), given_text.encode(), "dotenv")
        ours = CODEC.read(theirs)
        lines = 1 if end == "\ufeff" else 2
        assert len(comments(ours)) == lines + 2
        assert [leaf.plain.decode() for leaf in ours.leaves if leaf.path] == ["1", f"x{end}y"]
        for leaf in ours.leaves:
            assert theirs[leaf.span.start : leaf.span.end] == leaf.raw
        out = ours.splice(CODEC.insert(ours, ("C",), X))
        assert CODEC.read(out).leaf(("C",)).plain == b"x"
        assert comments(CODEC.read(out)) == comments(ours)


def in_clear(program: str, source: bytes, kind: str) -> bytes:
    """What sops makes of a text when it encrypts nothing of it, as YAML."""
    done = subprocess.run(
        [
            *(program, "encrypt", "--age", recipient("keys/a.txt"), "--encrypted-regex", "^$"),
            *("--input-type", kind, "--output-type", "yaml", "--filename-override", f"x.{kind}"),
        ],
        input=source,
        capture_output=True,
        check=True,
    )
    return done.stdout


SEPARATED = ("\u2028", "\u2029", "\x85", "\ufeff", "\u2028\u2029")
AROUND = (
    *(
        "%s",
        "a%s",
        "%sa",
        "a%sb",
        "a %s b",
        " a%sb",
        "a%s b",
        "a%s%sb",
        "a\n%sb",
        "a%s\nb",
        "a%s\n",
        "a\nb%s",
    ),
    *(
        "%s\na",
        "a\n %s b\n",
        "a\t%sb",
        "it's%sb",
        '"%s"',
        "# %s",
        "- %s",
        "a\x01%sb",
        "1%s",
        "%s1",
        "a: b%sc",
    ),
)


@pytest.mark.parametrize("end", SEPARATED)
def test_values_with_the_line_ends_of_sops(end: str, peer: Callable[[str], str]) -> None:
    """What sops 3.11 writes in clear is read to the same value, as a value and as a key."""
    texts = [each.replace("%s", end) for each in AROUND]
    data = {"values": {f"k{n}": each for n, each in enumerate(texts)}, "keys": dict.fromkeys(texts, "v")}
    document = CODEC.read(in_clear(peer("sops"), json.dumps(data).encode(), "json"))
    assert tree(document) == [data]


@pytest.mark.parametrize(
    "source",
    ["a: x\u2028y\n", "a: 1 # x\u2028y\n", "a: x\x85y\n", "a: 'x\ufeffy'\n", "a: |\n  x\x85y\n", "a\u2028b: 1\n", "a: >\n  x\u2028  y\n"],
)  # fmt: skip
def test_line_ends_that_readers_differ_on_are_refused(source: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        CODEC.read(source.encode())
    assert caught.value.code is Code.YAML_CHAR
    assert "line " in caught.value.message


# The metadata block, and whole texts.

METADATA = {
    "age": [{"recipient": "age1x", "enc": "-----BEGIN\nA\n-----END\n"}, {"recipient": "age1y", "enc": "-\n"}],
    "lastmodified": "2026-11-20T17:12:37Z",
    "mac": "ENC[AES256_GCM,data:A==,iv:A=,tag:A=,type:str]",
    "shamir_threshold": 2,
    "mac_only_encrypted": True,
    "version": "3.11.0",
}


@pytest.mark.parametrize("source", ["a: 1\n", "a: 1", "a:\n  b: 1\n", "a:\n- 1\n", "  a: 1\n", "a: 1\r\n", "\ufeffa: 1\n", "a: 1\n---\nb: 2\n"])  # fmt: skip
def test_metadata_blocks(source: str) -> None:
    document = CODEC.read(source.encode())
    block = CODEC.format_metadata(document, METADATA)
    out = document.splice(Edit(span, block) for span in document.metadata_spans)
    again = read(out)
    assert again.metadata == METADATA
    assert values(again) == values(document)
    assert again.splice(Edit(span, b"") for span in again.metadata_spans).rstrip() == document.source.rstrip()
    if document.newline == b"\r\n":
        assert out.count(b"\n") == out.count(b"\r\n")


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_metadata_block_keeps_its_indentation(step: int) -> None:
    columns = {0: 0, 4: step, 8: 2 * step, 10: 2 * step + 2, 12: 2 * step + 4}
    lines = [" " * columns[len(line) - len(line.lstrip())] + line.lstrip() for line in SOPS_BLOCK]
    document = CODEC.read("\n".join(["a:", "        b: 1", *lines, ""]).encode())
    written = CODEC.format_metadata(document, document.metadata).decode().split("\n")
    assert written[:4] == lines[:4]
    assert written[1] == " " * step + "age:"


def test_builds() -> None:
    tree_ = Map(
        [
            Comment(b" top"),
            ("a", text("- x")),
            (
                "b",
                Map(
                    [
                        Comment(b"c"),
                        ("d", List([Comment(b"e"), X, Map([Comment(b"f"), ("g", X)]), List([X])])),
                    ]
                ),
            ),
            ("h", Map([Comment(b" none")])),
            ("i", text("1\n2\n")),
        ]
    )
    out = CODEC.build([tree_, Map([("z", number(1))])], {"version": "3.11.0"})
    assert out.decode() == (
        "# top\na: '- x'\nb:\n    #c\n    d:\n        #e\n        - x\n        #f\n        - g: x\n        - - x\n"
        "# none\nh: {}\ni: |\n    1\n    2\nsops:\n    version: 3.11.0\n---\nz: 1\nsops:\n    version: 3.11.0\n"
    )
    assert tree(read(out)) == [data_of(tree_), {"z": 1}]
    assert CODEC.build(Map(), None) == b"{}\n"
    for bad in (List([X]), X):
        with pytest.raises(RefusedInput) as caught:
            CODEC.build(bad, None)
        assert caught.value.code is Code.YAML_SHAPE
