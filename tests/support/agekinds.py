"""One identity of each native kind, with its recipient, for tests of whole age files."""

from __future__ import annotations

import keys
import pytest

from secretsmith.crypto import bech32
from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import SecretsmithError
from secretsmith.sensitive import Sensitive

VALUE = Sensitive(b"CANARY-7f3a91c2\x00\xff\nno newline at the end")
ED25519 = keys.ed25519_key("ed25519")
RSA = keys.rsa_key(2048, "rsa")


def ssh_identity(key: keys.SshKey) -> SshIdentity:
    """An identity from a key without a passphrase."""
    private = parse_ssh_private_key(key.private)
    assert isinstance(private, SshPrivateKey)
    return SshIdentity(private, "test")


def age_identity(seed: bytes = bytes(range(32))) -> AgeIdentity:
    """An identity from a scalar."""
    (secret,) = parse_age_identities(bech32.encode("AGE-SECRET-KEY-", seed).encode())
    assert isinstance(secret, AgeSecret)
    return AgeIdentity(secret, "test")


X25519 = age_identity()
DERIVED = parse_public_key(ED25519.public).derived
KINDS: dict[str, tuple[str, Identity]] = {
    "ssh-ed25519": (ED25519.public, ssh_identity(ED25519)),
    "ssh-rsa": (RSA.public, ssh_identity(RSA)),
    "x25519": (X25519.public.text, X25519),
    "derived": (DERIVED, ssh_identity(ED25519)),
}
by_kind = pytest.mark.parametrize("kind", list(KINDS))


def failure(data: bytes, *identities: Identity) -> SecretsmithError:
    """Decrypt and give the error: one line without a value."""
    with pytest.raises(SecretsmithError) as caught:
        decrypt_age(data, identities)
    shown = caught.value.message + " ".join(caught.value.hints)
    assert "CANARY" not in shown
    assert "\n" not in shown
    return caught.value
