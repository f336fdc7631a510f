"""Our reader of age files for native recipients (https://c2sp.org/age; agessh for the ssh types): it never writes.

It is linear in the number of recipients, where pyrage is quadratic, and gives the exact reason of a failure
(docs/decisions/0010-own-age-reader.md). What depends on a key alone is worked out once a key, not once a file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from secretsmith.crypto import _sodium, base64text, parameters
from secretsmith.crypto.header import Header, Stanza
from secretsmith.crypto.publickey import PublicKey
from secretsmith.crypto.stream import decrypt_stream
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure
from secretsmith.sensitive import Sensitive

Unwrappers: TypeAlias = Mapping[str, Callable[[Stanza], bytes | None]]
"""Stanza type → what gives the file key of such a stanza, or ``None``: not mine is an outcome, not an error."""

# HKDF info strings and scrypt salt prefix: spec "X25519", "scrypt", "Header MAC"; age, agessh/agessh.go.
_X25519_LABEL: Final = b"age-encryption.org/v1/X25519"
_SCRYPT_LABEL: Final = b"age-encryption.org/v1/scrypt"
_SSH_ED25519_LABEL: Final = b"age-encryption.org/v1/ssh-ed25519"
_SSH_RSA_LABEL: Final = b"age-encryption.org/v1/ssh-rsa"
# Each wrapping key is used once, so that a fixed nonce is safe (spec, "X25519").
_ZERO_NONCE: Final = bytes(12)


def open_file(data: bytes, header: Header, unwrappers: Unwrappers) -> Sensitive | None:
    """Decrypt a binary age file whose header is parsed; ``None`` when no stanza is for these keys.

    Raises:
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    for stanza in header.stanzas:
        unwrap = unwrappers.get(stanza.type)
        file_key = None if unwrap is None else unwrap(stanza)
        if file_key is not None:
            return open_payload(data, header, file_key)
    return None


def open_payload(data: bytes, header: Header, file_key: bytes) -> Sensitive:
    """Verify the header's MAC with the file key, then decrypt the payload.

    Raises:
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    mac_key = _hkdf(file_key, b"", b"header")  # spec, "Header MAC"
    covered = data[: data.rindex(b"--- ", 0, header.end) + 3]
    if not hmac.compare_digest(hmac.digest(mac_key, covered, "sha256"), header.mac):
        raise IntegrityFailure(
            Code.AGE_MAC,
            "the header of the age file was altered: its MAC is wrong",
            hints=("restore the file from git, and find out who changed it: git log -p FILE",),
        )
    nonce = data[header.end : header.end + parameters.PAYLOAD_NONCE_BYTES]
    key = _hkdf(file_key, nonce, b"payload")  # spec, "Payload"
    return Sensitive(decrypt_stream(key, data, header.end + parameters.PAYLOAD_NONCE_BYTES))


class X25519Key:
    """The key behind an ``age1…``: a 32-byte scalar."""

    def __init__(self, scalar: Sensitive) -> None:
        self._scalar = scalar

    @cached_property
    def public(self) -> bytes:
        """The 32 bytes of its public key; one scalar multiplication."""
        return _sodium.library().public_of(self._scalar.expose())

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Give the file key of an ``X25519`` stanza."""
        share = _bytes(stanza.args[0])
        shared = self.exchange(share)
        if shared is None:
            return None
        return _open_key(_hkdf(shared, share + self.public, _X25519_LABEL), stanza.body)

    def exchange(self, share: bytes) -> bytes | None:
        """Give the shared secret; ``None`` for a low-order share, which the header parser refuses as well."""
        return _sodium.library().exchange(self._scalar.expose(), share)


class SshEd25519Key:
    """An ed25519 ssh key: the scalar derived from it, and the public key that its stanzas are tied to."""

    def __init__(self, derived: X25519Key, public: PublicKey) -> None:
        self._derived = derived
        self._tag = public.tag
        # agessh: a tweak from the ssh key blob ties the stanza to this ssh key, not to every key of the same scalar.
        self._tweak = _hkdf(b"", public.blob, _SSH_ED25519_LABEL)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Give the file key of an ``ssh-ed25519`` stanza that carries this key's tag."""
        if stanza.args[0] != self._tag:
            return None
        share = _bytes(stanza.args[1])
        shared = self._derived.exchange(share)
        tweaked = None if shared is None else _sodium.library().exchange(self._tweak, shared)
        if tweaked is None:
            return None
        return _open_key(_hkdf(tweaked, share + self._derived.public, _SSH_ED25519_LABEL), stanza.body)


class SshRsaKey:
    """An RSA ssh key, as unencrypted OpenSSH text that our parser has seen."""

    def __init__(self, openssh: Sensitive, public: PublicKey) -> None:
        self._openssh = openssh
        self._tag = public.tag

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Give the file key of an ``ssh-rsa`` stanza that carries this key's tag.

        Raises:
            CannotDecrypt: KEY_FORMAT when the key's numbers do not belong together.
        """
        if stanza.args[0] != self._tag:
            return None
        key, oaep = self._loaded
        try:
            file_key: bytes = key.decrypt(stanza.body, oaep)
        except ValueError:
            return None
        return file_key if len(file_key) == parameters.FILE_KEY_BYTES else None

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        # 19 ms of import that only RSA keys cost.
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding

        # Our parser has seen that p·q = n; testing the primes again would take 0.4 s for 4,096 bits.
        try:
            key = serialization.load_ssh_private_key(
                self._openssh.expose(), None, unsafe_skip_rsa_key_validation=True
            )
        except ValueError:
            raise CannotDecrypt(
                Code.KEY_FORMAT,
                "malformed private key: its private numbers cannot be right",
                hints=("check it: ssh-keygen -y -f KEY",),
            ) from None
        return key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), _SSH_RSA_LABEL)


def unwrap_scrypt(stanza: Stanza, passphrase: Sensitive) -> bytes | None:
    """Give the file key of a passphrase stanza, ``None`` when the passphrase is wrong. The caller bounds the work."""
    cost = 1 << int(stanza.args[1])
    block, parallel = 8, 1  # spec, "scrypt recipient stanza"
    key = hashlib.scrypt(
        passphrase.expose(),
        salt=_SCRYPT_LABEL + _bytes(stanza.args[0]),
        n=cost,
        r=block,
        p=parallel,
        # RFC 7914 §5, what the parameters need and no more
        maxmem=128 * block * (cost + parallel + 2) + 4096,
        dklen=32,
    )
    return _open_key(key, stanza.body)


def _bytes(argument: str) -> bytes:
    # The header parser has seen that it decodes, and to how many bytes.
    return base64text.decode(argument.encode("ascii")) or b""


def _open_key(key: bytes, body: bytes) -> bytes | None:
    return _sodium.library().unseal(key, _ZERO_NONCE, body)


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) for one block of 32 bytes."""
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


__all__ = [
    "SshEd25519Key",
    "SshRsaKey",
    "Unwrappers",
    "X25519Key",
    "open_file",
    "open_payload",
    "unwrap_scrypt",
]
