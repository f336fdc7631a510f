"""From the bytes of a place to identities: ssh keys, age identity files, and both under a passphrase."""

from __future__ import annotations

from collections.abc import Iterable

from secretsmith.crypto.agesecret import (
    AgeSecret,
    PluginSecret,
    is_locked_identity_file,
    locked_identity_file,
    parse_age_identities,
)
from secretsmith.crypto.identity import AgeIdentity, Identity, PluginIdentity, SshIdentity
from secretsmith.crypto.privatekey import LockedSshKey, parse_ssh_private_key
from secretsmith.crypto.publickey import PublicKey, fingerprint_of
from secretsmith.errors import Code, RefusedInput
from secretsmith.identities.locked import LockedFile, LockedKey, LockedSsh
from secretsmith.interaction import Interaction
from secretsmith.record import record

_PEM = b"-----BEGIN "
_PUTTY = b"PuTTY-User-Key-File"


@record
class FoundKeys:
    """What a place holds: keys ready to use, and keys behind a passphrase. ``remark`` is a warning, or empty."""

    identities: tuple[Identity, ...] = ()
    locked: tuple[LockedKey, ...] = ()
    remark: str = ""


def parse_keys(
    data: bytes, label: str, interaction: Interaction, beside: PublicKey | None = None
) -> FoundKeys:
    """Parse private keys of any kind we read.

    ``label`` is what messages call the place. ``beside`` is the key of a ``.pub`` file, for keys that do not show their
    public half; it is a hint to save questions, and never decides who is encrypted to.

    Raises:
        RefusedInput: nothing in it can be used; no message repeats any of it.
    """
    if is_locked_identity_file(data):
        locked = LockedFile(
            locked_identity_file(data),
            lambda secrets: _identities(secrets, label, interaction),
            fingerprint_of(data),
        )
        return FoundKeys(locked=(locked,))
    if data.lstrip().startswith((_PEM, _PUTTY)):
        return _parse_ssh(data, label, beside)
    return FoundKeys(_identities(parse_age_identities(data), label, interaction))


def _parse_ssh(data: bytes, label: str, beside: PublicKey | None) -> FoundKeys:
    key = parse_ssh_private_key(data)
    if not isinstance(key, LockedSshKey):
        return FoundKeys((SshIdentity(key, label),))
    if key.cipher.startswith("chacha20-poly1305"):
        # Said now, and not after somebody typed a passphrase for nothing.
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            f"encrypted with {key.cipher}, which is not read here: ssh-keygen -p -Z aes256-ctr -f KEY re-encrypts it",
        )
    entry = key.public.fingerprint if key.public is not None else fingerprint_of(data)
    return FoundKeys(locked=(LockedSsh(key, key.public or beside, label, entry),))


def _identities(
    secrets: Iterable[AgeSecret | PluginSecret], label: str, interaction: Interaction
) -> tuple[Identity, ...]:
    return tuple(
        AgeIdentity(secret, label)
        if isinstance(secret, AgeSecret)
        else PluginIdentity(secret, label, interaction)
        for secret in secrets
    )


__all__ = ["FoundKeys", "parse_keys"]
