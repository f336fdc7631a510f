"""The message authentication code of a sops document: one hash over all values, in order.

Source: sops, sops.go (Tree.Encrypt, Tree.Decrypt, ToBytes, MACOnlyEncryptedInitialization).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

# SHA-256 of "sops": a document's MAC over encrypted values alone never equals its MAC over all of them.
_ONLY_ENCRYPTED: Final = bytes.fromhex("8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69")


class DocumentMac:
    """The running hash. Feed it every value's byte form in walk order; comments and nulls are left out.

    With ``only_encrypted`` feed it nothing but the values that are (to be) encrypted. Neither keys nor
    lengths enter the hash: what binds a value to its place is the cipher's additional data.
    """

    __slots__ = ("_hash",)

    def __init__(self, only_encrypted: bool = False) -> None:
        self._hash = hashlib.sha512(_ONLY_ENCRYPTED if only_encrypted else b"")

    def update(self, plain: bytes) -> None:
        """Add one value's byte form."""
        self._hash.update(plain)

    def hexdigest(self) -> str:
        """Give the digest as sops stores it: 128 characters, upper case."""
        return self._hash.hexdigest().upper()

    def matches(self, stored: bytes) -> bool:
        """Say whether ``stored``, the decrypted MAC of a document, is this digest. Takes constant time."""
        return hmac.compare_digest(self.hexdigest().encode("ascii"), stored)


__all__ = ["DocumentMac"]
