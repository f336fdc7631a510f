"""Curve25519 facts that need no library: which encodings name weak or ambiguous points.

Pure integers on public data, so that reading a registry of 10,000 hosts imports no cryptography.
"""

from __future__ import annotations

from typing import Final

FIELD: Final = 2**255 - 19  # RFC 7748 §4.1
_MASK: Final = 2**255 - 1

# u-coordinates of the points of order 1, 2, 4 and 8, on the curve and its twist (https://cr.yp.to/ecdh.html#validate;
# the same list as libsodium's has_small_order). 2^255-19 and 2^255-18 reduce to 0 and 1.
_LOW_ORDER_U: Final = frozenset(
    {
        0,
        1,
        FIELD - 1,
        int.from_bytes(
            bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"
        ),
        int.from_bytes(
            bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"
        ),
    }
)

# Every spelling of them: RFC 7748 §5 ignores the top bit and reduces what is not below the field's size.
LOW_ORDER_X25519: Final = frozenset(
    (u + more + top).to_bytes(32, "little")
    for u in _LOW_ORDER_U
    for more in (0, FIELD)
    for top in (0, 1 << 255)
    if u + more <= _MASK
)

# y-coordinates of the eight points of order 1, 2, 4 and 8 (libsodium, ge25519_has_small_order).
_Y8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_LOW_ORDER_Y: Final = frozenset({0, 1, FIELD - 1, _Y8, FIELD - _Y8})


def is_low_order_x25519(point: bytes) -> bool:
    """Tell whether a 32-byte u-coordinate gives the all-zero shared secret with every key."""
    return point in LOW_ORDER_X25519


def weakness_of_x25519(point: bytes) -> str | None:
    """Say what is wrong with a 32-byte X25519 public key, or ``None``.

    RFC 7748 §5 accepts every 32 bytes; a second spelling of a key would be a second fingerprint for it.
    """
    if is_low_order_x25519(point):
        return "a low-order point, which everybody can decrypt for"
    return None if int.from_bytes(point, "little") < FIELD else "not canonical (RFC 7748 §5)"


def weakness_of_ed25519(point: bytes) -> str | None:
    """Say what is wrong with a 32-byte ed25519 public key, or ``None``.

    Whether the point lies on the curve costs 0.14 ms in Python and is asked once, when a key is named
    (:func:`secretsmith.crypto.convert.ed25519_public_to_x25519`).
    """
    y = int.from_bytes(point, "little") & _MASK
    if y >= FIELD:
        return "not canonical (RFC 8032 §5.1.3)"
    return "a low-order point, which everybody can decrypt for" if y in _LOW_ORDER_Y else None


def x25519_name(point: bytes) -> bytes:
    """Return the u-coordinate of an ed25519 public key (RFC 7748 §4.1: u = (1 + y) / (1 - y)), for naming it.

    The point is not checked; what is to be encrypted to goes through
    :func:`secretsmith.crypto.convert.ed25519_public_to_x25519`. The low-order y = 1 gives 0.
    """
    y = int.from_bytes(point, "little") & _MASK
    return ((1 + y) * pow(1 - y, FIELD - 2, FIELD) % FIELD).to_bytes(32, "little")


__all__ = [
    "FIELD",
    "LOW_ORDER_X25519",
    "is_low_order_x25519",
    "weakness_of_ed25519",
    "weakness_of_x25519",
    "x25519_name",
]
