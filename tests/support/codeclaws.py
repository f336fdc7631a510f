"""What holds for the codec of every format, checked on one document."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sopsvectors import key_file, recipient

from secretsmith.documents.codec import Codec
from secretsmith.documents.node import Node, document_tree
from secretsmith.documents.tree import Document, Edit, Leaf, LeafKind, TreePath
from secretsmith.errors import Code, SecretsmithError

SEALED = b"ENC[AES256_GCM,data:9A==,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]"
METADATA = {
    "age": [{"recipient": "age1x", "enc": "-----BEGIN-----\nAA\n-----END-----\n"}],
    "lastmodified": "2026-01-01T00:00:00Z",
    "mac": "ENC[x]",
    "version": "3.11.0",
}


def shape(document: Document) -> list[tuple[TreePath, LeafKind, bytes, bytes]]:
    """What the leaves of a document are, wherever they stand."""
    return [(leaf.path, leaf.kind, leaf.raw, leaf.plain) for leaf in document.leaves]


def rewritten(codec: Codec, document: Document, leaf: Leaf, plain: bytes) -> Edit:
    """The edit that gives one leaf another value of its kind."""
    if leaf.kind is LeafKind.COMMENT:
        return Edit(leaf.span, codec.comment(document, leaf, plain))
    return Edit(leaf.span, codec.scalar(document, leaf, leaf.kind, plain))


def check_spans(codec: Codec, source: bytes) -> Document:
    """Leaves are where they say, in no overlap, and writing back what is there changes nothing."""
    document = codec.read(source)
    for leaf in document.leaves:
        assert source[leaf.span.start : leaf.span.end] == leaf.raw
    edits = [rewritten(codec, document, leaf, leaf.plain) for leaf in document.leaves]
    assert document.splice(edits) == source
    return document


def check_seal_and_back(codec: Codec, source: bytes) -> None:
    """Every value can become a sealed text and its old value again; paths and order stay."""
    document = codec.read(source)
    leaves = [leaf for leaf in document.leaves if leaf.plain]
    sealed = codec.read(
        document.splice(
            Edit(leaf.span, codec.comment(document, leaf, SEALED))
            if leaf.kind is LeafKind.COMMENT
            else Edit(leaf.span, codec.scalar(document, leaf, LeafKind.STRING, SEALED))
            for leaf in leaves
        )
    )
    assert [leaf.path for leaf in sealed.leaves] == [leaf.path for leaf in document.leaves]
    assert all(new.plain == (SEALED if old.plain else b"") for old, new in pairs(document, sealed))
    back = codec.read(
        sealed.splice(
            Edit(new.span, codec.comment(sealed, new, old.plain))
            if new.kind is LeafKind.COMMENT
            else Edit(new.span, codec.scalar(sealed, new, old.kind, old.plain))
            for old, new in pairs(document, sealed)
        )
    )
    assert [(leaf.path, leaf.plain) for leaf in back.leaves] == [
        (leaf.path, leaf.plain) for leaf in document.leaves
    ]


def pairs(left: Document, right: Document) -> Iterator[tuple[Leaf, Leaf]]:
    """The leaves of two documents side by side."""
    return zip(left.leaves, right.leaves, strict=True)


def check_insert_and_remove(codec: Codec, source: bytes, path: TreePath, value: Node) -> None:
    """What is inserted is found, alone; taking it away gives the old bytes."""
    document = codec.read(source)
    changed = document.splice(codec.insert(document, path, value))
    after = codec.read(changed)
    old = {leaf.path: leaf for leaf in document.leaves if leaf.kind is not LeafKind.COMMENT}
    new = {leaf.path: leaf for leaf in after.leaves if leaf.kind is not LeafKind.COMMENT}
    added = {name: leaf for name, leaf in new.items() if name not in old}
    assert added
    assert all(name[: len(path)] == path for name in added)
    assert {name: leaf.raw for name, leaf in new.items() if name in old} == {
        name: leaf.raw for name, leaf in old.items()
    }
    comments = [each for each in shape(document) if each[1] is LeafKind.COMMENT]
    assert [each for each in shape(after) if each[1] is LeafKind.COMMENT] == comments
    assert after.metadata == document.metadata
    assert after.splice(codec.remove(after, path)) == source


def check_metadata(codec: Codec, source: bytes) -> bytes:
    """A block goes in, is found, is replaced by itself, and goes out without a trace; gives the text with it."""
    document = codec.read(source)
    assert not document.metadata
    (place,) = document.metadata_spans
    assert len(place) == 0
    text = document.splice([Edit(place, codec.format_metadata(document, METADATA))])
    filled = codec.read(text)
    assert filled.metadata == METADATA
    assert shape(filled) == shape(document)
    again = [Edit(span, b"") for span in filled.metadata_spans[1:]]
    assert filled.metadata_span is not None
    again.append(Edit(filled.metadata_span, codec.format_metadata(filled, METADATA)))
    assert filled.splice(again) == text
    assert shape(codec.read(filled.splice(Edit(span, b"") for span in filled.metadata_spans))) == shape(
        document
    )
    return text


def tree_of(document: Document) -> Node:
    """The first document as a tree."""
    return document_tree(document)


def check_refused(codec: Codec, source: bytes, code: Code, *, secret: str = "hunter2") -> SecretsmithError:
    """Reading fails with ``code`` in one line that holds no value."""
    with pytest.raises(SecretsmithError) as caught:
        codec.read(source)
    assert caught.value.code is code
    for line in (caught.value.message, *caught.value.hints):
        assert secret not in line
        assert "\n" not in line
    return caught.value


class RealSops:
    """The real sops, with a key of the vectors."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.environment = {
            **os.environ,
            "SOPS_AGE_KEY_FILE": str(key_file("keys/a.txt")),
            "SOPS_DISABLE_VERSION_CHECK": "1",
        }

    def run(self, *arguments: str, data: bytes, name: str) -> bytes:
        """Run sops on a file and give what it prints."""
        path = self.folder / name
        path.write_bytes(data)
        done = subprocess.run(
            [self.program, *arguments, str(path)], env=self.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def encrypt(self, name: str, text: bytes) -> bytes:
        """Encrypt a file as sops does."""
        return self.run("encrypt", "--age", recipient("keys/a.txt"), data=text, name=name)

    def decrypt(self, name: str, data: bytes, *options: str) -> bytes:
        """Decrypt a file as sops does."""
        return self.run("decrypt", *options, data=data, name=name)


__all__ = [
    "METADATA",
    "SEALED",
    "RealSops",
    "check_insert_and_remove",
    "check_metadata",
    "check_refused",
    "check_seal_and_back",
    "check_spans",
    "pairs",
    "rewritten",
    "shape",
    "tree_of",
]
