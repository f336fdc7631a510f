"""One value of a sops document: ``ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]``.

Source: sops, aes/cipher.go. The key is the document's data key, the additional data the value's place. The
nonce has 32 bytes, not 12: sops reads a shorter one, but dies when it writes the file again.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from secretsmith.crypto.base64text import decode, encode
from secretsmith.errors import Code, IntegrityFailure
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 32
TAG_BYTES: Final = 16

KINDS: Final = frozenset({"str", "int", "float", "bool", "time", "comment"})
"""The type tags. sops has a further one, ``bytes``, that it never writes and cannot read."""

_MARK: Final = "ENC[AES256_GCM,"
_FORM = re.compile(rb"ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:([^,\]]*)\]")
_KINDS: Final = {kind.encode("ascii"): kind for kind in KINDS}


@record
class Sealed:
    """The parts of a sealed value, decoded; ``kind`` is the type tag, which nothing authenticates."""

    data: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    kind: str


def looks_sealed(text: str) -> bool:
    """Say whether ``text`` claims to be a sealed value; :func:`parse_sealed` says whether it is one."""
    return text.startswith(_MARK)


def seal_value_text(plain: bytes, kind: str, key: Sensitive, aad: bytes, *, iv: bytes | None = None) -> str:
    """Encrypt a value's byte form to the text that a document holds. Nothing (``b""``) stays ``""``.

    ``iv`` is for a value that has not changed under an unchanged key, so that its text stays the same, or
    for a new key. It is the caller's word that it was never used with this key for another value.

    Raises:
        ValueError: for a kind that is none of :data:`KINDS`, or a key or nonce of another length.
    """
    if kind not in KINDS:
        raise ValueError("no type of a sealed value")
    if len(key) != KEY_BYTES or (iv is not None and len(iv) != NONCE_BYTES):
        raise ValueError("key and nonce have 32 bytes")
    if not plain:
        return ""
    nonce = secrets.token_bytes(NONCE_BYTES) if iv is None else iv
    # Imported here: who only lists documents must not pay for the cipher.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    out = AESGCM(key.expose()).encrypt(nonce, plain, aad)
    data, tag = out[:-TAG_BYTES], out[-TAG_BYTES:]
    parts = (encode(part, padded=True) for part in (data, nonce, tag))
    return "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{}]".format(*parts, kind)


def parse_sealed(text: str | bytes) -> Sealed:
    """Take a sealed value apart. Strict: what sops itself writes, and nothing else.

    Raises:
        IntegrityFailure: CIPHERTEXT, with what is wrong, never with the text.
    """
    return Sealed(*_parts(text.encode("utf-8", "replace") if isinstance(text, str) else text))


def _parts(text: bytes) -> tuple[bytes, bytes, bytes, str]:
    found = _FORM.fullmatch(text)
    if found is None:
        raise _malformed("it has not the form of a sealed value")
    data, iv, tag = (
        decode(found[1], padded=True),
        decode(found[2], padded=True),
        decode(found[3], padded=True),
    )
    if data is None or iv is None or tag is None:
        raise _malformed("its base64 is damaged")
    if not data:
        raise _malformed("it has no data")
    if len(iv) != NONCE_BYTES:
        raise _malformed(f"its nonce has {len(iv)} bytes instead of {NONCE_BYTES}")
    if len(tag) != TAG_BYTES:
        raise _malformed(f"its tag has {len(tag)} bytes instead of {TAG_BYTES}")
    kind = _KINDS.get(found[4])
    if kind is None:
        raise _malformed("its type is unknown")
    return data, iv, tag, kind


def open_sealed(sealed: Sealed, key: Sensitive, aad: bytes) -> bytes:
    """Decrypt a value to its byte form.

    Raises:
        IntegrityFailure: CIPHERTEXT for a key that has not 32 bytes, MAC when the value was not sealed with
            this key for this place.
    """
    return ValueKey(key).decrypt(sealed.iv, sealed.data + sealed.tag, aad)


class ValueKey:
    """A data key to open many values with: what the cipher makes of the key is made once.

    Raises:
        IntegrityFailure: CIPHERTEXT for a key that has not 32 bytes.
    """

    def __init__(self, key: Sensitive) -> None:
        if len(key) != KEY_BYTES:
            raise IntegrityFailure(
                Code.CIPHERTEXT, f"the data key has {len(key)} bytes instead of {KEY_BYTES}"
            )
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._mismatch = InvalidTag
        self._cipher = AESGCM(key.expose())

    def open(self, text: bytes, aad: bytes) -> tuple[str, bytes]:
        """Give type and byte form of a sealed text. Raises as :func:`parse_sealed` and :func:`open_sealed`."""
        data, iv, tag, kind = _parts(text)
        return kind, self.decrypt(iv, data + tag, aad)

    def decrypt(self, iv: bytes, data: bytes, aad: bytes) -> bytes:
        """Decrypt ``data``, its tag at the end. Raises ``IntegrityFailure`` (MAC)."""
        try:
            return self._cipher.decrypt(iv, data, aad)
        except self._mismatch:
            pass
        # Outside of the handler, so that no traceback carries the library's frames.
        raise IntegrityFailure(
            Code.MAC,
            "a value does not verify: it was changed, moved from another place, or is of another file",
        )


def _malformed(reason: str) -> IntegrityFailure:
    return IntegrityFailure(Code.CIPHERTEXT, f"a sealed value is damaged: {reason}")


__all__ = [
    "KEY_BYTES",
    "KINDS",
    "NONCE_BYTES",
    "TAG_BYTES",
    "Sealed",
    "ValueKey",
    "looks_sealed",
    "open_sealed",
    "parse_sealed",
    "seal_value_text",
]
