"""The age header: a strict, linear and bounded parser in front of every other reader.

pyrage's parser takes quadratic time, accepts two malformed stanza endings and any scrypt work factor
(docs/decisions/0001-age-files.md). What :func:`parse_header` accepts is the grammar of https://c2sp.org/age with the
arguments of the native stanza types checked as well, so that nothing malformed reaches a key.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from secretsmith.crypto import base64text, parameters
from secretsmith.crypto.curve import LOW_ORDER_X25519, is_low_order_x25519
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record

# spec: arguments are one or more printing ASCII characters (VCHAR), separated by one space.
_ARGUMENTS: Final = re.compile(rb"-> ([\x21-\x7e]+(?: [\x21-\x7e]+)*)")
# 32 bytes in the one spelling that is canonical: the 43rd character carries four bits and two zeros.
_BASE64_OF_32: Final = rb"([A-Za-z0-9+/]{42}[048AEIMQUYcgkosw])"
# The stanzas that most files consist of, in one match that proves everything but the order of the share.
_CURVE_STANZA: Final = re.compile(
    rb"-> (?:X25519|ssh-ed25519 ([A-Za-z0-9+/]{5}[AQgw])) %b\n%b\n" % (_BASE64_OF_32, _BASE64_OF_32)
)
_LOW_ORDER_SHARES: Final = frozenset(base64text.encode(point).encode("ascii") for point in LOW_ORDER_X25519)
_MAC: Final = re.compile(rb"--- %b\n" % _BASE64_OF_32)
_WORK_FACTOR: Final = re.compile(r"[1-9][0-9]{0,2}")


@record
class Stanza:
    """One recipient stanza: its type, the arguments after the type, and the decoded body."""

    type: str
    args: tuple[str, ...]
    body: bytes


@record
class Header:
    """A parsed header. ``mac`` is its HMAC, 32 bytes, not verified here; ``end`` is where the payload starts."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    end: int


def is_grease(stanza: Stanza) -> bool:
    """Tell whether a stanza is there only to be ignored (spec: types that end in "-grease")."""
    return stanza.type.endswith("-grease")


def parse_header(data: bytes) -> Header:
    """Parse the header of a binary (not armored) age file.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, FORMAT (no age file), AGE_VERSION, AGE_HEADER, or AGE_SCRYPT never: scrypt is a
            question of policy, which :mod:`secretsmith.crypto.agefile` answers.
    """
    position = _check_start(data)
    stanzas: list[Stanza] = []
    unproven: list[Stanza] = []
    while not data.startswith(b"---", position):
        if len(stanzas) == parameters.MAX_STANZAS:
            raise _malformed(f"more than {parameters.MAX_STANZAS} recipients")
        match = _CURVE_STANZA.match(data, position, parameters.MAX_HEADER_BYTES)
        if match is not None and match[2] not in _LOW_ORDER_SHARES:
            stanza, position = _curve_stanza(match), match.end()
        else:
            # The slow way knows every type and says what is wrong, in the order of the file.
            stanza, position = _parse_stanza(data, position)
            unproven.append(stanza)
        stanzas.append(stanza)
    mac, end = _parse_mac(data, position)
    _check_stanzas(len(stanzas), unproven)
    if len(data) - end < parameters.PAYLOAD_NONCE_BYTES:
        # Not a header failure by the letter, but every age reader sees it before it has a payload to decrypt.
        raise _malformed("the file is cut off after the header")
    return Header(tuple(stanzas), mac, end)


def dump_header(header: Header) -> bytes:
    """Serialise; the inverse of :func:`parse_header` on every header that it accepts (no malleability)."""
    lines = [parameters.VERSION_LINE]
    for stanza in header.stanzas:
        lines.append(" ".join(("->", stanza.type, *stanza.args)).encode("ascii"))
        text = base64text.encode(stanza.body).encode("ascii")
        width = parameters.BODY_COLUMNS
        # The last line is always shorter than 64 columns, even if that makes it empty.
        lines.extend(text[start : start + width] for start in range(0, len(text) + 1, width))
    lines.append(b"--- " + base64text.encode(header.mac).encode("ascii"))
    return b"\n".join(lines) + b"\n"


def _malformed(why: str) -> RefusedInput:
    return RefusedInput(
        Code.AGE_HEADER,
        f"the age header is malformed: {why}",
        hints=("the file is damaged or was made by a faulty program: restore it from git",),
    )


def _check_start(data: bytes) -> int:
    """Check size and version line; give the offset of the second line."""
    if not data:
        raise RefusedInput(
            Code.EMPTY, "the file is empty", hints=("restore it from git, or set the value again",)
        )
    if len(data) > parameters.MAX_AGE_FILE:
        raise RefusedInput(Code.TOO_BIG, f"the file is larger than {parameters.MAX_AGE_FILE >> 20} MiB")
    if data.startswith(parameters.VERSION_LINE + b"\n"):
        return len(parameters.VERSION_LINE) + 1
    if data.startswith(parameters.VERSION_LINE + b"\r\n"):
        raise _malformed("its lines end in CRLF")
    if data.startswith(parameters.VERSION_PREFIX):
        version = re.match(rb"[!-~]{1,20}\n", data[len(parameters.VERSION_PREFIX) :][:21])
        if version is not None:
            raise RefusedInput(
                Code.AGE_VERSION,
                f"the file is of age version {version.group().decode().strip()}, only v1 is known",
                hints=("use a newer secretsmith",),
            )
        raise _malformed("cut off in its first line" if len(data) < 40 else "no version line")
    if parameters.VERSION_PREFIX.startswith(data[:40]):
        raise _malformed("cut off in its first line")
    raise RefusedInput(
        Code.FORMAT, "this is no age file", hints=("encrypt it first: secretsmith set SECRET < FILE",)
    )


def _line(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.find(b"\n", start, parameters.MAX_HEADER_BYTES)
    if end < 0:
        if len(data) >= parameters.MAX_HEADER_BYTES:
            raise _malformed(f"longer than {parameters.MAX_HEADER_BYTES >> 10} KiB")
        raise _malformed("cut off")
    return data[start:end], end + 1


def _curve_stanza(match: re.Match[bytes]) -> Stanza:
    tag, share, body = match.groups()
    text = share.decode("ascii")
    if tag is None:
        return Stanza("X25519", (text,), binascii.a2b_base64(body + b"="))
    return Stanza("ssh-ed25519", (tag.decode("ascii"), text), binascii.a2b_base64(body + b"="))


def _parse_stanza(data: bytes, position: int) -> tuple[Stanza, int]:
    line, position = _line(data, position)
    if len(line) > parameters.MAX_ARGUMENT_LINE:
        raise _malformed(f"a recipient line of {len(line)} characters")
    match = _ARGUMENTS.fullmatch(line)
    if match is None:
        raise _malformed("a line that starts no recipient")
    kind, *arguments = match.group(1).decode("ascii").split(" ")
    limit = parameters.MAX_STANZA_BODY.get(kind, parameters.MAX_UNKNOWN_BODY)
    most = limit * 4 // 3 + 2  # base64 without padding, rounded up
    parts: list[bytes] = []
    size = 0
    while True:
        line, position = _line(data, position)
        parts.append(line)
        size += len(line)
        if len(line) > parameters.BODY_COLUMNS or size > most:
            raise _malformed(f"the body of a {_shown(kind)} recipient is too long")
        if len(line) < parameters.BODY_COLUMNS:
            break
    body = base64text.decode(b"".join(parts))
    if body is None:
        raise _malformed(f"the body of a {_shown(kind)} recipient is not canonical base64")
    return Stanza(kind, tuple(arguments), body), position


def _shown(kind: str) -> str:
    """The type is the attacker's text, but printing ASCII; only its length needs a bound."""
    return kind if len(kind) <= 40 else kind[:40] + "…"


def _parse_mac(data: bytes, position: int) -> tuple[bytes, int]:
    match = _MAC.match(data, position, parameters.MAX_HEADER_BYTES)
    if match is None:
        _line(data, position)  # which says so if the header ends here
        raise _malformed("its last line is no MAC")
    return binascii.a2b_base64(match[1] + b"="), match.end()


def _check_stanzas(count: int, unproven: list[Stanza]) -> None:
    if not count:
        raise _malformed("no recipient")
    for stanza in unproven:
        check = _CHECKS.get(stanza.type)
        if check is not None:
            check(stanza)
    # spec: a scrypt stanza is alone, so that a passphrase file authenticates whoever knows the passphrase.
    if count > 1 and any(stanza.type == "scrypt" for stanza in unproven):
        raise _malformed("a passphrase beside other recipients")


def _expect(stanza: Stanza, arguments: int, body: int) -> None:
    if len(stanza.args) != arguments:
        raise _malformed(f"a {stanza.type} recipient with {len(stanza.args)} arguments")
    # A file key is 16 bytes before anything is decrypted: a longer one would be a partitioning oracle.
    if len(stanza.body) != body:
        raise _malformed(f"a {stanza.type} recipient whose body has {len(stanza.body)} bytes")


def _argument(stanza: Stanza, index: int, size: int) -> bytes:
    value = base64text.decode(stanza.args[index].encode("ascii"))
    if value is None or len(value) != size:
        raise _malformed(f"argument {index + 1} of a {stanza.type} recipient is no base64 of {size} bytes")
    return value


def _share(stanza: Stanza, share: bytes) -> None:
    # A low-order share makes the shared secret all zero, known to everybody (RFC 7748 §6.1).
    if is_low_order_x25519(share):
        raise _malformed(f"a {stanza.type} recipient with a low-order share")


def _check_x25519(stanza: Stanza) -> None:
    _expect(stanza, 1, parameters.WRAPPED_KEY_BYTES)
    _share(stanza, _argument(stanza, 0, parameters.X25519_SHARE_BYTES))


def _check_hybrid(stanza: Stanza) -> None:
    _expect(stanza, 1, parameters.WRAPPED_KEY_BYTES)
    enc = _argument(stanza, 0, parameters.HYBRID_ENC_BYTES)
    _share(stanza, enc[-parameters.X25519_SHARE_BYTES :])


def _check_scrypt(stanza: Stanza) -> None:
    _expect(stanza, 2, parameters.WRAPPED_KEY_BYTES)
    _argument(stanza, 0, parameters.SCRYPT_SALT_BYTES)
    factor = stanza.args[1]
    if not _WORK_FACTOR.fullmatch(factor) or int(factor) > parameters.SCRYPT_HEADER_WORK_FACTOR:
        raise _malformed(
            f"a scrypt work factor that is no number from 1 to {parameters.SCRYPT_HEADER_WORK_FACTOR}"
        )


def _check_ssh_ed25519(stanza: Stanza) -> None:
    _expect(stanza, 2, parameters.WRAPPED_KEY_BYTES)
    _argument(stanza, 0, parameters.SSH_TAG_BYTES)
    _share(stanza, _argument(stanza, 1, parameters.X25519_SHARE_BYTES))


def _check_ssh_rsa(stanza: Stanza) -> None:
    # RFC 8017 §7.1: the ciphertext is as long as the modulus.
    smallest = parameters.RSA_MIN_BITS // 8
    _expect(stanza, 1, max(smallest, len(stanza.body)))
    _argument(stanza, 0, parameters.SSH_TAG_BYTES)


_CHECKS: Final = {
    "X25519": _check_x25519,
    "mlkem768x25519": _check_hybrid,
    "scrypt": _check_scrypt,
    "ssh-ed25519": _check_ssh_ed25519,
    "ssh-rsa": _check_ssh_rsa,
}

__all__ = ["Header", "Stanza", "dump_header", "is_grease", "parse_header"]
