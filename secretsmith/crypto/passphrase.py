"""Files under a passphrase (scrypt): identity files only. A repository file under one is refused elsewhere."""

from __future__ import annotations

from secretsmith.crypto import armor, parameters, reader
from secretsmith.crypto.header import Header, parse_header
from secretsmith.errors import CannotDecrypt, Code, RefusedInput
from secretsmith.sensitive import Sensitive


def require_scrypt(binary: bytes) -> Header:
    """Parse the header of a binary age file and give it if the file is under a passphrase.

    Raises:
        CannotDecrypt: NO_IDENTITY when it is not.
        RefusedInput: everything that parse_header raises.
    """
    header = parse_header(binary)
    if header.stanzas[0].type != "scrypt":
        raise CannotDecrypt(
            Code.NO_IDENTITY,
            "the file is encrypted to keys, not to a passphrase",
            hints=("an identity file is plain, or made with: age -p",),
        )
    return header


def decrypt_scrypt(
    data: bytes, passphrase: Sensitive, *, max_work_factor: int = parameters.SCRYPT_MAX_WORK_FACTOR
) -> Sensitive:
    """Decrypt an age file under a passphrase, armored or not.

    ``max_work_factor`` is the largest accepted log2(N): 18, what ``age -p`` writes, takes 256 MiB and a second.

    Raises:
        RefusedInput: a malformed file; AGE_SCRYPT, more work than accepted.
        CannotDecrypt: PASSPHRASE, wrong; NO_IDENTITY, the file is not under a passphrase.
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    binary = armor.dearmor(data) if armor.is_armored(data) else data
    header = require_scrypt(binary)
    stanza = header.stanzas[0]
    factor = int(stanza.args[1])
    if factor > max_work_factor:
        raise RefusedInput(
            Code.AGE_SCRYPT,
            f"the passphrase wants scrypt work factor {factor}; up to {max_work_factor} is accepted",
            hints=("decrypt and encrypt it again with: age -p",),
        )
    file_key = reader.unwrap_scrypt(stanza, passphrase)
    if file_key is None:
        raise CannotDecrypt(Code.PASSPHRASE, "the passphrase is wrong")
    return reader.open_payload(binary, header, file_key)


__all__ = ["decrypt_scrypt", "require_scrypt"]
