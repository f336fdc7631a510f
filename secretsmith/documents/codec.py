"""What the engine asks of a format, and which module answers. Codecs know text, never keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from secretsmith.documents.format import Format
from secretsmith.documents.node import Node
from secretsmith.documents.tree import Document, Edit, Leaf, LeafKind, TreePath


class Codec(Protocol):
    """Reads and writes one format. All texts are bytes of the file; a stored ``ENC[…]`` is a STRING."""

    def read(self, source: bytes) -> Document:
        """Give the document, with the metadata block if there is one.

        Raises:
            RefusedInput: EMPTY, TOO_BIG, ENCODING, the YAML codes, FORMAT.
            Conflict: CONFLICT for the marks of an unfinished merge.
        """
        ...

    def scalar(self, document: Document, leaf: Leaf | None, kind: LeafKind, plain: bytes) -> bytes:
        """Give the text to put at ``leaf.span`` for this value, in the leaf's style where that can hold it.

        ``leaf`` None: text in no style, for a place where there was nothing.
        """
        ...

    def comment(self, document: Document, leaf: Leaf, text: bytes) -> bytes:
        """Give the text to put at a comment leaf's span for a comment with ``text`` after its mark."""
        ...

    def insert(self, document: Document, path: TreePath, value: Node) -> tuple[Edit, ...]:
        """Add an entry at ``path`` of the first document, and what is missing on the way to it.

        A number at or beyond a list's length appends; a value on the way gives room to a mapping. Everything
        else keeps its bytes. What is at ``path`` already is replaced in YAML, and refused (EXISTS) elsewhere.
        """
        ...

    def remove(self, document: Document, path: TreePath) -> tuple[Edit, ...]:
        """Take away the entry at ``path`` of the first document, with its lines and its inline comment."""
        ...

    def format_metadata(self, document: Document | None, metadata: Mapping[str, Any]) -> bytes:
        """Give the metadata block as it goes to ``document.metadata_spans``, keys in the order given."""
        ...

    def build(self, root: Node | Sequence[Node], metadata: Mapping[str, Any] | None) -> bytes:
        """Give a whole document, made anew; a sequence makes a stream of several (YAML only)."""
        ...


# Each imported when first asked for: a document of one format need not pay for the parsers of the others.


def _yaml() -> Codec:
    from secretsmith.documents.yamldoc import YamlCodec

    return YamlCodec()


def _json() -> Codec:
    from secretsmith.documents.jsondoc import JsonCodec

    return JsonCodec()


def _dotenv() -> Codec:
    from secretsmith.documents.dotenvdoc import DotenvCodec

    return DotenvCodec()


def _ini() -> Codec:
    from secretsmith.documents.inidoc import IniCodec

    return IniCodec()


def _binary() -> Codec:
    from secretsmith.documents.binarydoc import BinaryCodec

    return BinaryCodec()


_CODECS: Mapping[Format, Callable[[], Codec]] = {
    Format.YAML: _yaml,
    Format.JSON: _json,
    Format.DOTENV: _dotenv,
    Format.INI: _ini,
    Format.BINARY: _binary,
}


def codec_of(format: Format) -> Codec:  # noqa: A002  # the word for it everywhere else
    """Give the codec of a sops format. An age file has none: ``KeyError``, a mistake of the caller."""
    return _CODECS[format]()


__all__ = ["Codec", "codec_of"]
