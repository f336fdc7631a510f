"""What a header says about its readers, without any key."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from secretsmith.crypto.header import Header, is_grease
from secretsmith.record import record

EvidenceKind: TypeAlias = Literal[
    "ssh-ed25519", "ssh-rsa", "x25519", "hybrid", "scrypt", "plugin", "recipient"
]


@record
class Evidence:
    """One reader as far as the file tells.

    ``tag`` is the 32-bit ssh key tag of the native stanzas: a hint, not proof, since it is short and not
    authenticated. ``recipient`` is the text of a recipient, which sops documents carry and age files do not.
    """

    kind: EvidenceKind
    tag: str | None = None
    recipient: str | None = None


_KINDS: Final[dict[str, EvidenceKind]] = {
    "X25519": "x25519",
    "mlkem768x25519": "hybrid",
    "scrypt": "scrypt",
    "ssh-ed25519": "ssh-ed25519",
    "ssh-rsa": "ssh-rsa",
}


def evidence_of(header: Header) -> tuple[Evidence, ...]:
    """Give one :class:`Evidence` a stanza, in order; GREASE is left out, unknown types count as plugins."""
    return tuple(
        Evidence(
            kind=_KINDS.get(stanza.type, "plugin"),
            tag=stanza.args[0] if stanza.type in ("ssh-ed25519", "ssh-rsa") else None,
        )
        for stanza in header.stanzas
        if not is_grease(stanza)
    )


__all__ = ["Evidence", "EvidenceKind", "evidence_of"]
