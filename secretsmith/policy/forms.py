"""Finding the ed25519 key behind a derived recipient, without converting every key of the registry.

ssh-to-age turns the point of an ed25519 key into ``age1…`` by the map between edwards25519 and
curve25519. The map goes both ways (up to the sign, which the recipient does not keep), so one division
finds what to look for.
"""

from __future__ import annotations

from functools import lru_cache

from secretsmith.crypto import bech32
from secretsmith.crypto.curve import FIELD
from secretsmith.crypto.publickey import KeyKind, PublicKey


def point_of_key(key: PublicKey) -> bytes | None:
    """Give the y coordinate of an ed25519 key, 32 bytes little-endian, no sign bit; ``None`` for others."""
    if key.kind is not KeyKind.ED25519:
        return None
    raw = key.blob[-32:]
    return raw[:31] + bytes([raw[31] & 0x7F])


def point_of_recipient(key: PublicKey) -> bytes | None:
    """Give the y coordinate of the ed25519 keys whose derived form is this ``age1…`` key.

    ``None`` for other kinds. RFC 7748 §4.1: y = (u - 1) / (u + 1).
    """
    return _point(key.text) if key.kind is KeyKind.X25519 else None


# A division in the field, which a fleet's documents would ask for once a file and reader.
@lru_cache(maxsize=4096)
def _point(recipient: str) -> bytes | None:
    u = int.from_bytes(bech32.decode(recipient)[1], "little") & ((1 << 255) - 1)
    if (u + 1) % FIELD == 0:
        return None
    return ((u - 1) * pow(u + 1, -1, FIELD) % FIELD).to_bytes(32, "little")


__all__ = ["point_of_key", "point_of_recipient"]
