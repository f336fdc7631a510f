"""Who can read a sops document, as far as it tells without a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import parse_header
from secretsmith.crypto.publickey import KeyKind, parse_public_key
from secretsmith.documents.metadata import AgeEntry, Metadata
from secretsmith.documents.sopsfile import SopsFile
from secretsmith.errors import Code, IntegrityFailure, RefusedInput


def readers_of(
    file: SopsFile, before: Metadata | None = None, known: Sequence[Evidence] = ()
) -> tuple[Evidence, ...]:
    """Give one evidence a stanza, with the recipient that the document names for it.

    The name is compared with the stanza as far as that tells: the tag of an ssh key, the sort of another. ``known`` is what
    this gave for the block ``before``; what it says of an entry that is the same, letter for letter, it says again.

    Raises:
        IntegrityFailure: RECIPIENT_MISMATCH for a stanza of another key than the one it is said to be for, or
            with more than one; a stanza that is damaged is nobody's, and no mismatch.
    """
    seen = dict(zip(_entries(before), known, strict=True)) if before is not None else {}
    return tuple(
        seen.get((entry.recipient, entry.enc)) or _evidence(entry)
        for group in file.metadata.groups
        for entry in group.age
    )


def _entries(metadata: Metadata) -> list[tuple[str, str]]:
    return [(entry.recipient, entry.enc) for group in metadata.groups for entry in group.age]


def _evidence(entry: AgeEntry) -> Evidence:
    recipient = entry.recipient.strip()
    try:
        key = parse_public_key(recipient)
    except RefusedInput:
        return Evidence("recipient", recipient=recipient)
    kind = key.kind.value if key.is_ssh else "x25519" if key.kind is KeyKind.X25519 else None
    present = _stanzas(entry)
    if present is not None and kind is not None and present != Counter({(kind, key.tag): 1}):
        raise IntegrityFailure(
            Code.RECIPIENT_MISMATCH,
            f"the document says that a stanza is for {key.fingerprint}, and it is for somebody else",
            hints=(
                "see who put it there: git log -p -- FILE",
                "then restore the last version before that: git checkout COMMIT -- FILE",
            ),
        )
    if key.kind is KeyKind.ED25519:
        return Evidence("ssh-ed25519", recipient=recipient)
    return Evidence("ssh-rsa" if key.kind is KeyKind.RSA else "recipient", recipient=recipient)


def _stanzas(entry: AgeEntry) -> Counter[tuple[str, str | None]] | None:
    data = entry.enc.encode("utf-8", "replace")
    try:
        header = parse_header(dearmor(data) if is_armored(data) else data)
    except RefusedInput:
        return None
    return Counter((each.kind, each.tag) for each in evidence_of(header))


__all__ = ["readers_of"]
