"""Numbers as Go reads and writes them: the byte forms of sops, and its forms in YAML and JSON.

Sources: Go, strconv (ParseInt with base 0, Atoi, ParseFloat, FormatFloat), encoding/json (floatEncoder);
sops, aes/cipher.go.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
UINT64_MAX: Final = 2**64 - 1
_BEYOND: Final = 2**80

_DIGITS = {
    2: re.compile(r"[01]*"),
    8: re.compile(r"[0-7]*"),
    10: re.compile(r"[0-9]+"),
    16: re.compile(r"[0-9a-fA-F]*"),
}
_PREFIXED = {"0b": 2, "0o": 8, "0x": 16}
_DECIMAL_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_HEX_FLOAT = re.compile(r"[-+]?0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)[pP][-+]?[0-9]+")
_FLOAT_WORD = re.compile(r"[-+]?inf(?:inity)?|nan", re.IGNORECASE)
_STRAY_UNDERSCORE = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")


def parse_go_int(text: str) -> int | None:
    """Read an integer with its base's prefix (``0x`` ``0o`` ``0b``, ``0`` for octal), as ParseInt with base 0.

    ``None``: not one. Numbers far beyond 64 bits come back as some number beyond 64 bits.
    """
    sign, digits = _split_sign(text)
    base = _PREFIXED.get(digits[:2].lower(), 10) if len(digits) > 2 else 10
    if base != 10:
        digits = digits[2:]
    elif digits.startswith("0"):
        base = 8
    return _whole(sign, digits, base)


def parse_digits(text: str, base: int) -> int | None:
    """Read an integer of ``base`` without a prefix, as ParseInt; ``None`` when it is none."""
    sign, digits = _split_sign(text)
    return _whole(sign, digits, base) if digits else None


def parse_go_atoi(text: str) -> int | None:
    """Read a decimal int64, as Atoi: a sign and leading zeros may stand; ``None`` when it is none."""
    value = parse_digits(text, 10)
    return value if value is not None and INT64_MIN <= value <= INT64_MAX else None


def _split_sign(text: str) -> tuple[int, str]:
    if text[:1] in ("+", "-"):
        return (-1 if text[0] == "-" else 1), text[1:]
    return 1, text


def _whole(sign: int, digits: str, base: int) -> int | None:
    if not digits or _DIGITS[base].fullmatch(digits) is None:
        return None
    digits = digits.lstrip("0")
    # int() takes quadratic time, and refuses thousands of digits.
    return sign * (_BEYOND if len(digits) > 80 else int(digits or "0", base))


def parse_go_float(text: str) -> float | None:
    """Read a number as ParseFloat; ``None`` for another text and for a number that is too large."""
    if _FLOAT_WORD.fullmatch(text):
        return float(text)
    if "_" in text:
        if _STRAY_UNDERSCORE.search(text):
            return None
        text = text.replace("_", "")
    try:
        if _HEX_FLOAT.fullmatch(text):
            return float.fromhex(text)
        value = float(text) if _DECIMAL_FLOAT.fullmatch(text) else math.inf
    except OverflowError:
        return None
    return None if math.isinf(value) else value


def looks_decimal(text: str) -> bool:
    """Say whether ``text`` is a decimal number in YAML's sense, however large."""
    return _DECIMAL_FLOAT.fullmatch(text) is not None


def float_plain(value: float) -> str:
    """Write a float as sops encrypts it: the fewest digits that give it back, never an exponent.

    ``1.0`` is ``1``, ``1e10`` ``10000000000``; ``-0``, ``+Inf``, ``-Inf``, ``NaN``.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def float_yaml(value: float) -> str:
    """Write a float as go-yaml: ``1``, ``100000``, ``1e+06``, ``2.5e-07``, ``.inf``, ``.nan``."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    digits, exponent = _scientific(value)
    # FormatFloat 'g' in the shortest form decides on the exponent as if six digits were asked for.
    return _with_exponent(digits, exponent) if value and not -4 <= exponent < 6 else float_plain(value)


def float_text(value: float) -> str:
    """Write a float for an environment or a dotenv file, as sops (ValToString): ``1.0``, ``1E+10``, ``+Inf``."""
    if not math.isfinite(value):
        return float_plain(value)
    text = float_yaml(value).upper()
    return text if "." in text or "E" in text else f"{text}.0"


def float_json(value: float) -> str:
    """Write a float as encoding/json: as ECMAScript does. Raises ``ValueError`` for infinity and NaN."""
    if not math.isfinite(value):
        raise ValueError("JSON has no infinity and no NaN")
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return float_plain(value)
    digits, exponent = _scientific(value)
    return re.sub(r"e-0(\d)\Z", r"e-\1", _with_exponent(digits, exponent))


def _scientific(value: float) -> tuple[str, int]:
    """Give sign and digits with the point after the first, and the decimal exponent."""
    digits, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return digits, int(exponent)


def _with_exponent(digits: str, exponent: int) -> str:
    return f"{digits}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "UINT64_MAX",
    "float_json",
    "float_plain",
    "float_text",
    "float_yaml",
    "looks_decimal",
    "parse_digits",
    "parse_go_atoi",
    "parse_go_float",
    "parse_go_int",
]
