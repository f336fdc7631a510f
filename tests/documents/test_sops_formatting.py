"""What a hand-formatted YAML document looks like after a change: as before, outside of the change."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sopstrees import data_of
from sopsvectors import KEYS, opener, read, recipient

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.givenvalue import given_json
from secretsmith.documents.node import Comment, List, Map, Node, document_trees
from secretsmith.documents.sopsedit import replace_plaintext, set_value, unset_value
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import OpenDocument, open_document
from secretsmith.documents.sopsplain import plaintext, trees
from secretsmith.documents.sopsrewrap import rewrap, rotate
from secretsmith.documents.tree import TreePath

A, B = recipient("a.txt"), recipient("b.txt")
SEALED = re.compile(rb"ENC\[AES256_GCM,[^\]]*\]")

HAND = b"""\
# secrets of the shop, rotate quarterly
---

# --- database ---
database:   # inline, behind a key
  user:   shop          # inline, behind a value
  password: "hunter2"   # quoted


  # before the hosts
  hosts:
    - db1.example.org     # first
    # between two
    - 'db2.example.org'
    -   port: 5432
        tls:  yes
  # the last of the database

'quoted key': 0x1F
plain_unencrypted: value in clear   # stays
list: [one, "two", 3]
empty: {}
nothing:
text: |
  first line

    indented
  last line
folded: >-
  words that
  go on

# the end
last: 1.50
# really the end
"""


def clock() -> float:
    return 1_800_000_000.0


def sealed(clear: bytes = HAND) -> bytes:
    return new_document(Format.YAML, clear, [[A]], clock=clock)


def opened(source: bytes) -> OpenDocument:
    return open_document(Format.YAML, source, opener("a.txt", "b.txt"))


def texts(node: Node) -> list[bytes]:
    if isinstance(node, Map):
        inner = [[each.text] if isinstance(each, Comment) else texts(each[1]) for each in node.entries]
    elif isinstance(node, List):
        inner = [[each.text] if isinstance(each, Comment) else texts(each) for each in node.items]
    else:
        inner = []
    return [text for each in inner for text in each]


def comments(clear: bytes) -> list[bytes]:
    return sorted(text for node in document_trees(codec_of(Format.YAML).read(clear)) for text in texts(node))


def data(clear: bytes) -> list[object]:
    return [data_of(node) for node in document_trees(codec_of(Format.YAML).read(clear))]


def changed(before: bytes, after: bytes) -> list[str]:
    """Give the lines that went and came."""
    old, new = before.decode().split("\n"), after.decode().split("\n")
    return [line for line in difflib.ndiff(old, new) if line[:1] in "+-"]


def test_a_hand_formatted_document_comes_back() -> None:
    source = sealed()
    clear = plaintext(opened(source))
    assert data(clear) == data(HAND)
    assert comments(clear) == comments(HAND)
    # All but how a value is quoted that had to be sealed stays as it was.
    for line in (b"# secrets of the shop, rotate quarterly\n---\n\n", b"  user:   shop          # inline, behind a value\n",
                 b"\n\n\n  # before the hosts\n", b"    -   port: ", b"\n'quoted key': ", b"\n# the end\nlast: "):  # fmt: skip
        assert line in clear
    for secret in (b"hunter2", b"db1.", b"shop ", b"rotate", b"first line", b"words", b"5432", b"inline"):
        assert secret not in source
    assert b"plain_unencrypted: value in clear   #ENC" in source


def test_line_ends_of_windows_stay() -> None:
    clear = HAND.replace(b"\n", b"\r\n")
    source = sealed(clear)
    assert b"\n" not in source.replace(b"\r\n", b"")
    assert data(plaintext(opened(source))) == data(clear)
    result = set_value(opened(source), ("database", "user"), given_json(b'"other"'), clock)
    assert b"\n" not in result.replace(b"\r\n", b"")
    assert len(changed(source, result)) == 2 * 3 - 2 or len(changed(source, result)) == 2 * 2


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        (("database", "user"), b'"other"', 2),
        (("database", "password"), b'"new\\nline"', 2),
        (("database", "hosts", 1), b'"db9"', 2),
        (("database", "hosts", 2, "port"), b"1", 2),
        (("quoted key",), b"true", 2),
        (("plain_unencrypted",), b'"clear too"', 2),
        (("list", 1), b'"deux"', 2),
        (("nothing",), b'"something"', 2),
        (("last",), b"null", 2),
        (("text",), b'"one line"', 2),
        (("database", "new"), b'"added"', 1),
        (("new",), b'{"a": {"b": [1, {"c": 2}]}}', 6),
        (("database", "hosts", 9), b'"db9"', 1),
        (("empty", "first"), b'"x"', 3),
        (("database", "user"), b'{"a": 1, "b": [2]}', 6),
        (("database", "hosts"), b'"none"', 12),
        (("database", "hosts", 2), b'["x", "y"]', 6),
        (("list",), b'{"a": "b"}', 4),
    ],
)
def test_setting_a_value_changes_its_lines(path: TreePath, value: bytes, lines: int) -> None:
    source = sealed()
    result = set_value(opened(source), path, given_json(value), lambda: clock() + 1)
    difference = [
        line for line in changed(source, result) if not re.match(r"[-+] +(mac|lastmodified): ", line)
    ]
    assert len(difference) <= lines, difference
    expected, node = document_trees(codec_of(Format.YAML).read(HAND))[0], given_json(value)
    assert data_of(trees(opened(result))[0]) == updated(data_of(expected), path, data_of(node))


def updated(tree: object, path: TreePath, value: object) -> object:
    step, rest = path[0], path[1:]
    if isinstance(tree, list):
        assert isinstance(step, int)
        inner = updated(tree[step], rest, value) if rest else value
        return [*tree[:step], inner, *tree[step + 1 :]]
    found = dict(tree) if isinstance(tree, dict) else {}
    found[step] = updated(found.get(step), rest, value) if rest else value
    return found


@pytest.mark.parametrize(
    "path",
    [("database",), ("database", "user"), ("database", "hosts"), ("database", "hosts", 0), ("database", "hosts", 2),
     ("database", "hosts", 2, "port"), ("list", 0), ("text",), ("last",), ("empty",), ("nothing",)],
)  # fmt: skip
def test_unsetting_takes_its_lines(path: TreePath) -> None:
    source = sealed()
    result = unset_value(opened(source), path, clock)
    # Something is written only where the next key has to move behind a dash, or in brackets.
    written = [line for line in changed(source, result) if line.startswith("+") and "mac: ENC" not in line]
    assert len(written) == (path in (("database", "hosts", 2, "port"), ("list", 0)))
    expected = data(HAND)[0]
    node: object = expected
    for step in path[:-1]:
        node = node[step]  # type: ignore[index]
    del node[path[-1]]  # type: ignore[attr-defined]
    assert data_of(trees(opened(result))[0]) == expected


def test_an_edit_of_one_line_in_the_editor_changes_one_line() -> None:
    source = sealed()
    clear = plaintext(opened(source))
    result = replace_plaintext(opened(source), clear.replace(b"db1.example.org", b"db7.example.org"), clock)
    difference = changed(source, result)
    assert len(difference) == 4, difference  # the value and the MAC
    assert plaintext(opened(result)) == clear.replace(b"db1.example.org", b"db7.example.org")


def test_an_edit_of_comments_changes_comments() -> None:
    source = sealed()
    clear = plaintext(opened(source)).replace(b"# between two", b"# between us").replace(b"# the end\n", b"")
    result = replace_plaintext(opened(source), clear, clock)
    assert plaintext(opened(result)) == clear
    assert len(changed(source, result)) == 2 + 1 + 2


def test_new_readers_and_new_keys_keep_the_text() -> None:
    source = sealed()
    document = opened(source)
    more = rewrap(document.file, document.recovered, [[A, B]])
    assert not [line for line in changed(source, more) if line.startswith("-")]
    fewer = rewrap(opened(more).file, document.recovered, [[B]], clock=clock)
    for result in (fewer, rotate(document)):
        before, after = source[: source.index(b"\nsops:")], result[: result.index(b"\nsops:")]
        assert SEALED.sub(b"", before) == SEALED.sub(b"", after)
        assert plaintext(opened(result)) == plaintext(document)


def test_a_block_at_the_top_stays_there() -> None:
    source = read("enc/sops_block_first_ok.yaml")
    document = opened(source)
    clear = plaintext(document)
    first = clear.index(b":") + 2
    result = replace_plaintext(document, clear[:first] + b"x" + clear[first:], clock)
    assert result.startswith(b"sops:")
    assert len(changed(source, result)) == 6


def test_comments_that_sops_made_items_of() -> None:
    source = read("enc/yaml_comments.yaml")
    document = opened(source)
    clear = plaintext(document)
    assert comments(clear) == comments(read("expected/yaml_comments.out"))
    assert b"- ENC" not in clear
    # An edit elsewhere leaves them as sops wrote them.
    result = replace_plaintext(document, clear.replace(b"z: end", b"z: END"), clock)
    assert len(changed(source, result)) == 6
    # They do not count as items.
    for place, value in enumerate(("alpha", "beta")):
        assert open_one_text(document, ("list", place)) == value
    second = set_value(document, ("list", 1), given_json(b'"gamma"'), clock)
    assert open_one_text(opened(second), ("list", 1)) == "gamma"
    assert len(changed(source, second)) == 6


def open_one_text(document: OpenDocument, path: TreePath) -> str:
    return document.values[document.file.by_name[path]][1].decode()


def test_anchors_are_expanded_as_by_sops() -> None:
    clear = read("plain/yaml_anchors.yaml")
    source = sealed(clear)
    assert data_of(trees(opened(source))[0]) == data(read("expected/yaml_anchors.out"))[0]


class Sops:
    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._environ = {
            "PATH": os.environ["PATH"],
            "SOPS_AGE_KEY_FILE": str(KEYS / "a.txt"),
            "HOME": str(folder),
        }

    def __call__(self, source: bytes, *words: str, **environ: str) -> bytes:
        file = self._folder / "document.yaml"
        file.write_bytes(source)
        command = [self._program, *(str(file) if word == "FILE" else word for word in words)]
        subprocess.run(command, env=self._environ | environ, check=True, capture_output=True)
        return file.read_bytes()

    def shown(self, source: bytes) -> bytes:
        file = self._folder / "document.yaml"
        file.write_bytes(source)
        return subprocess.run(
            [self._program, "-d", file], env=self._environ, check=True, capture_output=True
        ).stdout


def test_a_comment_that_sops_moves_still_opens(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """sops writes a comment behind a list where it reads it as part of the last item, and cannot open it there."""
    sops = Sops(peer("sops"), tmp_path)
    lost = sops(sealed(), "set", "FILE", '["last"]', "7")
    assert b"the last of the database" not in sops.shown(lost)
    document = opened(lost)
    assert comments(plaintext(document)) == comments(HAND)
    assert ["rotate" in warning for warning in document.warnings] == [True]
    healed = rotate(document)
    assert not opened(healed).warnings
    assert b"the last of the database" in sops.shown(healed)


def test_twenty_edits_by_turns(tmp_path: Path, peer: Callable[[str], str]) -> None:
    """secretsmith and the real sops change one document by turns; ours leave all but the change alone."""
    sops = Sops(peer("sops"), tmp_path)
    # Without the one comment that sops itself would lose, as the test before this shows.
    clear = HAND.replace(b"  # the last of the database\n", b"")
    source = sealed(clear)
    assert data(sops.shown(source)) == data(clear)
    expected = data(clear)[0]
    assert isinstance(expected, dict)
    sentinel = comments(clear)
    for turn in range(10):
        before = source
        clear = plaintext(opened(before))
        if turn % 3 == 0:
            source = set_value(opened(before), ("database", "user"), given_json(b'"ours%d"' % turn), clock)
        elif turn % 3 == 1:
            edited = re.sub(rb"(user: +)\S+", rb"\g<1>ours%d" % turn, clear)
            source = replace_plaintext(opened(before), edited, clock)
        else:
            source = rotate(set_document(before, b'"ours%d"' % turn), clock=clock)
        expected["database"]["user"] = f"ours{turn}"
        after = plaintext(opened(source))
        assert data(after)[0] == expected
        assert len(changed(clear, after)) <= 2
        assert comments(after) == sentinel
        if turn % 3 != 2:
            assert len(changed(before, source)) <= 6

        words = (("set", "FILE", '["last"]', str(turn)), ("rotate", "-i", "FILE"), ("edit", "FILE"))[turn % 3]
        source = sops(source, *words, EDITOR=f"sed -i s/^last:.*/last:\\ {turn}/")
        if turn % 3 != 1:
            expected["last"] = turn
        assert data(plaintext(opened(source)))[0] == expected
        assert sorted(comments(plaintext(opened(source)))) == sentinel


def set_document(source: bytes, value: bytes) -> OpenDocument:
    return opened(set_value(opened(source), ("database", "user"), given_json(value), clock))


STREAM = b"""\
# first
a: one
list:
  - x
---
a: two # inline
b: 1
...
---
c: {d: [e]}
"""


def test_every_document_of_a_stream_is_kept() -> None:
    source = sealed(STREAM)
    document = opened(source)
    assert data(plaintext(document)) == data(STREAM)
    assert source.count(b"\nsops:") == 3
    blocks = [document.document.source[span.start : span.end] for span in document.document.metadata_spans]
    assert len(set(blocks)) == 1
    for result, expected in (
        (set_value(document, ("a",), given_json(b'"new"'), clock), STREAM.replace(b"one", b"new")),
        (unset_value(document, ("list",), clock), STREAM.replace(b"list:\n  - x\n", b"")),
        (replace_plaintext(document, plaintext(document).replace(b"two", b"new"), clock), STREAM.replace(b"two", b"new")),
        (rotate(document), STREAM),
        (rewrap(document.file, document.recovered, [[A, B]]), STREAM),
    ):  # fmt: skip
        assert data(plaintext(opened(result))) == data(expected)
        again = opened(result).document
        assert len({again.source[span.start : span.end] for span in again.metadata_spans}) == 1
        assert comments(plaintext(opened(result))) == comments(expected)


@pytest.mark.parametrize(
    ("clear", "shared"),
    [
        (b"s: secret\na_unencrypted: [v, w]\nb_unencrypted: [v, w]\n", b"s: %s\na_unencrypted: &x [v, w]\nb_unencrypted: *x\n"),
        (b'{"s": "secret", "a_unencrypted": 1}\n', b'{"s": "%s", "a_unencrypted": 1, %s}\n'),
    ],
    ids=["anchors", "brackets"],
)  # fmt: skip
def test_documents_that_must_be_made_anew_can_be_changed(clear: bytes, shared: bytes) -> None:
    source = sealed(clear)
    (text,) = SEALED.findall(source)[:1]
    if shared.startswith(b"{"):
        metadata = new_document(Format.JSON, clear, [[A]], clock=clock)
        source = metadata  # JSON is YAML, in brackets from its first character
    else:
        source = shared % text + source[source.index(b"sops:") :]
    document = opened(source)
    assert document.document.aliased
    before = data(clear)[0]
    assert isinstance(before, dict)
    assert data(plaintext(document)) == [before]
    assert data_of(trees(opened(rotate(document)))[0]) == before
    changed_one = set_value(document, ("s",), given_json(b'"other"'), clock)
    assert data_of(trees(opened(changed_one))[0]) == before | {"s": "other"}
    added = set_value(document, ("new", "x"), given_json(b"1"), clock)
    assert data_of(trees(opened(added))[0]) == before | {"new": {"x": 1}}
    gone = unset_value(document, ("s",), clock)
    assert data_of(trees(opened(gone))[0]) == {key: value for key, value in before.items() if key != "s"}
    edited = replace_plaintext(document, b"s: edited\nt: 1\n", clock)
    assert data_of(trees(opened(edited))[0]) == {"s": "edited", "t": 1}
    more = rewrap(document.file, document.recovered, [[A, B]])
    assert opened(more).values == document.values


def test_a_list_of_nothing_but_comments_stays_a_list(tmp_path: Path, peer: Callable[[str], str]) -> None:
    sops = Sops(peer("sops"), tmp_path)
    theirs = sops(b"a:\n    b:\n        # only\n        - x\n    c: 1\n", "-e", "-i", "--age", A, "FILE")
    theirs = sops(theirs, "unset", "FILE", '["a"]["b"][1]')
    document = opened(theirs)
    assert data_of(trees(document)[0]) == {"a": {"b": [], "c": 1}}
    clear = plaintext(document)
    assert data(clear) == [{"a": {"b": [], "c": 1}}]
    assert comments(clear) == [b" only"]


def test_readers_are_added_without_the_full_reader_of_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    from secretsmith.documents import yamlfull

    monkeypatch.setattr(yamlfull, "read_full", lambda *_, **__: pytest.fail("ruamel was used"))
    for name in ("yaml_scalars", "yaml_comments", "yaml_multidoc", "yaml_blocks"):
        document = opened(read(f"enc/{name}.yaml"))
        result = rewrap(document.file, document.recovered, [[A, B]])
        assert SEALED.findall(result) == SEALED.findall(document.document.source)
        assert opened(result).values == document.values


def test_a_comment_beside_a_change_is_sealed_for_where_it_belongs_now(
    tmp_path: Path, peer: Callable[[str], str]
) -> None:
    """To sops a comment belongs to what is before and behind it; a new key behind it may change that."""
    sops = Sops(peer("sops"), tmp_path)
    source = sealed(b"b:\n    c:\n        e: 1\n    # of c, to sops\nd: 2\n")
    result = set_value(opened(source), ("b", "f"), given_json(b'"x"'), clock)
    assert not opened(result).warnings
    assert len(SEALED.findall(source)) + 1 == len(SEALED.findall(result))
    for shown in (plaintext(opened(result)), sops.shown(result)):
        assert comments(shown) == [b" of c, to sops"]
        assert data(shown) == [{"b": {"c": {"e": 1}, "f": "x"}, "d": 2}]
