"""How a value is written in a document: the output forms of sops, and quotes that every YAML reader agrees on.

Sources: go-yaml v3 (encode.go, emitterc.go, resolve.go), Go's encoding/json, sops (stores.ValToString).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from secretsmith.documents.numbertext import float_json, float_text, float_yaml, looks_decimal, parse_go_float
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import Code, RefusedInput

# What YAML 1.1 and 1.2 readers take for something other than a string, with some to spare. Quotes never hurt.
_OTHER_TYPE = re.compile(
    r"""(?: ~ | null | true | false | yes | no | on | off | y | n | = | <<
    | [-+]?\.(?:inf|nan) | [-+]?\.[0-9_]+(?:e[-+]?[0-9_]*)?
    | [-+]?0[xob][-+0-9a-f_]*
    | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)? )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# Most texts, which need no closer look: words of letters, digits and what means nothing in YAML.
_SURELY_PLAIN = re.compile(r"[A-Za-z][\w./@+=;$-]*(?: [\w./@+=;$-]+)*", re.ASCII)
_OTHER_WORDS: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_INDICATORS: Final = frozenset(",[]{}#&*!|>'\"%@`")
_ONLY_BEFORE_SPACE: Final = frozenset("-?:")
# The C0 and C1 controls with tab and line ends, the line and paragraph separators, the byte order mark, and
# what is no character at all.
_SPECIAL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_YAML_ESCAPES: Final = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
    "\x1b": "\\e", "\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P", '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_JSON_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip
_YAML_ESCAPED = re.compile(f'["\\\\]|{_SPECIAL.pattern}')
_JSON_ESCAPED = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029]')


def needs_quotes(text: str, *, flow: bool = False) -> bool:
    """Say whether ``text`` cannot stand unquoted on one line of YAML and be read back as the same string.

    True for texts that are of another type to any reader of YAML 1.1 or 1.2. ``flow``: inside of brackets.
    """
    return _needs_escapes(text) or _is_other_type(text) or not _may_be_plain(text, flow)


def _needs_escapes(text: str) -> bool:
    return _SPECIAL.search(text) is not None


def _is_other_type(text: str) -> bool:
    bare = text.replace("_", "")
    return not text or looks_decimal(bare) or _OTHER_TYPE.fullmatch(text) is not None


def _may_be_plain(text: str, flow: bool) -> bool:
    first, second = text[0], text[1:2]
    if first in _INDICATORS or first == " " or text[-1] in " :":
        return False
    if first in _ONLY_BEFORE_SPACE and (second in ("", " ") or flow):
        return False
    if text.startswith(("---", "...")) or ": " in text or " #" in text:
        return False
    # go-yaml takes a question mark between brackets for the start of a key wherever it stands.
    return not (flow and re.search(r"[,\[\]{}?]", text))


def single_quoted(text: str) -> str:
    """Write ``text`` in single quotes; it must have no line ends and control characters."""
    return "'" + text.replace("'", "''") + "'"


def double_quoted(text: str) -> str:
    """Write ``text`` in double quotes on one line, with YAML's escapes; what is printable stays as it is."""
    return '"' + _YAML_ESCAPED.sub(_yaml_escape, text) + '"'


def _yaml_escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _YAML_ESCAPES.get(character) or (f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}")


def to_yaml_plain(kind: LeafKind, plain: bytes, *, flow: bool = False) -> str:
    """Write a value as one line of YAML, as sops would: strings plain where they can be, else quoted.

    A float without a fraction is written without a point, as sops does (``1``), and so read back as an
    integer. ``-0.0`` keeps its point: as ``-0`` it would be the integer 0, and the MAC another; sops cannot
    read its own file then. Bytes that are not UTF-8 become ``!!binary``.
    """
    if kind is LeafKind.NULL:
        return "null"
    if kind is LeafKind.BOOLEAN:
        return plain.decode("ascii").lower()
    if kind is LeafKind.FLOAT:
        return "-0.0" if plain == b"-0" else float_yaml(_float(plain))
    if kind in (LeafKind.INTEGER, LeafKind.TIME):
        return plain.decode("ascii")
    try:
        text = plain.decode("utf-8")
    except UnicodeDecodeError:
        # Imported here: hardly any document has such a value.
        import base64

        return "!!binary " + base64.b64encode(plain).decode("ascii")
    return _yaml_string(text, flow)


def _yaml_string(text: str, flow: bool) -> str:
    if _SURELY_PLAIN.fullmatch(text) and text.lower() not in _OTHER_WORDS:
        return text
    if _needs_escapes(text) or _is_other_type(text):
        return double_quoted(text)
    return text if _may_be_plain(text, flow) else single_quoted(text)


def _float(plain: bytes) -> float:
    value = parse_go_float(plain.decode("ascii"))
    if value is None:
        raise ValueError("no float")
    return value


def to_json_text(kind: LeafKind, plain: bytes) -> str:
    """Write a value as JSON, as sops: ``< > &`` escaped, other characters as they are, times as strings.

    Raises:
        RefusedInput: YAML_VALUE for infinity and NaN, ENCODING for bytes that are not UTF-8.
    """
    if kind is LeafKind.FLOAT:
        return _json_float(plain)
    if kind in (LeafKind.NULL, LeafKind.BOOLEAN, LeafKind.INTEGER):
        return to_yaml_plain(kind, plain)
    text = _text(plain, "JSON")
    return '"' + _JSON_ESCAPED.sub(_json_escape, text) + '"'


def _json_escape(found: re.Match[str]) -> str:
    return _JSON_ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _json_float(plain: bytes) -> str:
    if plain in (b"+Inf", b"-Inf", b"NaN"):
        raise RefusedInput(
            Code.YAML_VALUE, "JSON has no infinity and no NaN", hints=("YAML has both: --output-type yaml",)
        )
    return float_json(_float(plain))


def _text(plain: bytes, format_name: str) -> str:
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise RefusedInput(Code.ENCODING, f"{format_name} cannot hold a value that is not UTF-8")


# As sops (stores.ValToString); `<nil>` is what Go prints for null.
_TEXT_FORMS: Final[dict[LeafKind, Callable[[bytes], bytes]]] = {
    LeafKind.NULL: lambda _: b"<nil>",
    LeafKind.BOOLEAN: bytes.lower,
    LeafKind.FLOAT: lambda plain: float_text(_float(plain)).encode("ascii"),
}


def to_text(kind: LeafKind, plain: bytes) -> bytes:
    """Give a value as text for an environment, a dotenv or an ini file: ``true``, ``1.0``, ``1E+10``, ``<nil>``."""
    form = _TEXT_FORMS.get(kind)
    return plain if form is None else form(plain)


__all__ = ["double_quoted", "needs_quotes", "single_quoted", "to_json_text", "to_text", "to_yaml_plain"]
