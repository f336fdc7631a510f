"""Which values are encrypted: the six rules, the comments in force, and what the real sops does."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recomputed import READABLE, read

from secretsmith.documents.format import Format
from secretsmith.documents.metadata import RULES
from secretsmith.documents.selection import DEFAULT, MAX_MATCHED, Selection
from secretsmith.documents.tree import Container, Document, Leaf, LeafKind, Span, TreePath
from secretsmith.errors import Code, RefusedInput

RECIPIENT = "age1hnmplpsd0fcx3tkf7t7wrame9vn33ls5svdwl8e9zgggky26s38qyyu6dj"  # of the vectors


@pytest.mark.parametrize(
    ("name", "value", "path", "encrypted"),
    [
        ("unencrypted_suffix", "_u", ("a", "b"), True),
        ("unencrypted_suffix", "_u", ("a", "b_u"), False),
        ("unencrypted_suffix", "_u", ("a_u", "b"), False),
        ("unencrypted_suffix", "_u", ("a_ux", "_u_"), True),
        ("encrypted_suffix", "_e", ("a", "b"), False),
        ("encrypted_suffix", "_e", ("a_e", 0, "b"), True),
        ("encrypted_regex", "^pass", ("x", "password"), True),
        ("encrypted_regex", "^pass", ("x", "mypassword"), False),
        ("encrypted_regex", "pass|key", ("mykey", 3), True),
        ("encrypted_regex", "^0$", ("a", 0), False),
        ("encrypted_regex", "^0$", ("a", "0"), True),
        ("encrypted_regex", "^a$", ("a\n",), False),
        ("encrypted_regex", "^a[b]?$", ("a\n",), False),
        ("encrypted_regex", "x$", ("xa", "ax"), True),
        ("encrypted_regex", "^x", ("ax", "a"), False),
        ("unencrypted_regex", "^(a|b)$", ("b", "secret"), False),
        ("unencrypted_regex", "^(a|b)$", ("c", "secret"), True),
        ("unencrypted_regex", "a.*b", ("a", "b"), True),
    ],
)
def test_rules_on_keys(name: str, value: str, path: TreePath, encrypted: bool) -> None:
    rule = Selection(name, value)
    assert rule.encrypts(path) is encrypted
    # Comments have no say.
    assert rule.encrypts(path, ["_u _e pass a b"], comment="x") is encrypted
    assert rule.walk().value(path) is encrypted


def test_comments_under_rules_on_keys_follow_what_they_stand_in() -> None:
    assert DEFAULT.encrypts((), comment="top")
    assert not DEFAULT.encrypts(("a_unencrypted",), comment="in a clear mapping")
    assert not Selection("encrypted_regex", "a").walk().comment((), "a")
    assert Selection("encrypted_regex", "a").walk().comment(("a",), "x")


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("path", [(), ("a",), ("a", 0, "b")])
def test_no_match_is_the_default_of_the_rule(name: str, path: TreePath) -> None:
    assert Selection(name, "zzz").encrypts(path, ["c"]) is name.startswith("un")


def test_comment_rules() -> None:
    on, off = Selection("encrypted_comment_regex", "enc"), Selection("unencrypted_comment_regex", "^ ?pub")
    assert on.encrypts(("a",), ["x", "sops:enc"])
    assert not on.encrypts(("enc",), ["x"])
    assert not off.encrypts(("a",), ["public"])
    assert off.encrypts(("public",), ["not public"])
    # The one that turns encryption on stays clear, unless another one came before it.
    assert not on.encrypts((), [], comment="enc")
    assert on.encrypts((), ["enc"], comment="enc")
    assert not off.encrypts((), [], comment="public")
    assert off.encrypts((), [], comment="secret")


def test_an_encrypted_comment_that_would_match_is_refused() -> None:
    with pytest.raises(RefusedInput) as caught:
        Selection("unencrypted_comment_regex", "AES").require_hidden("ENC[AES256_GCM,data:x]")
    assert caught.value.code is Code.RULES
    Selection("unencrypted_comment_regex", "public").require_hidden("ENC[AES256_GCM,data:x]")
    Selection("encrypted_comment_regex", "AES").require_hidden("ENC[AES256_GCM,data:x]")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("selection", "x"),
        ("unencrypted_suffix", ""),
        ("encrypted_regex", ""),
        ("encrypted_regex", "(?!x)ab"),
        ("encrypted_regex", "("),
        ("unencrypted_comment_regex", r"(a)\1"),
        ("encrypted_regex", r"\pL"),
        ("encrypted_regex", "a" * 2000 + "+"),
    ],
)
def test_rules_that_are_refused(name: str, value: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        Selection(name, value)
    assert caught.value.code is Code.RULES


def test_row_37_evil_expressions_end_soon(within: Any) -> None:
    with within(2.0):
        rule = Selection("encrypted_regex", "^(a+)+$")
        assert not rule.encrypts(("a" * 5000 + "b",))
    with pytest.raises(RefusedInput) as caught:
        rule.encrypts(("a" * (MAX_MATCHED + 1),))
    assert caught.value.code is Code.RULES


@given(
    st.text(alphabet="ab c:", min_size=1, max_size=5), st.sampled_from(["", "^"]), st.sampled_from(["", "$"])
)
def test_words_are_matched_as_expressions_are(word: str, start: str, end: str) -> None:
    quick = Selection("encrypted_regex", start + word + end)
    slow = Selection("encrypted_regex", f"{start}(?:{word}){end}")
    for text in ("", "a", "ab c", "b:", "ab c:\n", "aab", "c: b", word, f"a{word}", f"{word}b"):
        assert quick.matches(text) == slow.matches(text)


def test_each_key_is_tried_once() -> None:
    tried: list[str] = []

    def compiled(pattern: str) -> Callable[[str], bool]:
        def match(text: str) -> bool:
            tried.append(text)
            return pattern in text

        return match

    rule = Selection("encrypted_regex", "b", compile=compiled)
    assert [rule.encrypts(("a", key)) for key in "abcb"] == [False, True, False, True]
    assert tried == ["a", "b", "c"]


# A walk over the leaves: comments as ("#", container, text), values as paths.


def worded(step: Any, word: str) -> Any:
    """A step with the matching word for M."""
    return (*step[:2], word if step[2] == "M" else "x") if step[:1] == ("#",) else step


def walked(rule: Selection, *steps: Any) -> list[bool]:
    walk = rule.walk()
    return [walk.comment(*step[1:]) if step[:1] == ("#",) else walk.value(step) for step in steps]


ON = Selection("encrypted_comment_regex", "on")
OFF = Selection("unencrypted_comment_regex", "off")


@pytest.mark.parametrize(
    ("steps", "matched"),
    [
        # the comments since the previous entry hold for the next one only
        ([("#", (), "M"), ("a",), ("b",)], "0 1 0"),
        ([("#", (), "M"), ("#", (), "x"), ("a",), ("#", (), "x"), ("b",)], "0 1 1 0 0"),
        # and for all below it
        ([("#", (), "M"), ("a", "b"), ("a", "c", "d"), ("a", "c", "e"), ("b",)], "0 1 1 1 0"),
        # comments inside hold inside
        ([("#", ("a",), "M"), ("a", "b"), ("a", "c"), ("b",)], "0 1 0 0"),
        ([("a", "b"), ("#", ("a",), "M"), ("a", "c"), ("b",)], "0 0 1 0"),
        # those at the end of a mapping end with it
        ([("a", "b"), ("#", ("a",), "M"), ("b", "c"), ("b", "d")], "0 0 0 0"),
        ([("a", "b"), ("#", ("a",), "M"), ("#", (), "x"), ("b",)], "0 0 0 0"),
        # and those around it go on
        ([("#", (), "M"), ("a", "b"), ("#", ("a",), "x"), ("a", "c"), ("b",)], "0 1 1 1 0"),
        # list items are entries
        ([("#", ("l",), "M"), ("l", 0), ("l", 1)], "0 1 0"),
        ([("#", ("l",), "M"), ("l", 0, "a"), ("l", 0, "b"), ("l", 1, "a")], "0 1 1 0"),
        ([("l", 0, 0), ("#", ("l", 0), "M"), ("l", 0, 1), ("l", 1)], "0 0 1 0"),
        # a matching comment does not count for itself, but for the next
        ([("#", (), "M"), ("#", (), "M"), ("a",)], "0 1 1"),
        ([("#", (), "x"), ("#", (), "M"), ("a",)], "0 0 1"),
        # the same mapping twice in a row is one
        ([("#", ("a", "b"), "M"), ("a", "b", "c"), ("a", "d"), ("a", "b2")], "0 1 0 0"),
    ],
)
def test_where_comments_hold(steps: list[Any], matched: str) -> None:
    expected = [one == "1" for one in matched.split()]
    assert walked(ON, *(worded(step, "on") for step in steps)) == expected
    found = walked(OFF, *(worded(step, "off") for step in steps))
    for step, on, off in zip(steps, expected, found, strict=True):
        # The opposite rule is the opposite, but for the matching comment itself.
        assert off is (False if step[:1] == ("#",) and step[2] == "M" else not on)


def test_documents_of_a_stream_do_not_touch() -> None:
    walk = ON.walk()
    assert not walk.comment((), "on", 0)
    assert walk.value(("a",), 0)
    assert not walk.comment((), "on", 0)
    assert not walk.value(("b",), 1)


def _document(*leaves: Leaf, containers: tuple[Container, ...] = ()) -> Document:
    return Document(Format.YAML, b"", leaves, containers=containers)


def _leaf(place: int, path: TreePath, plain: bytes = b"v", kind: LeafKind = LeafKind.STRING) -> Leaf:
    return Leaf(path, kind, Span(place, place + 1), plain, plain)


def test_empty_mappings_end_comments_too() -> None:
    leaves = (_leaf(0, (), b"on", LeafKind.COMMENT), _leaf(20, ("b",)))
    empty = Container(("a",), "map", Span(10, 12), empty=True)
    assert ON.choose(_document(*leaves)) == (False, True)
    assert ON.choose(_document(*leaves, containers=(empty,))) == (False, False)


def test_a_stored_comment_in_a_list_is_a_comment() -> None:
    sealed = b"ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:comment]"
    leaves = (
        _leaf(0, ("l",), b"on", LeafKind.COMMENT),
        _leaf(1, ("l", 0), sealed),
        _leaf(2, ("l", 1)),
        _leaf(3, ("l", 2)),
    )
    assert ON.choose(_document(*leaves)) == (False, True, True, False)
    # In a mapping the same text is a value.
    assert ON.choose(_document(leaves[0], _leaf(1, ("a",), sealed), _leaf(2, ("b",)))) == (
        False,
        False,
        False,
    )


def test_values_given_instead_of_the_stored_ones() -> None:
    leaves = (_leaf(0, (), b"ENC[x]", LeafKind.COMMENT), _leaf(1, ("a",)))
    assert ON.choose(_document(*leaves)) == (False, False)
    assert ON.choose(_document(*leaves), {0: (LeafKind.COMMENT, b"on")}) == (False, True)


def test_many_comments_take_linear_time(within: Any) -> None:
    count = 50_000
    comments = [_leaf(n, (), b"note %d" % n, LeafKind.COMMENT) for n in range(count)]
    values = [_leaf(count + n, ("m", f"k{n}")) for n in range(count)]
    with within(2.0):
        assert not any(ON.choose(_document(*comments, *values)))


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case["name"])
def test_vectors_are_sealed_where_the_rule_says(case: dict[str, Any]) -> None:
    file = read(case)
    if not file.selection.of_comments:
        values = [item for item in file.items if item.text]
        assert [item.sealed for item in values] == [
            file.selection.encrypts(item.path) and item.value[0] is not LeafKind.NULL for item in values
        ]


# Against the real sops: a document of our own making, and what it encrypts in it.


class Maker:
    """Writes a random block-style document, and the walk through it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.steps: list[Any] = []
        self.count = 0

    def mapping(self, path: TreePath, indent: int) -> None:
        for _ in range(self.random.randint(1, 4)):
            self.comments(path, indent)
            self.count += 1
            key = f"k{self.count}{self.random.choice(['', '', '_s', 'pw'])}"
            self.entry((*path, key), f"{' ' * indent}{key}:", indent)

    def listing(self, path: TreePath, indent: int) -> None:
        for place in range(self.random.randint(1, 4)):
            self.comments(path, indent)
            self.entry((*path, place), f"{' ' * indent}-", indent, scalar=True)

    def entry(self, path: TreePath, start: str, indent: int, *, scalar: bool = False) -> None:
        kind = (
            "scalar"
            if scalar or len(path) > 4
            else self.random.choice(["scalar", "scalar", "map", "list", "{}"])
        )
        if kind == "map":
            self.lines.append(start)
            self.mapping(path, indent + 4)
        elif kind == "list":
            self.lines.append(start)
            self.listing(path, indent + 4)
        elif kind == "{}":
            self.lines.append(f"{start} {{}}")
            self.steps.append((path, None))
        else:
            self.lines.append(f"{start} v{self.count}")
            self.steps.append((path, "value"))

    def comments(self, path: TreePath, indent: int) -> None:
        for _ in range(self.random.choice([0, 0, 0, 1, 1, 2])):
            text = self.random.choice(["note", "mark", "other"])
            self.lines.append(f"{' ' * indent}#{text}")
            self.steps.append((path, text))

    def chosen(self, rule: Selection) -> list[bool]:
        """What the rule says of the values, in order."""
        walk = rule.walk()
        found = []
        for path, text in self.steps:
            if text in ("value", None):
                encrypted = walk.value(path)
                if text:
                    found.append(encrypted)
            else:
                walk.comment(path, text)
        return found


def _sealed_values(text: str) -> list[bool]:
    found = []
    for line in text.partition("\nsops:\n")[0].splitlines():
        value = line.strip().partition("- ")[2] if line.strip().startswith("- ") else line.partition(": ")[2]
        if (
            not line.strip().startswith("#")
            and value not in ("", "{}")
            and not value.endswith("type:comment]")
        ):
            found.append(value.startswith("ENC["))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encrypted_comment_regex", "mark"),
        ("unencrypted_comment_regex", "^mark$"),
        ("unencrypted_suffix", "_s"),
        ("encrypted_suffix", "pw"),
        ("encrypted_regex", "^k[0-9]*1(pw)?"),
        ("unencrypted_regex", "3$|4_s"),
    ],
)
def test_the_real_sops_encrypts_the_same_values(
    name: str, value: str, seed: int, peer: Callable[[str], str], tmp_path: Path
) -> None:
    maker = Maker(seed)
    while maker.count < 60:
        maker.mapping((), 0)
    plain = tmp_path / "plain.yaml"
    plain.write_text("\n".join(maker.lines) + "\n")
    option = "--" + name.replace("_", "-")
    done = subprocess.run(
        [peer("sops"), "--disable-version-check", "-e", "--age", RECIPIENT, option, value, str(plain)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    expected = _sealed_values(done.stdout)
    assert len(set(expected)) == 2
    assert maker.chosen(Selection(name, value)) == expected
