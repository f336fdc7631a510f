"""Age files under a passphrase, as ``age -p`` makes them but for the work: theirs takes a second at each opening."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FACTOR = 6  # log2(N)


def locked_file(text: bytes, passphrase: str) -> bytes:
    """Encrypt ``text``, up to 64 KiB (C2SP age.md, "scrypt recipient stanza")."""
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    label = b"age-encryption.org/v1/scrypt"
    wrapping = hashlib.scrypt(passphrase.encode(), salt=label + salt, n=1 << FACTOR, r=8, p=1, dklen=32)
    body = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    header = (
        b"age-encryption.org/v1\n-> scrypt " + _b64(salt) + f" {FACTOR}\n".encode() + _b64(body) + b"\n---"
    )
    mac = hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")
    payload = ChaCha20Poly1305(_derived(file_key, nonce, b"payload")).encrypt(bytes(11) + b"\1", text, None)
    return header + b" " + _b64(mac) + b"\n" + nonce + payload


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(file_key)


def _b64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


__all__ = ["FACTOR", "locked_file"]
