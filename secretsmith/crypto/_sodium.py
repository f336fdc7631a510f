"""X25519 and ChaCha20-Poly1305 of libsodium, through PyNaCl: its only importer.

``nacl.bindings`` takes 15 ms to import, because it defines all of libsodium; the compiled module under it 0.8 ms. That
module is not public, so that :func:`library` takes ``nacl.bindings`` where it is not there or has changed
(docs/decisions/0010-own-age-reader.md). Both give the same answers (tests/crypto/test_sodium.py). The C functions
release the GIL.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

Sealed: TypeAlias = bytes | memoryview

_POINT: Final = 32  # RFC 7748 §5, RFC 8032 §5.1.2
_KEY: Final = 32  # RFC 8439 §2.8
_NONCE: Final = 12
_TAG: Final = 16
_NEEDED: Final = (
    "crypto_aead_chacha20poly1305_ietf_decrypt",
    "crypto_scalarmult",
    "crypto_scalarmult_base",
    "crypto_sign_ed25519_pk_to_curve25519",
    "sodium_init",
    "sodium_memzero",
)


class Library(Protocol):
    """What we use of libsodium. Arguments of a wrong length raise ValueError: C would read past their end."""

    def public_of(self, scalar: bytes) -> bytes:
        """Give the X25519 public key of a 32-byte scalar."""
        ...

    def exchange(self, scalar: bytes, point: bytes) -> bytes | None:
        """Give the shared secret; ``None`` for a low-order point, whose secret everybody knows (RFC 7748 §6.1)."""
        ...

    def unseal(self, key: bytes, nonce: bytes, sealed: Sealed) -> bytes | None:
        """Decrypt ChaCha20-Poly1305 (RFC 8439) without additional data; ``None`` when it does not verify."""
        ...

    def montgomery_of(self, point: bytes) -> bytes | None:
        """Give the X25519 public key of an ed25519 one; ``None`` off the curve or outside of its main group."""
        ...


class Direct:
    """The compiled module. What it computes is wiped in its buffer as soon as Python has it."""

    def __init__(self, ffi: Any, lib: Any) -> None:
        if lib.sodium_init() < 0:
            raise ImportError("libsodium does not start")
        self._ffi, self._lib = ffi, lib
        self._unsealed = ffi.new_allocator(should_clear_after_alloc=False)

    def public_of(self, scalar: bytes) -> bytes:
        """See :class:`Library`."""
        _check(scalar, _POINT)
        out = self._ffi.new("unsigned char[32]")
        self._lib.crypto_scalarmult_base(out, scalar)
        return bytes(self._ffi.buffer(out))

    def exchange(self, scalar: bytes, point: bytes) -> bytes | None:
        """See :class:`Library`."""
        _check(scalar, _POINT)
        _check(point, _POINT)
        out = self._ffi.new("unsigned char[32]")
        failed = self._lib.crypto_scalarmult(out, scalar, point)
        return self._taken(out, _POINT, failed)

    def unseal(self, key: bytes, nonce: bytes, sealed: Sealed) -> bytes | None:
        """See :class:`Library`."""
        _check(key, _KEY)
        _check(nonce, _NONCE)
        length = len(sealed)
        if length < _TAG:
            return None
        null = self._ffi.NULL
        out = self._unsealed("unsigned char[]", length - _TAG)
        failed = self._lib.crypto_aead_chacha20poly1305_ietf_decrypt(
            out, null, null, self._ffi.from_buffer(sealed), length, null, 0, nonce, key
        )
        return self._taken(out, length - _TAG, failed)

    def montgomery_of(self, point: bytes) -> bytes | None:
        """See :class:`Library`."""
        _check(point, _POINT)
        out = self._ffi.new("unsigned char[32]")
        failed = self._lib.crypto_sign_ed25519_pk_to_curve25519(out, point)
        return self._taken(out, _POINT, failed)

    def _taken(self, out: Any, length: int, failed: int) -> bytes | None:
        taken = None if failed else bytes(self._ffi.buffer(out, length))
        self._lib.sodium_memzero(out, length)
        return taken


class Bindings:
    """PyNaCl's public functions, which do the same and are slower to import."""

    def __init__(self) -> None:
        from nacl import bindings, exceptions

        self._bindings, self._refusal = bindings, exceptions.CryptoError

    def public_of(self, scalar: bytes) -> bytes:
        """See :class:`Library`."""
        _check(scalar, _POINT)
        return bytes(self._bindings.crypto_scalarmult_base(scalar))

    def exchange(self, scalar: bytes, point: bytes) -> bytes | None:
        """See :class:`Library`."""
        _check(scalar, _POINT)
        _check(point, _POINT)
        try:
            return bytes(self._bindings.crypto_scalarmult(scalar, point))
        except self._refusal:
            return None

    def unseal(self, key: bytes, nonce: bytes, sealed: Sealed) -> bytes | None:
        """See :class:`Library`."""
        _check(key, _KEY)
        _check(nonce, _NONCE)
        if len(sealed) < _TAG:
            return None
        try:
            return bytes(
                self._bindings.crypto_aead_chacha20poly1305_ietf_decrypt(bytes(sealed), None, nonce, key)
            )
        except self._refusal:
            return None

    def montgomery_of(self, point: bytes) -> bytes | None:
        """See :class:`Library`."""
        _check(point, _POINT)
        try:
            return bytes(self._bindings.crypto_sign_ed25519_pk_to_curve25519(point))
        except self._refusal:
            return None


def _check(value: bytes, length: int) -> None:
    if len(value) != length:
        raise ValueError(f"{length} bytes are wanted")


@lru_cache(maxsize=1)
def library() -> Library:
    """Give libsodium, loaded at the first call."""
    try:
        from nacl._sodium import ffi, lib  # type: ignore[import-not-found]

        if all(hasattr(lib, name) for name in _NEEDED):
            return Direct(ffi, lib)
    except ImportError:
        pass
    return Bindings()


if TYPE_CHECKING:

    def _satisfied(direct: Direct, bindings: Bindings) -> tuple[Library, ...]:
        return direct, bindings


__all__ = ["Bindings", "Direct", "Library", "library"]
