"""The text form of age files: strict PEM as age defines it (spec "ASCII armor", RFC 7468).

Lines may end in LF or CRLF and whitespace may stand around the block; everything else is as :func:`enarmor` writes it.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from secretsmith.crypto import parameters
from secretsmith.errors import Code, RefusedInput

_BEGIN: Final = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END: Final = b"-----END AGE ENCRYPTED FILE-----"
_PEM: Final = re.compile(rb"-----[ \t]*BEGIN ")
_SPACE: Final = b" \t\r\n"
_MAX_SPACE: Final = 1024  # age, armor/armor.go: maxWhitespace
_LINE_BYTES: Final = 48  # 64 columns of base64
_BLOCK_BYTES: Final = (
    _LINE_BYTES * 4096
)  # a bytes object a line for the whole file would cost three times its size


def is_armored(data: bytes) -> bool:
    """Tell whether ``data`` is text with a PEM block near its start, well-formed or not.

    A binary age file starts with its own magic and is never taken for one.
    """
    return not data.startswith(parameters.VERSION_PREFIX) and _PEM.search(data, 0, 2 * _MAX_SPACE) is not None


def dearmor(data: bytes) -> bytes:
    """Give the binary age file inside an armored one.

    Raises:
        RefusedInput: TOO_BIG, FORMAT (a PEM block of another kind), AGE_ARMOR.
    """
    if len(data) > parameters.MAX_ARMORED_FILE:
        raise RefusedInput(
            Code.TOO_BIG,
            f"the armored file is larger than {parameters.MAX_ARMORED_FILE >> 20} MiB",
            hints=("restore it from git if it is damaged; what is that large is better kept elsewhere",),
        )
    text = data.lstrip(_SPACE)
    if len(data) - len(text) > _MAX_SPACE:
        raise _malformed("too much whitespace before it")
    if not text.startswith(_BEGIN):
        raise _foreign(text)
    length = len(text)
    text = text.rstrip(_SPACE)
    if length - len(text) > _MAX_SPACE:
        raise _malformed("too much whitespace after it")
    lines = text.replace(b"\r\n", b"\n")
    if not lines.startswith(_BEGIN + b"\n"):
        raise _malformed("its first line goes on after BEGIN")
    if not lines.endswith(b"\n" + _END):
        raise _malformed("junk after its END line" if _END in lines else "no END line: the file is cut off")
    body = lines[len(_BEGIN) + 1 : -len(_END)]
    try:
        decoded = binascii.a2b_base64(body)
    except binascii.Error:
        raise _malformed("its text is no base64") from None
    # One spelling for one file: whatever is not what we would write (line length, padding, spare bits, headers,
    # blank lines, foreign characters) is refused, in linear time.
    if _wrap(decoded) != body:
        raise _malformed("its text is not base64 in lines of 64 characters")
    return decoded


def enarmor(data: bytes) -> bytes:
    """Give the armored form of a binary age file, with a final newline."""
    return b"".join((_BEGIN, b"\n", _wrap(data), _END, b"\n"))


def _wrap(data: bytes) -> bytes:
    blocks = (data[start : start + _BLOCK_BYTES] for start in range(0, len(data), _BLOCK_BYTES))
    return b"".join(
        b"".join(
            binascii.b2a_base64(block[start : start + _LINE_BYTES])
            for start in range(0, len(block), _LINE_BYTES)
        )
        for block in blocks
    )


def _malformed(why: str) -> RefusedInput:
    return RefusedInput(
        Code.AGE_ARMOR,
        f"the armor of the age file is malformed: {why}",
        hints=("the file is damaged: restore it from git",),
    )


def _foreign(text: bytes) -> RefusedInput:
    if b"-----BEGIN PGP" in text[:_MAX_SPACE]:
        return RefusedInput(
            Code.FORMAT,
            "this is pgp, not an age file",
            hints=("decrypt it with gpg and set the value again",),
        )
    if b" PRIVATE KEY-----" in text[:_MAX_SPACE]:
        return RefusedInput(Code.FORMAT, "this is a private key, not an age file")
    if text.startswith(b"<<<<<<< "):
        return RefusedInput(
            Code.AGE_ARMOR,
            "git left the conflict markers of a merge in it",
            hints=(
                "an age file cannot be merged; take one side: git checkout --ours FILE (or --theirs), then git add",
            ),
        )
    if _BEGIN in text[: 2 * _MAX_SPACE]:
        return _malformed("junk before its BEGIN line")
    return _malformed("its first line is not the one of an age file")


__all__ = ["dearmor", "enarmor", "is_armored"]
