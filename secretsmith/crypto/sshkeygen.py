"""Fresh ed25519 keys in OpenSSH's formats, for machines without ssh-keygen."""

from __future__ import annotations

from secretsmith.sensitive import Sensitive


def generate_ssh_key(comment: str) -> tuple[Sensitive, str]:
    """Make an ed25519 key pair.

    Returns the unencrypted private key (OpenSSH PEM, PROTOCOL.key) and the public line with ``comment``.
    """
    # Here, not above: few commands make keys, and the import takes longer than most of them.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return Sensitive(private), f"{public} {comment}".strip()


__all__ = ["generate_ssh_key"]
