"""Bech32 (BIP 173) without its limit of 90 characters, as age uses it (spec "X25519 recipient"; age internal/bech32)."""

from __future__ import annotations

from typing import Final

from secretsmith.errors import Code, RefusedInput

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # BIP 173
_VALUES: Final = {character: value for value, character in enumerate(_CHARSET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)  # BIP 173, "Checksum"
_CHECKSUM: Final = 6  # characters


def encode(hrp: str, data: bytes) -> str:
    """Encode ``data`` under the human-readable part ``hrp``; an upper-case ``hrp`` gives upper-case text.

    Raises:
        RefusedInput: KEY_FORMAT for an ``hrp`` that is empty, not printing ASCII, or of mixed case.
    """
    _check_hrp(hrp)
    lower = hrp.lower()
    values = _regroup(data)
    checksum = _polymod([*_expand(lower), *values, *([0] * _CHECKSUM)]) ^ 1
    values.extend((checksum >> 5 * (5 - index)) & 31 for index in range(_CHECKSUM))
    text = lower + "1" + "".join(_CHARSET[value] for value in values)
    return text if hrp == lower else text.upper()


def decode(text: str) -> tuple[str, bytes]:
    """Decode to the human-readable part, in lower case, and the bytes.

    The message never repeats ``text``, which may be a private key.

    Raises:
        RefusedInput: KEY_FORMAT: mixed case, foreign characters, wrong checksum, padding that is not zero.
    """
    if text != text.lower() and text != text.upper():
        raise _malformed("mixed upper and lower case")
    lower = text.lower()
    hrp, separator, encoded = lower.rpartition("1")
    if not separator or len(encoded) < _CHECKSUM:
        raise _malformed("cut off")
    _check_hrp(hrp)
    try:
        values = [_VALUES[character] for character in encoded]
    except KeyError:
        raise _malformed("a character that bech32 does not have") from None
    if _polymod([*_expand(hrp), *values]) != 1:
        raise _malformed("its checksum is wrong, a character was mistyped or lost")
    return hrp, _ungroup(values[:-_CHECKSUM])


def _malformed(why: str) -> RefusedInput:
    return RefusedInput(Code.KEY_FORMAT, f"malformed age key: {why}", hints=("copy the whole line again",))


def _check_hrp(hrp: str) -> None:
    if not hrp or not all("!" <= character <= "~" for character in hrp):
        raise _malformed("its prefix is not printing ASCII")
    if hrp != hrp.lower() and hrp != hrp.upper():
        raise _malformed("mixed upper and lower case")


def _expand(hrp: str) -> list[int]:
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _regroup(data: bytes) -> list[int]:
    """Split 8-bit groups into 5-bit groups, zero-padded at the end."""
    number, bits = int.from_bytes(data, "big"), 8 * len(data)
    padding = -bits % 5
    number <<= padding
    return [number >> shift & 31 for shift in range(bits + padding - 5, -1, -5)]


def _ungroup(values: list[int]) -> bytes:
    """Join 5-bit groups; less than a byte of zero bits may be left over, or the text would be malleable."""
    number = 0
    for value in values:
        number = number << 5 | value
    padding = 5 * len(values) % 8
    if padding >= 5 or number & ((1 << padding) - 1):
        raise _malformed("its padding is not zero")
    return (number >> padding).to_bytes(5 * len(values) // 8, "big")


__all__ = ["decode", "encode"]
