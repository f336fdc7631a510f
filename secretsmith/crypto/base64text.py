"""The base64 of age headers and ssh keys: canonical or refused (RFC 4648 §3.5).

A lenient decoder would make files and keys malleable: two texts for one value, and so two digests for one file.
"""

from __future__ import annotations

import binascii


def encode(data: bytes, *, padded: bool = False) -> str:
    """Encode to the standard alphabet; without ``=`` unless ``padded``."""
    text = binascii.b2a_base64(data, newline=False).decode("ascii")
    return text if padded else text.rstrip("=")


def decode(text: bytes, *, padded: bool = False) -> bytes | None:
    """Decode; ``None`` unless ``text`` is exactly what :func:`encode` would give."""
    try:
        data = binascii.a2b_base64(text if padded else text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None
    # binascii passes over foreign characters and spare bits; comparing with the one right spelling does not.
    canonical = binascii.b2a_base64(data, newline=False)
    return data if (canonical if padded else canonical.rstrip(b"=")) == text else None


__all__ = ["decode", "encode"]
