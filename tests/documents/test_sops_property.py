"""Random documents between secretsmith and the real sops: equal in value and type, whoever wrote them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sopsrandom import Trees, joined
from sopstrees import comments_of
from sopsvectors import KEYS, opener, recipient

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.node import Comment, List, Map, Node, Scalar, document_tree
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import OpenDocument, open_document
from secretsmith.documents.sopsplain import plaintext, trees
from secretsmith.documents.sopsrewrap import rotate
from secretsmith.documents.tree import LeafKind

SUFFIX = {Format.YAML: "yaml", Format.JSON: "json", Format.DOTENV: "env", Format.INI: "ini"}
A_BATCH = 50
ORDINARY = 4
ALL = 20
RULES: list[tuple[str, str] | None] = [
    None,
    ("encrypted_regex", "^(port|key1|K1)$"),
    ("unencrypted_suffix", "e"),
]

BATCHES = [
    pytest.param(kind, seed, id=f"{kind}-{seed}", marks=[] if seed < ORDINARY else [pytest.mark.slow])
    for kind in SUFFIX
    for seed in range(ALL)
]


def shape(node: Node, kind: Format, *, exact: bool = True) -> object:
    """Give a tree as plain data with kinds. JSON's numbers are floats for sops 3.11, as are both where text was between."""
    if isinstance(node, Scalar):
        number = node.kind is LeafKind.INTEGER and (kind is Format.JSON or not exact)
        return (LeafKind.FLOAT if number else node.kind).value, node.plain
    if isinstance(node, Map):
        return [
            (entry[0], shape(entry[1], kind, exact=exact))
            for entry in node.entries
            # The section of what stands before the first one is there even when nothing does.
            if not isinstance(entry, Comment) and entry != ("DEFAULT", Map())
        ]
    assert isinstance(node, List)
    return [shape(item, kind, exact=exact) for item in node.items if not isinstance(item, Comment)]


def differing(left: Node, right: Node, kind: Format, *, exact: bool = True) -> list[object]:
    """Give the trees that differ between two documents, so that a failure shows little."""
    ours, theirs = shape(left, kind, exact=exact), shape(right, kind, exact=exact)
    assert isinstance(ours, list)
    assert isinstance(theirs, list)
    assert len(ours) == len(theirs)
    return [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]


class Sops:
    """The real one, with the keys of the vectors."""

    def __init__(self, program: str, folder: Path, kind: Format) -> None:
        self._program = program
        self._folder = folder
        self._file = folder / f"document.{SUFFIX[kind]}"

    def run(self, source: bytes, *arguments: str) -> bytes:
        self._file.write_bytes(source)
        done = subprocess.run(
            [self._program, *arguments, self._file],
            capture_output=True,
            env={"SOPS_AGE_KEY_FILE": str(KEYS / "a.txt"), "HOME": str(self._folder)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout if "-i" not in arguments else self._file.read_bytes()


def ours(kind: Format, source: bytes) -> OpenDocument:
    return open_document(kind, source, opener("a.txt"))


@pytest.mark.parametrize(("kind", "seed"), BATCHES)
def test_there_and_back(kind: Format, seed: int, tmp_path: Path, peer: Callable[[str], str]) -> None:
    sops = Sops(peer("sops"), tmp_path, kind)
    # Under another rule sops would write ini values in clear, of which it damages many.
    rule = None if kind is Format.INI else RULES[seed % len(RULES)]
    made = Trees(kind, seed, in_clear=rule is not None or kind is Format.INI).make(A_BATCH)
    whole = joined(kind, made)
    clear = codec_of(kind).build(whole, None)
    assert not differing(whole, document_tree(codec_of(kind).read(clear)), kind, exact=False)

    # secretsmith → sops → secretsmith: sops opens all of it and writes all of it anew.
    sealed = new_document(
        kind, clear, [[recipient("a.txt")]], selection=rule, mac_only_encrypted=seed % 2 == 1
    )
    first = ours(kind, sealed)
    assert not differing(whole, trees(first)[0], kind, exact=False)
    assert not first.warnings
    assert comments_of(trees(first)[0]) == comments_of(document_tree(codec_of(kind).read(clear)))
    by_sops = sops.run(sealed, "rotate", "-i")
    assert not differing(trees(first)[0], trees(ours(kind, by_sops))[0], kind)

    # sops → secretsmith → sops
    flags = [f"--{rule[0].replace('_', '-')}", rule[1]] if rule else []
    theirs = sops.run(clear, "-e", "--age", recipient("a.txt"), *flags)
    document = ours(kind, theirs)
    assert not differing(trees(first)[0], trees(document)[0], kind)
    assert not document.warnings
    again = document_tree(codec_of(kind).read(plaintext(document)))
    assert not differing(whole, again, kind, exact=False)
    rotated = rotate(document)
    assert sops.run(rotated, "-d") == sops.run(theirs, "-d")
