"""Shamir's secret sharing, for data keys that several groups must open together.

Byte by byte over GF(2^8) with the polynomial of AES, x^8+x^4+x^3+x+1. A share is the values of all bytes'
polynomials at one place, and that place as its last byte; the secret is their value at 0.
Source: sops, shamir/shamir.go (which is HashiCorp Vault's).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from secretsmith.errors import Code, IntegrityFailure

MAX_SHARES: Final = 255
"""Places other than 0 in the field."""

_POLYNOMIAL: Final = 0x11B


def _tables() -> tuple[bytes, bytes]:
    """Give powers of 3, which runs through all elements but 0, and their logarithms."""
    powers, logarithms = bytearray(510), bytearray(256)
    element = 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = element
        logarithms[element] = exponent
        element ^= element << 1
        element ^= _POLYNOMIAL if element & 0x100 else 0
    return bytes(powers), bytes(logarithms)


_POWERS, _LOGARITHMS = _tables()


def _times(left: int, right: int) -> int:
    return _POWERS[_LOGARITHMS[left] + _LOGARITHMS[right]] if left and right else 0


def _over(left: int, right: int) -> int:
    return _POWERS[_LOGARITHMS[left] + 255 - _LOGARITHMS[right]] if left else 0


def split(secret: bytes, shares: int, threshold: int) -> list[bytes]:
    """Split ``secret`` into ``shares`` of one byte more, any ``threshold`` of which give it back.

    Raises:
        ValueError: unless 2 ≤ threshold ≤ shares ≤ 255 and there is a secret.
    """
    if not 2 <= threshold <= shares <= MAX_SHARES or not secret:
        raise ValueError("a secret is split into 2 to 255 shares, of which 2 or more are needed")
    # The coefficients of each byte's polynomial, the highest first; the last is the secret's byte.
    polynomials = [(*secrets.token_bytes(threshold - 1), byte) for byte in secret]
    return [
        bytes((*(_value_at(place, polynomial) for polynomial in polynomials), place))
        for place in range(1, shares + 1)
    ]


def _value_at(place: int, polynomial: Sequence[int]) -> int:
    value = 0
    for coefficient in polynomial:
        value = _times(value, place) ^ coefficient
    return value


def combine(shares: Sequence[bytes]) -> bytes:
    """Give the secret of ``shares``: all of them are used, and each must be right.

    Too few shares, or a wrong one, give a wrong secret; only what it opens can tell.

    Raises:
        IntegrityFailure: CIPHERTEXT for less than two shares, of different or no length, or of one place.
    """
    lengths = {len(share) for share in shares}
    if len(shares) < 2 or len(lengths) != 1 or min(lengths) < 2:
        raise IntegrityFailure(Code.CIPHERTEXT, "the key groups' parts of the data key do not fit together")
    places = [share[-1] for share in shares]
    if len(set(places)) != len(places) or 0 in places:
        raise IntegrityFailure(Code.CIPHERTEXT, "two key groups hold the same part of the data key")
    weights = [_weight(place, places) for place in places]
    secret = bytearray(min(lengths) - 1)
    for share, weight in zip(shares, weights, strict=True):
        for index in range(len(secret)):
            secret[index] ^= _times(share[index], weight)
    return bytes(secret)


def _weight(place: int, places: Sequence[int]) -> int:
    """Give Lagrange's basis polynomial of ``place`` at 0."""
    weight = 1
    for other in places:
        if other != place:
            weight = _times(weight, _over(other, other ^ place))
    return weight


__all__ = ["MAX_SHARES", "combine", "split"]
