"""The age file as a document: one leaf, which is the whole file."""

from __future__ import annotations

from secretsmith.documents.format import Format
from secretsmith.documents.tree import Document, Leaf, LeafKind, Span


def read_age_document(data: bytes) -> Document:
    """Give the document of an age file. The bytes are not looked at; that is the business of crypto."""
    return Document(Format.AGE, data, (Leaf((), LeafKind.BYTES, Span(0, len(data)), data),))


__all__ = ["read_age_document"]
