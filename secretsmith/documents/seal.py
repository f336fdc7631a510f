"""Documents and keys together: who can read a document, opening it, making it.

The entry for age files and sops documents alike. Age files are made anew with every value; sops documents are
changed, by :mod:`secretsmith.documents.sopsedit` and :mod:`secretsmith.documents.sopsrewrap`, and made by
:mod:`secretsmith.documents.sopsnew`, which take what :func:`stanza_opener` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import Header, parse_header
from secretsmith.documents.format import Format
from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity
    from secretsmith.documents.metadata import Metadata
    from secretsmith.documents.sopsfile import SopsFile
    from secretsmith.documents.sopskey import OpenStanza, Recovered
    from secretsmith.documents.sopsopen import OpenDocument
    from secretsmith.documents.tree import TreePath
    from secretsmith.interaction import Interaction

    Identities = Iterable[Identity] | Callable[[bytes], Iterable[Identity]]
    # Identities, or what finds those for one age file. A sops document has several age files in it.

# Imports in functions: the doors that only list or check must not pay for what opens files, and those of age
# files not for what reads the formats of sops.


def evidence(format: Format, data: bytes) -> tuple[Evidence, ...]:  # noqa: A002  # the word for it everywhere else
    """Give what a document says of its readers; needs no key.

    Raises:
        RefusedInput: for age files EMPTY, TOO_BIG, FORMAT, AGE_ARMOR, AGE_HEADER, AGE_VERSION; for sops documents
            FORMAT when they are not encrypted, and what reading them raises.
        IntegrityFailure: RECIPIENT_MISMATCH.
        Conflict: CONFLICT.
    """
    if format is not Format.AGE:
        return document_evidence(read_document(format, data))
    # Not inspect_age: it comes with everything that opens files.
    return evidence_of(age_header(data))


def age_header(data: bytes) -> Header:
    """Parse the header of an age file, binary or armored; needs no key. Raises as :func:`evidence`."""
    return parse_header(dearmor(data) if is_armored(data) else data)


def document_evidence(
    file: SopsFile, before: Metadata | None = None, known: Sequence[Evidence] = ()
) -> tuple[Evidence, ...]:
    """Give what a document that was read says of its readers.

    ``known`` is what this gave for the document when its block was ``before``: stanzas that stay are not read again.

    Raises:
        IntegrityFailure: RECIPIENT_MISMATCH.
    """
    from secretsmith.documents.sopsreaders import readers_of

    return readers_of(file, before, known)


def read_document(format: Format, data: bytes) -> SopsFile:  # noqa: A002
    """Read a sops document; needs no key. Raises as :func:`evidence`."""
    from secretsmith.documents.sopsfile import read_sops

    return read_sops(format, data)


def open_value(
    format: Format,  # noqa: A002
    data: bytes,
    identities: Identities,
    *,
    open_pgp: OpenStanza | None = None,
) -> Sensitive:
    """Decrypt an age file to its value, a sops document to its text in clear, its MAC checked.

    ``open_pgp`` opens the stanzas of a document for PGP keys, when no identity opens another.

    Raises:
        RefusedInput: as :func:`evidence`; AGE_SCRYPT.
        CannotDecrypt: NO_IDENTITY.
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED; MAC, CIPHERTEXT.
    """
    if format is not Format.AGE:
        from secretsmith.documents.sopsplain import plaintext

        return Sensitive(plaintext(open_sops(format, data, identities, open_pgp=open_pgp)))
    from secretsmith.crypto.agefile import decrypt_age

    return decrypt_age(data, identities(data) if callable(identities) else identities).plaintext


def open_sops(
    format: Format,  # noqa: A002
    data: bytes,
    identities: Identities,
    *,
    ignore_mac: bool = False,
    open_pgp: OpenStanza | None = None,
) -> OpenDocument:
    """Open a sops document, for its values or to change it. Raises as :func:`open_value`."""
    from secretsmith.documents.sopsopen import open_document

    return open_document(format, data, stanza_opener(identities), ignore_mac=ignore_mac, open_pgp=open_pgp)


def open_key(file: SopsFile, identities: Identities, *, open_pgp: OpenStanza | None = None) -> Recovered:
    """Open the data key of a sops document, and no value. Raises as :func:`open_value`, the MAC apart."""
    from secretsmith.documents.sopskey import recover

    return recover(file.metadata, stanza_opener(identities), open_pgp)


def open_leaf(
    format: Format,  # noqa: A002
    data: bytes,
    path: TreePath,
    identities: Identities,
    *,
    open_pgp: OpenStanza | None = None,
) -> Sensitive:
    """Decrypt one value of a sops document, and no other: strings byte for byte, others as the format writes them.

    Of YAML and JSON a mapping or list can be had too, as a document of its own.

    Raises:
        NotFound: NOT_FOUND.
        RefusedInput, CannotDecrypt, IntegrityFailure: as :func:`open_value`, but that the MAC is not checked for one value.
    """
    from secretsmith.documents.sopsopen import value_at
    from secretsmith.documents.sopsplain import leaf_text, part

    file = read_document(format, data)
    if format in (Format.YAML, Format.JSON) and _is_container(file, path):
        return Sensitive(part(open_sops(format, data, identities, open_pgp=open_pgp), path))
    value = value_at(file, path, stanza_opener(identities), open_pgp=open_pgp)
    return Sensitive(leaf_text(value, format))


def _is_container(file: SopsFile, path: TreePath) -> bool:
    known = file.by_name
    return bool(path) and path not in known and any(each[: len(path)] == path for each in known)


def stanza_opener(identities: Identities) -> OpenStanza:
    """Give what opens one stanza of a sops document after the other, with identities that may be lazy."""
    from secretsmith.crypto.agefile import decrypt_age

    find = identities if callable(identities) else _again(identities)
    return lambda stanza: decrypt_age(stanza, find(stanza)).plaintext


def _again(identities: Iterable[Identity]) -> Callable[[bytes], Iterator[Identity]]:
    """Let identities be gone through once more for each stanza, and each be made only once."""
    known: list[Identity] = []
    rest = iter(identities)

    def find(stanza: bytes) -> Iterator[Identity]:
        yield from tuple(known)
        for identity in rest:
            known.append(identity)
            yield identity

    return find


def seal_value(
    format: Format,  # noqa: A002
    plaintext: Sensitive,
    recipients: Sequence[str],
    *,
    armor: bool,
    interaction: Interaction | None = None,
) -> bytes:
    """Encrypt a value to ``recipients`` ("ssh-ed25519 AAAA…", "age1…"), as an age file.

    ``interaction`` answers what a recipient's plugin asks; without it every question is refused.

    Raises:
        RefusedInput: UNSUPPORTED for sops documents, RECIPIENT_MISSING, RECIPIENT_MIX, KEY codes.
    """
    if format is not Format.AGE:
        # A document made anew would lose its rule, its key groups and every sealed text.
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"a sops document is changed, not made anew from its text ({format})",
            hints=("name the file *.age to keep one value",),
        )
    from secretsmith.crypto.agefile import encrypt_age

    return encrypt_age(plaintext, recipients, armor=armor, interaction=interaction)


__all__ = [
    "age_header",
    "document_evidence",
    "evidence",
    "open_key",
    "open_leaf",
    "open_sops",
    "open_value",
    "read_document",
    "seal_value",
    "stanza_opener",
]
