"""Our own linear reader of age files for native recipients (https://c2sp.org/age; agessh for the ssh types).

It stands in where pyrage does not do: headers with many stanzas (pyrage takes quadratic time), passphrase files with
a bounded work factor, and the exact reason when pyrage refuses. It never writes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from secretsmith.crypto import base64text, parameters
from secretsmith.crypto.header import Header, Stanza
from secretsmith.crypto.publickey import KeyKind, PublicKey
from secretsmith.crypto.stream import decrypt_stream
from secretsmith.errors import Code, IntegrityFailure
from secretsmith.sensitive import Sensitive

# HKDF info strings and scrypt salt prefix: spec "X25519", "scrypt", "Header MAC"; age, agessh/agessh.go.
_X25519_LABEL: Final = b"age-encryption.org/v1/X25519"
_SCRYPT_LABEL: Final = b"age-encryption.org/v1/scrypt"
_SSH_ED25519_LABEL: Final = b"age-encryption.org/v1/ssh-ed25519"
_SSH_RSA_LABEL: Final = b"age-encryption.org/v1/ssh-rsa"
_ZERO_NONCE: Final = bytes(
    12
)  # each wrapping key is used once, so that a fixed nonce is safe (spec, "X25519")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an identity brings.

    ``x25519`` is a 32-byte scalar, of an age key or derived from an ed25519 ssh key. ``ssh`` is the public key of an
    ssh identity, ``openssh`` its private key as unencrypted OpenSSH text.
    """

    x25519: Sensitive | None = None
    ssh: PublicKey | None = None
    openssh: Sensitive | None = None


def open_file(data: bytes, header: Header, secrets: Secrets) -> Sensitive | None:
    """Decrypt a binary age file whose header is parsed; ``None`` when no stanza is for these secrets.

    Raises:
        IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED.
    """
    for stanza in header.stanzas:
        file_key = _unwrap(stanza, secrets)
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


def unwrap_scrypt(stanza: Stanza, passphrase: Sensitive) -> bytes | None:
    """Give the file key of a passphrase stanza, ``None`` when the passphrase is wrong. The caller bounds the work."""
    salt = base64text.decode(stanza.args[0].encode("ascii")) or b""
    cost = 1 << int(stanza.args[1])
    block, parallel = 8, 1  # spec, "scrypt recipient stanza"
    key = hashlib.scrypt(
        passphrase.expose(),
        salt=_SCRYPT_LABEL + salt,
        n=cost,
        r=block,
        p=parallel,
        maxmem=128 * block * (cost + parallel + 2)
        + 4096,  # RFC 7914 §5, what the parameters need and no more
        dklen=32,
    )
    return _open_key(key, stanza.body)


def _unwrap(stanza: Stanza, secrets: Secrets) -> bytes | None:
    """Give the file key, or ``None``: not mine is an outcome, not an error."""
    if stanza.type == "X25519" and secrets.x25519 is not None:
        return _unwrap_x25519(stanza, secrets.x25519.expose())
    ssh = secrets.ssh
    if ssh is None or stanza.type != ssh.kind.value or stanza.args[0] != ssh.tag:
        return None
    if ssh.kind is KeyKind.ED25519 and secrets.x25519 is not None:
        return _unwrap_ssh_ed25519(stanza, ssh, secrets.x25519.expose())
    if ssh.kind is KeyKind.RSA and secrets.openssh is not None:
        return _unwrap_ssh_rsa(stanza, secrets.openssh.expose())
    return None


def _unwrap_x25519(stanza: Stanza, scalar: bytes) -> bytes | None:
    share = base64text.decode(stanza.args[0].encode("ascii")) or b""
    public, shared = _exchange(scalar, share)
    return _open_key(_hkdf(shared, share + public, _X25519_LABEL), stanza.body)


def _unwrap_ssh_ed25519(stanza: Stanza, ssh: PublicKey, scalar: bytes) -> bytes | None:
    share = base64text.decode(stanza.args[1].encode("ascii")) or b""
    public, shared = _exchange(scalar, share)
    # agessh: a tweak from the ssh key blob ties the stanza to this ssh key, not to every key of the same scalar.
    tweak = _hkdf(b"", ssh.blob, _SSH_ED25519_LABEL)
    _, tweaked = _exchange(tweak, shared)
    return _open_key(_hkdf(tweaked, share + public, _SSH_ED25519_LABEL), stanza.body)


def _unwrap_ssh_rsa(stanza: Stanza, openssh: bytes) -> bytes | None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    # Our parser has seen that p·q = n; testing the primes again would take 0.4 s for 4,096 bits.
    key = serialization.load_ssh_private_key(openssh, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        return None
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), _SSH_RSA_LABEL)
    try:
        file_key = key.decrypt(stanza.body, oaep)
    except ValueError:
        return None
    return file_key if len(file_key) == parameters.FILE_KEY_BYTES else None


def _exchange(scalar: bytes, share: bytes) -> tuple[bytes, bytes]:
    """Give the scalar's public key and the shared secret; the header parser has refused low-order shares."""
    # 19 ms of import, on rare paths only.
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    private = X25519PrivateKey.from_private_bytes(scalar)
    shared = private.exchange(X25519PublicKey.from_public_bytes(share))
    return private.public_key().public_bytes_raw(), shared


def _open_key(key: bytes, body: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) for one block of 32 bytes."""
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


__all__ = ["Secrets", "open_file", "open_payload", "unwrap_scrypt"]
