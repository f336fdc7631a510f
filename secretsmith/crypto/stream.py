"""The payload of an age file: STREAM over ChaCha20-Poly1305 in chunks of 64 KiB (spec, "Payload")."""

from __future__ import annotations

from typing import Final

from secretsmith.crypto import _sodium, parameters
from secretsmith.errors import Code, IntegrityFailure

_SEALED: Final = parameters.CHUNK_BYTES + parameters.TAG_BYTES
_MAX_JUNK: Final = 64  # how many trailing bytes a failed last chunk is tried without, to name the damage


def decrypt_stream(key: bytes, data: bytes, start: int) -> bytes:
    """Decrypt the chunks of ``data`` from ``start`` on; nothing is given out unless all of it verifies.

    Raises:
        IntegrityFailure: AGE_TRUNCATED when the end is missing or the last chunk does not verify, AGE_PAYLOAD when an
            earlier chunk does not or bytes follow the end.
    """
    unseal = _sodium.library().unseal
    view = memoryview(data)
    parts: list[bytes] = []
    position, counter = start, 0
    while True:
        chunk = view[position : position + _SEALED]
        position += len(chunk)
        last = position >= len(data)
        if len(chunk) < parameters.TAG_BYTES:
            raise _truncated("the end of the value is missing")
        plain = unseal(key, _nonce(counter, last=last), chunk)
        if plain is None:
            raise _damage(key, chunk, counter, last=last)
        # An empty last chunk after a full one would give one value two ciphertexts (spec).
        if not plain and counter:
            raise _altered("an empty chunk at its end")
        parts.append(plain)
        if last:
            return b"".join(parts)
        counter += 1


def _nonce(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + bytes((last,))


def _damage(key: bytes, chunk: memoryview, counter: int, *, last: bool) -> IntegrityFailure:
    """Name the damage of a chunk that does not verify; only the wording depends on it, the value stays shut."""
    if not last:
        if _verifies(key, chunk, _nonce(counter, last=True)):
            return _altered("bytes after its end")
        return _altered("a part of it does not verify")
    if len(chunk) == _SEALED and _verifies(key, chunk, _nonce(counter, last=False)):
        return _truncated("the end of the value is missing")
    for junk in range(1, min(_MAX_JUNK, len(chunk) - parameters.TAG_BYTES) + 1):
        if _verifies(key, chunk[:-junk], _nonce(counter, last=True)):
            return _altered("bytes after its end")
    return _truncated("its last part is cut off or altered")


def _verifies(key: bytes, chunk: memoryview, nonce: bytes) -> bool:
    return _sodium.library().unseal(key, nonce, chunk) is not None


_HINT: Final = "restore the file from git, and find out who changed it: git log -p FILE"


def _truncated(why: str) -> IntegrityFailure:
    return IntegrityFailure(
        Code.AGE_TRUNCATED, f"the payload of the age file is damaged: {why}", hints=(_HINT,)
    )


def _altered(why: str) -> IntegrityFailure:
    return IntegrityFailure(
        Code.AGE_PAYLOAD, f"the payload of the age file is damaged: {why}", hints=(_HINT,)
    )


__all__ = ["decrypt_stream"]
