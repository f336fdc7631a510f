"""A sops document made from clear text, whose formatting it keeps.

Source: sops, cmd/sops/encrypt.go; stores/stores.go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.metadata import Metadata, to_mapping
from secretsmith.documents.node import Map, Scalar, Value, document_trees
from secretsmith.documents.selection import DEFAULT
from secretsmith.documents.sopsfile import SopsFile
from secretsmith.documents.sopskey import Groups, Recovered, new_data_key, seal_groups
from secretsmith.documents.sopswrite import (
    Clock,
    checked,
    metadata_edits,
    needs_sealing,
    require_same_leaves,
    seal,
    sealed_edit,
    stamped,
)
from secretsmith.documents.tree import Document, Leaf, LeafKind, Span
from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.interaction import Interaction

VERSION: Final = "3.11.0"
"""The version of sops whose metadata is written."""

_UNDATED: Final = "1970-01-01T00:00:00Z"


def new_document(
    format: Format,  # noqa: A002  # the word for it everywhere else
    clear: bytes,
    groups: Groups,
    *,
    threshold: int | None = None,
    selection: tuple[str, str] | None = None,
    mac_only_encrypted: bool = False,
    clock: Clock = time.time,
    interaction: Interaction | None = None,
) -> bytes:
    """Encrypt clear text to ``groups`` of recipients.

    ``selection`` and ``mac_only_encrypted`` mean nothing for binary documents, which are one value.

    Raises:
        RefusedInput: what reading raises; YAML_SHAPE for text that has a sops block; RULES; RECIPIENT_MISSING,
            USAGE, KEY codes.
        Conflict: CONFLICT.
    """
    document = read_clear(format, clear)
    binary = format is Format.BINARY
    if selection is None and not binary:
        selection = (DEFAULT.name, DEFAULT.value)
    made, needed = seal_groups(key := new_data_key(), groups, threshold, interaction)
    metadata = Metadata(
        made,
        lastmodified=_UNDATED,
        mac="",
        shamir_threshold=needed,
        selection=None if binary else selection,
        mac_only_encrypted=mac_only_encrypted and not binary,
        version=VERSION,
    )
    file = SopsFile(format, document, metadata)
    values = clear_values(document)
    metadata = stamped(file, values, key, clock)
    sealed = seal_all(file, key)
    if binary:
        stored = sealed.get(0, b"")
        out = file.codec.build(Map([("data", Scalar(LeafKind.STRING, stored))]), to_mapping(metadata))
    else:
        edits = [sealed_edit(file, index, text) for index, text in sealed.items()]
        out = document.splice([*edits, *metadata_edits(file, metadata)])
    return checked(format, out, Recovered(key), values)


def read_clear(format: Format, clear: bytes) -> Document:  # noqa: A002
    """Read clear text, anchors and aliases expanded.

    Raises:
        RefusedInput: YAML_SHAPE for a top-level ``sops``; what the codec raises.
        Conflict: CONFLICT.
    """
    if format is Format.BINARY:
        whole = Span(0, len(clear))
        return Document(format, clear, (Leaf(("data",), LeafKind.STRING, whole, clear, clear),))
    codec = codec_of(format)
    document = codec.read(clear)
    if document.metadata or any(span.start < span.end for span in document.metadata_spans):
        raise RefusedInput(
            Code.YAML_SHAPE,
            "the text has a top-level entry 'sops', which sops keeps for itself: it is encrypted already",
            hints=(
                "to change an encrypted document: secretsmith edit FILE; else give the entry another name",
            ),
        )
    if document.aliased:
        built = codec.read(codec.build(document_trees(document), None))
        require_same_leaves(document, built)
        return built
    return document


def clear_values(document: Document) -> tuple[Value, ...]:
    """Give what the leaves of a clear document hold."""
    return tuple((leaf.kind, leaf.plain) for leaf in document.leaves)


def seal_all(file: SopsFile, key: Sensitive, kept: Mapping[int, bytes] | None = None) -> dict[int, bytes]:
    """Give the sealed text of each leaf of a clear document that its rule encrypts; ``kept`` have one already.

    Raises:
        RefusedInput: RULES for a rule that matches sealed comments.
    """
    sealed: dict[int, bytes] = {}
    for index, value in enumerate(clear_values(file.document)):
        if not file.encrypted[index] or not needs_sealing(value):
            continue
        text = (kept or {}).get(index) or seal(file.document.leaves[index], value, key)
        if value[0] is LeafKind.COMMENT:
            file.selection.require_hidden(text.decode("ascii"))
        sealed[index] = text
    return sealed


__all__ = ["VERSION", "clear_values", "new_document", "read_clear", "seal_all"]
