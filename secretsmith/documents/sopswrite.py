"""What every change of a sops document ends with: values sealed, the MAC and the time renewed, read back.

Source: sops, sops.go (Tree.Encrypt), aes/cipher.go, cmd/sops/common (EncryptTree).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence

from secretsmith.crypto.valuecipher import seal_value_text
from secretsmith.documents.format import Format
from secretsmith.documents.metadata import Metadata, to_mapping
from secretsmith.documents.node import Value, document_trees, same_values
from secretsmith.documents.sopsfile import SEALED, SopsFile, read_sops
from secretsmith.documents.sopskey import Recovered
from secretsmith.documents.sopsopen import OpenDocument, mac_of, open_values
from secretsmith.documents.tree import Document, Edit, Leaf, LeafKind, Span, aad_of
from secretsmith.errors import Code, IntegrityFailure, SecretsmithError
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

Clock = Callable[[], float]
"""Seconds since 1970."""


def seal(leaf: Leaf, value: Value, key: Sensitive) -> bytes:
    """Encrypt a value for the place of ``leaf``, with a fresh nonce; gives the stored text."""
    kind, plain = value
    name = LeafKind.STRING if kind is LeafKind.BYTES else kind
    return seal_value_text(plain, name.value, key, aad_of(leaf)).encode("ascii")


def needs_sealing(value: Value) -> bool:
    """Say whether a value that a rule selects is encrypted: nulls, empty texts and empty comments never are."""
    return value[0] is not LeafKind.NULL and bool(value[1])


def sealed_edit(file: SopsFile, index: int, sealed: bytes) -> Edit:
    """Put a sealed text in the place of another, or of a value; quotes around it stay."""
    leaf = file.document.leaves[index]
    old = leaf.plain
    if old.startswith(SEALED) and leaf.raw.count(old) == 1:
        return Edit(leaf.span, leaf.raw.replace(old, sealed))
    if leaf.kind is LeafKind.COMMENT:
        return Edit(leaf.span, file.codec.comment(file.document, leaf, sealed))
    return Edit(leaf.span, file.codec.scalar(file.document, leaf, LeafKind.STRING, sealed))


def resealed(opened: OpenDocument, key: Sensitive) -> list[Edit]:
    """Seal every sealed value anew under another key; what is in clear stays as it is."""
    file = opened.file
    return [
        sealed_edit(file, index, seal(leaf, opened.values[index], key))
        for index, leaf in enumerate(file.document.leaves)
        if file.is_sealed(index) and opened.values[index][1] != leaf.plain
    ]


def stamped(file: SopsFile, values: Sequence[Value], key: Sensitive, clock: Clock = time.time) -> Metadata:
    """Give the metadata with the time of now and the MAC over ``values``."""
    metadata = replace(
        file.metadata, lastmodified=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(clock())))
    )
    digest = mac_of(file, values).hexdigest().encode("ascii")
    return replace(metadata, mac=seal_value_text(digest, "str", key, metadata.mac_aad))


def metadata_edits(file: SopsFile, metadata: Metadata) -> list[Edit]:
    """Put a metadata block in the place of the document's."""
    text = file.codec.format_metadata(file.document, to_mapping(metadata))
    spans = file.document.metadata_spans
    if file.format is Format.YAML:
        return [Edit(span, text) for span in spans]
    return [Edit(span, b"" if number else text) for number, span in enumerate(spans)]


def stamp_edits(file: SopsFile, metadata: Metadata) -> list[Edit]:
    """Put a new MAC and time into the block, and nothing else if their texts can be found in it."""
    edits: list[Edit] = []
    spans = file.document.metadata_spans
    for span in spans:
        block = file.document.source[span.start : span.end]
        edits += _found(block, span, rb"mac", file.metadata.mac, metadata.mac)
        edits += _found(block, span, rb"lastmodified", file.metadata.lastmodified, metadata.lastmodified)
    wanted = 2 * len(spans) if file.format is Format.YAML else 2
    return edits if edits and len(edits) == wanted else metadata_edits(file, metadata)


def _found(block: bytes, span: Span, name: bytes, old: str, new: str) -> list[Edit]:
    if not old:
        return []
    pattern = (
        rb"(?:^|[\s\"'_,{])" + name + rb"[\"']?[ \t]*[:=][ \t]*[\"']?(" + re.escape(old.encode()) + rb")"
    )
    return [
        Edit(Span(span.start + found.start(1), span.start + found.end(1)), new.encode())
        for found in re.finditer(pattern, block)
    ]


def finish(
    format: Format,  # noqa: A002  # the word for it everywhere else
    source: bytes,
    recovered: Recovered,
    clock: Clock = time.time,
    *,
    expected: Iterable[Value] | None = None,
    before: OpenDocument | None = None,
) -> bytes:
    """Renew MAC and time of a document whose values have changed, and give its final text.

    Every value is read back first: a document that does not open again, or holds something else than
    ``expected``, is not given to anybody. Comments of ``before``, the document that it was, that belong to
    another mapping or list by now are sealed for that: nobody could open them otherwise.

    Raises:
        SecretsmithError: ERROR, which is a bug.
    """
    file = read_sops(format, source)
    moved = [] if before is None else _moved_comments(before, file)
    if moved:
        file = read_sops(format, file.document.splice(moved))
    opened = _read_back(file, recovered, before=before)
    if expected is not None and not same_values(opened.values, expected):
        raise _unreadable()
    metadata = stamped(file, opened.values, recovered.data_key, clock)
    return file.document.splice(stamp_edits(file, metadata))


def _moved_comments(before: OpenDocument, file: SopsFile) -> list[Edit]:
    """Seal anew the comments next to a change that have another place by it, as sops reads the text."""
    known = {
        leaf.raw: (aad_of(leaf), value)
        for leaf, value in zip(before.document.leaves, before.values, strict=True)
        if leaf.kind is LeafKind.COMMENT and leaf.plain.startswith(SEALED) and value[1] != leaf.plain
    }
    edits = []
    for index, leaf in enumerate(file.document.leaves if known else ()):
        if leaf.kind is LeafKind.COMMENT and leaf.raw in known:
            aad, value = known[leaf.raw]
            if aad != aad_of(leaf):
                edits.append(sealed_edit(file, index, seal(leaf, value, before.data_key)))
    return edits


def checked(format: Format, source: bytes, recovered: Recovered, expected: Iterable[Value]) -> bytes:  # noqa: A002
    """Give ``source`` back after reading all of it, MAC included, as :func:`finish` does."""
    file = read_sops(format, source)
    if not same_values(_read_back(file, recovered, ignore_mac=False).values, expected):
        raise _unreadable()
    return source


def _read_back(
    file: SopsFile, recovered: Recovered, *, ignore_mac: bool = True, before: OpenDocument | None = None
) -> OpenDocument:
    try:
        return open_values(file, recovered, ignore_mac=ignore_mac, before=before)
    except IntegrityFailure as failure:
        raise _unreadable(f": {failure.message}") from None


def _unreadable(why: str = "") -> SecretsmithError:
    return SecretsmithError(
        Code.ERROR,
        f"the changed document does not read back as it was meant, so it is not written{why}",
        hints=("please report this, with the shape of the document and without its values",),
    )


def plain_shape(file: SopsFile) -> SopsFile:
    """Expand anchors, aliases and merge keys: what stands for several values cannot hold their several texts."""
    if not file.document.aliased:
        return file
    return read_sops(
        file.format, file.codec.build(document_trees(file.document), dict(file.document.metadata))
    )


def require_same_leaves(left: Document, right: Document) -> None:
    """Stop when a document built anew has other leaves than the one it was built from; this is a bug."""
    if [leaf.path for leaf in left.leaves] != [leaf.path for leaf in right.leaves]:
        raise _unreadable()


__all__ = [
    "Clock",
    "checked",
    "finish",
    "metadata_edits",
    "needs_sealing",
    "plain_shape",
    "require_same_leaves",
    "resealed",
    "seal",
    "sealed_edit",
    "stamp_edits",
    "stamped",
]
