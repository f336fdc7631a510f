"""Documents and keys together: who can read a document, opening it, making it.

The only module here that knows crypto. Age files work. Documents of sops are recognised and refused:
nothing is opened half, or written in clear by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import parse_header
from secretsmith.documents.format import Format
from secretsmith.errors import Code, RefusedInput
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity
    from secretsmith.interaction import Interaction


def evidence(format: Format, data: bytes) -> tuple[Evidence, ...]:  # noqa: A002  # the word for it everywhere else
    """Give what a document says of its readers; needs no key.

    Raises:
        RefusedInput: UNSUPPORTED for sops documents; for age files EMPTY, TOO_BIG, FORMAT, AGE_ARMOR,
            AGE_HEADER, AGE_VERSION.
    """
    _require_age(format)
    # Not inspect_age: it comes with everything that opens files, and listings only look at headers.
    return evidence_of(parse_header(dearmor(data) if is_armored(data) else data))


def open_value(format: Format, data: bytes, identities: Iterable[Identity]) -> Sensitive:  # noqa: A002
    """Decrypt a document to its value.

    Raises:
        RefusedInput: as :func:`evidence`; AGE_SCRYPT.
        CannotDecrypt: NO_IDENTITY.
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    _require_age(format)
    # Imported here: the doors that only list or check must not pay for what opens files.
    from secretsmith.crypto.agefile import decrypt_age

    return decrypt_age(data, identities).plaintext


def seal_value(
    format: Format,  # noqa: A002
    plaintext: Sensitive,
    recipients: Sequence[str],
    *,
    armor: bool,
    interaction: Interaction | None = None,
) -> bytes:
    """Encrypt a value to ``recipients`` ("ssh-ed25519 AAAA…", "age1…").

    ``interaction`` answers what a recipient's plugin asks; without it every question is refused.

    Raises:
        RefusedInput: UNSUPPORTED, RECIPIENT_MISSING, RECIPIENT_MIX, KEY codes.
    """
    _require_age(format)
    # Imported here for the same reason.
    from secretsmith.crypto.agefile import encrypt_age

    return encrypt_age(plaintext, recipients, armor=armor, interaction=interaction)


def _require_age(format: Format) -> None:  # noqa: A002
    if format is not Format.AGE:
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"sops documents are not opened by this version ({format})",
            hints=("name the file *.age to keep one value, or use sops for this file",),
        )


__all__ = ["evidence", "open_value", "seal_value"]
