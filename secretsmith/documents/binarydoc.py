"""Binary documents: any bytes, which sops keeps as the one string ``data`` of a JSON document.

Source: sops, stores/json/store.go (BinaryStore).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secretsmith.documents.format import Format
from secretsmith.documents.jsondoc import JsonCodec
from secretsmith.documents.jsonread import read_json
from secretsmith.documents.node import Comment, Map, Node, Scalar
from secretsmith.documents.sourcetext import MAX_BYTES, too_big
from secretsmith.documents.tree import Container, Document, Edit, Leaf, LeafKind, Span, TreePath
from secretsmith.errors import Code, RefusedInput

DATA_KEY: Final = "data"
_SEALED: Final = b"ENC[AES256_GCM,data:"
# As sops writes it; what is cut off behind it must not be taken for a plaintext.
_SEALED_START = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"data"[ \t\r\n]*+:[ \t\r\n]*+"ENC\[AES256_GCM,')


class BinaryCodec:
    """The codec of binary documents: sealed, they are JSON; in clear, the bytes as they are."""

    def __init__(self) -> None:
        self._json = JsonCodec()

    def read(self, source: bytes) -> Document:
        """Read a sealed document, or take any other bytes as the value ``data``, in clear.

        What seems to be sealed is never taken for a plaintext, however damaged.

        Raises:
            RefusedInput: TOO_BIG; for what is sealed, what :func:`read_json` raises.
            Conflict: CONFLICT.
        """
        if len(source) > MAX_BYTES:
            raise too_big()
        if _SEALED_START.match(source) or (b'"sops"' in source and _SEALED in source):
            return read_json(source, Format.BINARY)
        whole = Span(0, len(source))
        leaf = Leaf((DATA_KEY,), LeafKind.STRING, whole, source, source)
        return Document(
            Format.BINARY, source, (leaf,), containers=(Container((), "map", whole, style="flow"),)
        )

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give a value as it stands in ``document``: JSON in a sealed one, else the bytes.

        Raises:
            RefusedInput: ENCODING for bytes that are no JSON; make the document anew with :meth:`build`.
        """
        return self._json.scalar(document, leaf, kind, plain) if document.metadata_spans else plain

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Refuse: there are no comments. Raises ``RefusedInput`` (UNSUPPORTED)."""
        raise RefusedInput(Code.UNSUPPORTED, "a binary document has no comments")

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Refuse: there is one value. Raises ``RefusedInput`` (YAML_SHAPE)."""
        raise _one_value()

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Refuse: there is one value. Raises ``RefusedInput`` (YAML_SHAPE)."""
        raise _one_value()

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give the metadata block of a sealed document, as in JSON."""
        return self._json.format_metadata(document, metadata)

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a sealed document, or without metadata the bytes of ``data``.

        Raises:
            RefusedInput: YAML_SHAPE when there is no string ``data``, or anything beside it.
        """
        first = root[0] if isinstance(root, Sequence) and root else root
        if metadata is not None:
            _data(first)
            return self._json.build(first, metadata)
        return _data(first)


def _data(root: Node | Sequence[Node]) -> bytes:
    entries = [] if not isinstance(root, Map) else [e for e in root.entries if not isinstance(e, Comment)]
    if len(entries) == 1 and entries[0][0] == DATA_KEY:
        value = entries[0][1]
        if isinstance(value, Scalar) and value.kind in (LeafKind.STRING, LeafKind.BYTES):
            return value.plain
    raise RefusedInput(
        Code.YAML_SHAPE,
        "a binary document is one value, the string 'data'",
        hints=("for keys and values choose another type: --output-type json",),
    )


def _one_value() -> RefusedInput:
    return RefusedInput(Code.YAML_SHAPE, "a binary document is one value and has no keys")


__all__ = ["DATA_KEY", "BinaryCodec"]
