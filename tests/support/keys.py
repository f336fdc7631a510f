"""Throw-away keys for tests, made at run time by the libraries, not by secretsmith."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


class SshKey(NamedTuple):
    """A private key as OpenSSH text and its public line."""

    private: bytes
    public: str

    def write(self, folder: Path, name: str) -> Path:
        """Write NAME (mode 0600) and NAME.pub, as ssh-keygen does."""
        path = folder / name
        path.write_bytes(self.private)
        path.chmod(0o600)
        (folder / f"{name}.pub").write_text(self.public + "\n")
        return path


def _pair(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    comment: str,
    passphrase: bytes | None,
) -> SshKey:
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return SshKey(private, f"{public.decode()} {comment}".strip())


def ed25519_key(comment: str = "", passphrase: bytes | None = None) -> SshKey:
    """A fresh ed25519 key."""
    return _pair(ed25519.Ed25519PrivateKey.generate(), comment, passphrase)


def rsa_key(bits: int = 2048, comment: str = "", passphrase: bytes | None = None) -> SshKey:
    """A fresh RSA key."""
    return _pair(rsa.generate_private_key(65537, bits), comment, passphrase)


def ecdsa_key(comment: str = "") -> SshKey:
    """A fresh ECDSA key, which secretsmith refuses as a recipient."""
    return _pair(ec.generate_private_key(ec.SECP256R1()), comment, None)
