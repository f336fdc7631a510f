"""Post-quantum keys of age 1.3: ML-KEM-768 and X25519 together (https://c2sp.org/age, "mlkem768x25519").

A file key is sealed by HPKE (RFC 9180) with KEM MLKEM768-X25519, HKDF-SHA-256 and ChaCha20-Poly1305. All of it is in
``cryptography`` where that is new enough and built on a library that has ML-KEM; nothing is imported before such a key
is met. Reading only: pyrage, our writer, has no such recipient.
"""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from typing import Any, Final

from secretsmith.crypto import _sodium, base64text, parameters
from secretsmith.crypto.header import Stanza
from secretsmith.sensitive import Sensitive

_INFO: Final = b"age-encryption.org/mlkem768x25519"
_MLKEM_SEED: Final = 64  # FIPS 203 §7.1: d and z


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Tell whether the installed ``cryptography`` can do it; 5 ms of import."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hpke
        from cryptography.hazmat.primitives.asymmetric import mlkem
    except ImportError:
        return False
    try:
        mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(_MLKEM_SEED))
    except UnsupportedAlgorithm:
        return False
    return hasattr(hpke, "MLKEM768X25519PrivateKey")


class HybridKey:
    """The private key of a 32-byte seed (``AGE-SECRET-KEY-PQ-1…``); only where :func:`is_available`."""

    def __init__(self, seed: Sensitive) -> None:
        self._seed = seed

    @property
    def public(self) -> bytes:
        """The 1,216 bytes of ``age1pq1…``: the ML-KEM-768 key and the X25519 key."""
        from cryptography.hazmat.primitives.asymmetric import mlkem

        quantum, classic = self._halves()
        key = mlkem.MLKEM768PrivateKey.from_seed_bytes(quantum).public_key()
        return key.public_bytes_raw() + _sodium.library().public_of(classic)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Give the file key of an ``mlkem768x25519`` stanza, ``None`` when it is for another key."""
        from cryptography.exceptions import InvalidTag

        enc = base64text.decode(stanza.args[0].encode("ascii")) or b""
        try:
            file_key: bytes = self._suite.decrypt(enc + stanza.body, self._private, _INFO)
        except InvalidTag:
            return None
        return file_key if len(file_key) == parameters.FILE_KEY_BYTES else None

    def _halves(self) -> tuple[bytes, bytes]:
        # draft-ietf-hpke-pq, DeriveKeyPair of MLKEM768-X25519: SHAKE256 of the seed, ML-KEM's part first.
        expanded = hashlib.shake_256(self._seed.expose()).digest(_MLKEM_SEED + parameters.X25519_SHARE_BYTES)
        return expanded[:_MLKEM_SEED], expanded[_MLKEM_SEED:]

    @cached_property
    def _suite(self) -> Any:
        from cryptography.hazmat.primitives import hpke

        return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)

    @cached_property
    def _private(self) -> Any:
        from cryptography.hazmat.primitives import hpke
        from cryptography.hazmat.primitives.asymmetric import mlkem
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        quantum, classic = self._halves()
        return hpke.MLKEM768X25519PrivateKey(
            mlkem.MLKEM768PrivateKey.from_seed_bytes(quantum), X25519PrivateKey.from_private_bytes(classic)
        )


__all__ = ["HybridKey", "is_available"]
