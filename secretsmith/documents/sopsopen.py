"""Opening sops documents: all of one with its MAC checked, or one value alone.

Source: sops, sops.go (Tree.Decrypt), cmd/sops/common (DecryptTree), aes/cipher.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.crypto.mac import DocumentMac
from secretsmith.crypto.valuecipher import ValueKey, open_sealed, parse_sealed
from secretsmith.documents.format import Format
from secretsmith.documents.naming import stored_path
from secretsmith.documents.node import Value
from secretsmith.documents.numbertext import float_plain
from secretsmith.documents.scalar import canonical
from secretsmith.documents.sopsfile import SopsFile, read_sops
from secretsmith.documents.sopskey import OpenStanza, Recovered, recover
from secretsmith.documents.tree import Document, LeafKind, TreePath, aad_of, format_tree_path
from secretsmith.errors import Code, IntegrityFailure, NotFound
from secretsmith.record import field, record, replace
from secretsmith.sensitive import Sensitive

# Up to here floats hold every integer.
_EXACT = 2**53
# How many places around a comment are tried.
_PLACES = 12


@record(slots=False)
class OpenDocument:
    """A document with its values: one for each leaf, by the leaf's number.

    ``warnings`` name what sops passes over in silence or with a line on the terminal, and should be seen.
    """

    file: SopsFile
    recovered: Recovered = field(repr=False)
    values: tuple[Value, ...] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def document(self) -> Document:
        """The document as stored."""
        return self.file.document

    @property
    def data_key(self) -> Sensitive:
        """The key of all values."""
        return self.recovered.data_key


def open_document(
    format: Format,  # noqa: A002  # the word for it everywhere else
    source: bytes,
    open_age: OpenStanza,
    *,
    ignore_mac: bool = False,
    open_pgp: OpenStanza | None = None,
) -> OpenDocument:
    """Open all of a document.

    Raises:
        RefusedInput, Conflict: what reading raises.
        CannotDecrypt: NO_IDENTITY and others of :func:`recover`.
        IntegrityFailure: CIPHERTEXT for a value that is not sealed as it should be; MAC for one that does
            not verify, or when the document's MAC is missing or wrong. ``ignore_mac`` passes over the latter.
    """
    file = read_sops(format, source)
    return open_values(file, recover(file.metadata, open_age, open_pgp), ignore_mac=ignore_mac)


def open_values(
    file: SopsFile, recovered: Recovered, *, ignore_mac: bool = False, before: OpenDocument | None = None
) -> OpenDocument:
    """Decrypt every value with a data key at hand. Raises as :func:`open_document`.

    ``before`` is another state of the document, opened with the same key: a text that has not changed, nor
    its place, is not decrypted a second time.
    """
    values: list[Value] = []
    warnings: list[str] = []
    key = ValueKey(recovered.data_key)
    known = _known(before, recovered)
    for index, leaf in enumerate(file.document.leaves):
        old = known.get(leaf.plain)
        if (
            before is not None
            and old is not None
            and file.encrypted[index]
            and before.document.leaves[old].path == leaf.path
        ):
            values.append(before.values[old])
            continue
        value, remark = _open_leaf(file, index, key)
        values.append(value)
        if remark:
            warnings.append(f"a comment in '{_place(file, index)}' {remark}")
    if ignore_mac:
        warnings.append("the MAC was not checked: values may have been removed, reordered or put back")
    else:
        _check_mac(file, values, recovered.data_key)
    return OpenDocument(file, recovered, tuple(values), tuple(warnings))


def _known(before: OpenDocument | None, recovered: Recovered) -> dict[bytes, int]:
    """Give the numbers of the opened values of ``before`` by their sealed text; no two should be equal."""
    if before is None or before.recovered is not recovered or before.warnings:
        return {}
    return {
        leaf.plain: index
        for index, leaf in enumerate(before.document.leaves)
        if before.values[index][1] is not leaf.plain and before.values[index][1] != leaf.plain
    }


def open_one(
    format: Format,  # noqa: A002
    source: bytes,
    path: TreePath,
    open_age: OpenStanza,
    *,
    open_pgp: OpenStanza | None = None,
) -> Value:
    """Decrypt the value at ``path`` and no other.

    The MAC cannot be checked so; the value's own tag shows that it was put at this key by a holder of the
    data key.

    Raises:
        NotFound: NOT_FOUND, before any key is used.
        RefusedInput, CannotDecrypt, IntegrityFailure: as :func:`open_document`.
    """
    return value_at(read_sops(format, source), path, open_age, open_pgp=open_pgp)


def value_at(
    file: SopsFile, path: TreePath, open_age: OpenStanza, *, open_pgp: OpenStanza | None = None
) -> Value:
    """Do the same for a document that has been read."""
    index = leaf_number(file, path)
    return _open_leaf(file, index, ValueKey(recover(file.metadata, open_age, open_pgp).data_key))[0]


def leaf_number(file: SopsFile, path: TreePath) -> int:
    """Find the value at ``path`` of the first document, as people name it. Raises ``NotFound``."""
    index = file.by_name.get(path)
    if index is None:
        path = _like(file.document, path)
        index = file.by_name.get(path)
    if index is not None:
        return index
    if any(known[: len(path)] == path for known in file.by_name):
        raise NotFound(Code.NOT_FOUND, f"'{_shown(path)}' is not one value", hints=("name a value in it",))
    raise NotFound(Code.NOT_FOUND, f"no value at '{_shown(path)}'")


def _like(document: Document, path: TreePath) -> TreePath:
    """Turn numbers into keys where the document has mappings."""
    found: TreePath = ()
    for segment in path:
        container = document.container(stored_path(document, found))
        found = (*found, str(segment) if container is not None and container.kind == "map" else segment)
    return found


_IN_CLEAR = "should be encrypted and is not"
_MOVED = "was moved by sops, which cannot open it any more: secretsmith rotate FILE seals it again"


def _open_leaf(file: SopsFile, index: int, key: ValueKey) -> tuple[Value, str]:
    """Give a leaf's value, and what is to be said of a comment."""
    leaf = file.document.leaves[index]
    if not file.encrypted[index] or leaf.kind is LeafKind.NULL or not leaf.plain:
        return (leaf.kind, leaf.plain), ""
    if leaf.kind is LeafKind.COMMENT:
        text, moved = _open_comment(file, index, key)
        if text is None:
            # As sops: comments are in no MAC, and those of old versions were not encrypted.
            return (leaf.kind, leaf.plain), _IN_CLEAR
        return (leaf.kind, text), _MOVED if moved else ""
    if leaf.kind is not LeafKind.STRING:
        raise _unsealed(file, index, Code.CIPHERTEXT, "it should be encrypted and is not")
    try:
        name, plain = key.open(leaf.plain, aad_of(leaf))
        if name == "str":
            return (LeafKind.STRING, plain), ""
        kind = LeafKind(name)
        return (kind, canonical(kind, plain)), ""
    except IntegrityFailure as failure:
        code, reason = failure.code, failure.message
    raise _unsealed(file, index, code, reason)


def _unsealed(file: SopsFile, index: int, code: Code, reason: str) -> IntegrityFailure:
    return IntegrityFailure(code, f"'{_place(file, index)}': {reason}", hints=_VALUE_HINTS)


def _open_comment(file: SopsFile, index: int, key: ValueKey) -> tuple[bytes | None, bool]:
    """Open a comment, also one that sops has moved, out of or into what stands next to it; says if it has.

    sops seals a comment where it reads it, and may then write it where it reads it as part of something else
    (sops issue 1068). It can only be read with the keys of its old place.
    """
    leaf = file.document.leaves[index]
    own = aad_of(leaf)
    try:
        return key.open(leaf.plain, own)[1], False
    except IntegrityFailure as failure:
        if failure.code is not Code.MAC:
            return None, False
    for aad in _nearby(file, index):
        try:
            return key.open(leaf.plain, aad)[1], True
        except IntegrityFailure:
            continue
    return None, False


def _nearby(file: SopsFile, index: int) -> Iterator[bytes]:
    """Give the places a comment may have come from: those around it, and around what comes before it."""
    leaf = file.document.leaves[index]
    before = file.document.leaves[max(0, index - 1)]
    places = [leaf.path[:depth] for depth in range(len(leaf.path) - 1, -1, -1)]
    places += [before.path[:depth] for depth in range(len(before.path) - 1, -1, -1)]
    others = dict.fromkeys(aad_of(replace(leaf, path=place)) for place in places[:_PLACES])
    yield from (aad for aad in others if aad != aad_of(leaf))


def _place(file: SopsFile, index: int) -> str:
    return _shown(file.named[index])


def _shown(path: TreePath) -> str:
    return format_tree_path(path).encode("unicode_escape").decode("ascii")


def mac_of(file: SopsFile, values: Sequence[Value], *, wide: bool = True) -> DocumentMac:
    """Hash all values in order; comments and nulls add nothing.

    ``wide`` False: clear integers of JSON as the sops before 3.13.2 hashed them, through a float.
    """
    mac = DocumentMac(file.metadata.mac_only_encrypted)
    for leaf, encrypted, (kind, plain) in zip(file.document.leaves, file.encrypted, values, strict=True):
        if kind in (LeafKind.COMMENT, LeafKind.NULL):
            continue
        if not encrypted and file.metadata.mac_only_encrypted:
            continue
        if not wide and not encrypted and leaf.kind is LeafKind.INTEGER:
            plain = float_plain(float(int(plain))).encode("ascii")
        mac.update(plain)
    return mac


def _check_mac(file: SopsFile, values: Sequence[Value], key: Sensitive) -> None:
    if not file.metadata.mac:
        raise IntegrityFailure(Code.MAC, "the document has no MAC", hints=_MAC_HINTS)
    try:
        stored = open_sealed(parse_sealed(file.metadata.mac), key, file.metadata.mac_aad)
    except IntegrityFailure:
        raise IntegrityFailure(
            Code.MAC,
            "the document's MAC does not verify: it, or the time of the last change, was altered",
            hints=_MAC_HINTS,
        ) from None
    if mac_of(file, values).matches(stored):
        return
    if _has_wide_integers(file) and mac_of(file, values, wide=False).matches(stored):
        return
    raise IntegrityFailure(
        Code.MAC,
        "the document's MAC differs: values were added, removed, changed or moved since it was written",
        hints=_MAC_HINTS,
    )


_VALUE_HINTS = ("take the value back from an earlier version of the file, or set it anew",)
_MAC_HINTS = (
    "compare with an earlier version of the file; after a merge: decrypt --ignore-mac, look, encrypt again",
)


def _has_wide_integers(file: SopsFile) -> bool:
    return file.format is Format.JSON and any(
        leaf.kind is LeafKind.INTEGER and abs(int(leaf.plain)) > _EXACT for leaf in file.document.leaves
    )


__all__ = [
    "OpenDocument",
    "leaf_number",
    "mac_of",
    "open_document",
    "open_one",
    "open_values",
    "value_at",
]
