"""What a scalar of a document is, by the rules of sops's own readers.

Every value has a kind and a *plain* form: the bytes that sops encrypts, and hashes for the MAC
(sops, aes/cipher.go and sops.go ToBytes). YAML is read as go-yaml v3 reads it (resolve.go), where ``0644`` is
420 and ``yes`` a string; JSON as sops 3.13 reads it. What sops cannot hold, or would silently make null, is
refused. Errors name what is wrong, never the text: it may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Final

from secretsmith.documents.node import Value
from secretsmith.documents.numbertext import (
    INT64_MAX,
    INT64_MIN,
    UINT64_MAX,
    float_plain,
    looks_decimal,
    parse_digits,
    parse_go_atoi,
    parse_go_float,
    parse_go_int,
)
from secretsmith.documents.scalartext import needs_quotes, to_json_text, to_text, to_yaml_plain
from secretsmith.documents.timetext import parse_rfc3339, parse_yaml_time
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import Code, IntegrityFailure, RefusedInput

PlainValue = str | int | float | bool | bytes | None
"""A value as Python has it; times are text."""

_LONG_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("true", "True", "TRUE"), (LeafKind.BOOLEAN, b"True")),
    **dict.fromkeys(("false", "False", "FALSE"), (LeafKind.BOOLEAN, b"False")),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (LeafKind.NULL, b"")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (LeafKind.FLOAT, b"NaN")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (LeafKind.FLOAT, b"+Inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (LeafKind.FLOAT, b"-Inf")),
}
_TAGGED: Final = {
    "int": LeafKind.INTEGER,
    "float": LeafKind.FLOAT,
    "bool": LeafKind.BOOLEAN,
    "null": LeafKind.NULL,
    "timestamp": LeafKind.TIME,
}
_BOOLEANS: Final = {
    **dict.fromkeys((b"1", b"t", b"T", b"TRUE", b"true", b"True"), b"True"),
    **dict.fromkeys((b"0", b"f", b"F", b"FALSE", b"false", b"False"), b"False"),
}
_JSON_WORDS: Final[dict[str, Value]] = {
    "true": (LeafKind.BOOLEAN, b"True"),
    "false": (LeafKind.BOOLEAN, b"False"),
    "null": (LeafKind.NULL, b""),
}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_PREFIXED = re.compile(r"[-+]?0[xXoObB]")


def resolve_yaml(text: str, *, quoted: bool = False, tag: str | None = None) -> Value:
    """Tell what a YAML scalar is.

    ``text`` is its content, unquoted and unescaped; ``quoted`` says whether it stood in quotes or in a block
    (``|``, ``>``); ``tag`` is ``!!int``, ``tag:yaml.org,2002:int``, or ``!`` (which go-yaml passes over).

    Raises:
        RefusedInput: YAML_VALUE for numbers and times that sops cannot hold and content that does not fit
            its tag; YAML_TAG for tags other than those of YAML's scalars.
    """
    if tag is None or tag == "!":
        return (LeafKind.STRING, _utf8(text)) if quoted else _resolve_plain(text, times=True)
    name = tag.removeprefix(_LONG_TAG).removeprefix("!!")
    if name == tag or (name not in _TAGGED and name not in ("str", "binary")):
        raise RefusedInput(Code.YAML_TAG, "a value has a tag that is not one of YAML's own scalars")
    if name == "str":
        return LeafKind.STRING, _utf8(text)
    if name == "binary":
        return LeafKind.STRING, _binary(text)
    kind, plain = _resolve_plain(text, times=name == "timestamp")
    if name == "float" and kind is LeafKind.INTEGER:
        return LeafKind.FLOAT, float_plain(float(int(plain))).encode("ascii")
    if kind is not _TAGGED[name]:
        # sops goes on with null here, and the value is lost.
        raise RefusedInput(Code.YAML_VALUE, f"a value does not fit its tag !!{name}")
    return kind, plain


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    raise RefusedInput(Code.ENCODING, "a text holds half of a character (a lone surrogate)")


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", text).encode("utf-8"), validate=True)
    except binascii.Error:
        pass
    raise RefusedInput(Code.YAML_VALUE, "a !!binary value is not base64")


def _resolve_plain(text: str, *, times: bool) -> Value:
    """Resolve an unquoted scalar: by its first character, as go-yaml (resolve)."""
    known = _WORDS.get(text)
    if known is not None:
        return known
    if text[0] == ".":
        value = parse_go_float(text)
        if value is not None:
            return LeafKind.FLOAT, float_plain(value).encode("ascii")
    elif text[0] in "+-0123456789":
        found = (_time(text) if times else None) or _number(text.replace("_", ""))
        if found is not None:
            return found
    return LeafKind.STRING, _utf8(text)


def _time(text: str) -> Value | None:
    try:
        found = parse_yaml_time(text)
    except ValueError:
        found = ""
    if found == "":
        raise RefusedInput(Code.YAML_VALUE, "a time has a zone of a day and more")
    return None if found is None else (LeafKind.TIME, found.encode("ascii"))


def _number(text: str) -> Value | None:
    """Resolve a number without its underscores; ``None`` when it is a string."""
    whole = parse_go_int(text)
    if whole is not None and INT64_MIN <= whole <= INT64_MAX:
        return LeafKind.INTEGER, str(whole).encode("ascii")
    # Beyond int64: sops fails up to uint64 (an unsigned type it does not know). Above that go-yaml makes a
    # float of decimal digits, as here, and a string of others; that many digits are no number anyone means.
    unsigned = whole is not None and INT64_MAX < whole <= UINT64_MAX and text[0] != "+"
    if unsigned or (whole is not None and _PREFIXED.match(text)):
        raise _too_large()
    if looks_decimal(text):
        value = parse_go_float(text)
        if value is not None:
            return LeafKind.FLOAT, float_plain(value).encode("ascii")
        if text.lstrip("+-").isdigit():
            raise _too_large()
    return _signed_behind_prefix(text)


def _signed_behind_prefix(text: str) -> Value | None:
    """Resolve ``0b-101`` and ``0o+7``, which go-yaml takes for numbers."""
    base = {"0b": 2, "0o": 8}.get(text[:2])
    whole = None if base is None else parse_digits(text[2:], base)
    if whole is None or not INT64_MIN <= whole <= INT64_MAX:
        return None
    return LeafKind.INTEGER, str(whole).encode("ascii")


def _too_large() -> RefusedInput:
    return RefusedInput(
        Code.YAML_VALUE,
        "a number is beyond 64 bits",
        hints=("in quotes it is a text, and is kept as it is",),
    )


def resolve_json(token: str) -> Value:
    """Tell what a JSON scalar is; ``token`` is its text in the file, a string's quotes included.

    Integers that fit 64 bits are integers, as in sops 3.13.2; older ones make floats of them, with the same
    plain form as far as 2^53. ``-0`` is a float: only the older ones write it.

    Raises:
        RefusedInput: YAML_VALUE for what is no JSON scalar or a number beyond a float; ENCODING for half of
            a surrogate pair.
    """
    if token in _JSON_WORDS:
        return _JSON_WORDS[token]
    if token.startswith('"'):
        return LeafKind.STRING, _utf8(_json_string(token))
    found = _JSON_NUMBER.fullmatch(token)
    if found is None:
        raise RefusedInput(Code.YAML_VALUE, "a value is not JSON")
    whole = parse_go_atoi(token) if found[1] is None and found[2] is None and token != "-0" else None
    if whole is not None:
        return LeafKind.INTEGER, str(whole).encode("ascii")
    value = parse_go_float(token)
    if value is None:
        raise _too_large()
    return LeafKind.FLOAT, float_plain(value).encode("ascii")


def _json_string(token: str) -> str:
    try:
        found = json.loads(token) if token.endswith('"') else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, str):
        raise RefusedInput(Code.YAML_VALUE, "a value is not JSON")
    return found


def canonical(kind: LeafKind, stored: bytes) -> bytes:
    """Bring a decrypted value to the form in which it enters the MAC: read and written again, as sops does.

    Other writers store ``1.0`` or ``true`` where sops stores ``1`` and ``True``.

    Raises:
        IntegrityFailure: MAC when the value cannot be of its kind: the type tag, which nothing
            authenticates, was changed.
    """
    found: bytes | str | None
    if kind is LeafKind.BOOLEAN:
        found = _BOOLEANS.get(stored)
    elif kind in (LeafKind.INTEGER, LeafKind.FLOAT, LeafKind.TIME):
        found = _reread(kind, stored.decode("utf-8", "replace"))
    else:
        found = stored
    if found is None:
        raise IntegrityFailure(Code.MAC, f"a sealed value says that it is of type {kind}, and is not")
    return found if isinstance(found, bytes) else found.encode("ascii")


def _reread(kind: LeafKind, text: str) -> str | None:
    if kind is LeafKind.TIME:
        return parse_rfc3339(text)
    if kind is LeafKind.INTEGER:
        whole = parse_go_atoi(text)
        return None if whole is None else str(whole)
    value = parse_go_float(text)
    return None if value is None else float_plain(value)


def plain_of(kind: LeafKind, value: PlainValue) -> bytes:
    """Give the plain form of a Python value; times and comments are text.

    Raises:
        RefusedInput: YAML_VALUE for integers beyond 64 bits, ENCODING for half of a surrogate pair.
        TypeError, ValueError: when the value is not of the kind, which is the caller's mistake.
    """
    if kind is LeafKind.NULL:
        return b""
    if kind is LeafKind.BOOLEAN and isinstance(value, bool):
        return b"True" if value else b"False"
    if kind is LeafKind.FLOAT and isinstance(value, int | float) and not isinstance(value, bool):
        return float_plain(float(value)).encode("ascii")
    if kind is LeafKind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
        if not INT64_MIN <= value <= INT64_MAX:
            raise _too_large()
        return str(value).encode("ascii")
    if kind is LeafKind.TIME and isinstance(value, str):
        time = parse_rfc3339(value)
        if time is None:
            raise ValueError("no RFC 3339 time")
        return time.encode("ascii")
    if kind in (LeafKind.STRING, LeafKind.COMMENT, LeafKind.BYTES) and isinstance(value, str | bytes):
        return value if isinstance(value, bytes) else _utf8(value)
    raise TypeError(f"a {type(value).__name__} is no {kind}")


def to_python(kind: LeafKind, plain: bytes) -> PlainValue:
    """Give the value that ``plain``, a canonical form, stands for; bytes when a string is not UTF-8."""
    if kind is LeafKind.NULL:
        return None
    if kind is LeafKind.BOOLEAN:
        return plain == b"True"
    if kind is LeafKind.INTEGER:
        return int(plain)
    if kind is LeafKind.FLOAT:
        return math.nan if plain == b"NaN" else float(plain)
    try:
        return plain.decode("utf-8") if kind is not LeafKind.BYTES else plain
    except UnicodeDecodeError:
        return plain


__all__ = [
    "PlainValue",
    "Value",
    "canonical",
    "needs_quotes",
    "plain_of",
    "resolve_json",
    "resolve_yaml",
    "to_json_text",
    "to_python",
    "to_text",
    "to_yaml_plain",
]
