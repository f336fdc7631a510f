"""A sops document that has been read: values still sealed, and everything that needs no key."""

from __future__ import annotations

from functools import cached_property, lru_cache

from secretsmith.documents.codec import Codec, codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.metadata import Metadata, parse_metadata
from secretsmith.documents.naming import is_list_comment, named_paths
from secretsmith.documents.selection import DEFAULT, Selection
from secretsmith.documents.tree import Document, LeafKind, TreePath
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record

SEALED = b"ENC[AES256_GCM,"
"""How a stored value begins that has been encrypted."""

_NEWEST_MAJOR = 3
_REMEMBERED = 256 * 1024


@record(slots=False)
class SopsFile:
    """A document and what its metadata block says."""

    format: Format
    document: Document
    metadata: Metadata

    @cached_property
    def codec(self) -> Codec:
        """The reader and writer of the format."""
        return codec_of(self.format)

    @cached_property
    def selection(self) -> Selection:
        """The rule of the document; sops's default where it has none."""
        return selection_of(self.metadata.selection)

    @cached_property
    def encrypted(self) -> tuple[bool, ...]:
        """For each leaf, whether the document's rule encrypts it."""
        return self.selection.choose(self.document)

    @cached_property
    def named(self) -> tuple[TreePath, ...]:
        """For each leaf, the path that people know."""
        return named_paths(self.document)

    @cached_property
    def by_name(self) -> dict[TreePath, int]:
        """The numbers of the first document's values, by the path that people know."""
        return {
            path: index
            for index, (path, leaf) in enumerate(zip(self.named, self.document.leaves, strict=True))
            if not leaf.document and leaf.kind is not LeafKind.COMMENT and not is_list_comment(leaf)
        }

    def is_sealed(self, index: int) -> bool:
        """Say whether leaf ``index`` should be encrypted, and looks so."""
        return self.encrypted[index] and self.document.leaves[index].plain.startswith(SEALED)


def selection_of(rule: tuple[str, str] | None) -> Selection:
    """Give the rule of a document; without one, sops's default. Raises ``RefusedInput``: RULES."""
    return DEFAULT if rule is None else Selection(*rule)


def read_sops(format: Format, source: bytes) -> SopsFile:  # noqa: A002  # the word for it everywhere else
    """Read a sops document; needs no key.

    Raises:
        RefusedInput: FORMAT without a metadata block, RULES, and what the codec raises.
        Conflict: CONFLICT.
    """
    return _read_once(format, source) if len(source) <= _REMEMBERED else _read(format, source)


# Who has checked a document that was made asks next who reads it: the one read last is not read again. It holds what the file
# holds, and no value in clear.
@lru_cache(maxsize=1)
def _read_once(format: Format, source: bytes) -> SopsFile:  # noqa: A002
    return _read(format, source)


def _read(format: Format, source: bytes) -> SopsFile:  # noqa: A002
    document = codec_of(format).read(source)
    if not document.metadata:
        raise RefusedInput(
            Code.FORMAT,
            "the file is not encrypted: it has no sops block",
            hints=("secretsmith encrypt FILE",),
        )
    metadata = parse_metadata(document.metadata)
    # A rule that cannot be understood is refused at once: without it nobody knows what is sealed.
    selection_of(metadata.selection)
    return SopsFile(format, document, metadata)


def require_writable(file: SopsFile) -> None:
    """Refuse to change what a later sops wrote: its metadata may say more than is understood here.

    Raises:
        RefusedInput: VERSION.
    """
    major = file.metadata.version.partition(".")[0]
    if major and not (major.isascii() and major.isdigit() and int(major[:9]) <= _NEWEST_MAJOR):
        raise RefusedInput(
            Code.VERSION,
            "the document was written by a later version of sops, and is only read",
            hints=("change it with that version of sops",),
        )


__all__ = ["SEALED", "SopsFile", "read_sops", "require_writable", "selection_of"]
