"""ed25519 keys as X25519 keys: the derived recipient form of a host key, equal to ssh-to-age's output.

The birational map between the curves is RFC 7748 §4.1; ssh-to-age does the same with filippo.io/edwards25519. One key
that signs (sshd) and does Diffie-Hellman (age) is accepted practice; age's own agessh relies on it too.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from secretsmith.crypto import _sodium, curve
from secretsmith.errors import Code, RefusedInput


def _weak(why: str) -> RefusedInput:
    return RefusedInput(
        Code.KEY_WEAK,
        f"the ed25519 key is {why}",
        hints=("no ssh-keygen makes such a key: ask its owner for the public key again",),
    )


@lru_cache(maxsize=4096)
def ed25519_public_to_x25519(raw: bytes) -> bytes:
    """Convert a 32-byte ed25519 public key to the 32-byte X25519 public key of the same secret.

    Raises:
        RefusedInput: KEY_WEAK for an encoding that is not canonical, not on the curve, or of low order.
    """
    weakness = curve.weakness_of_ed25519(raw)
    if weakness is not None:
        raise _weak(weakness)
    converted = _sodium.library().montgomery_of(raw)
    if converted is None:
        # libsodium refuses what is not on the curve or outside the main subgroup.
        raise _weak("no point of the curve's main group")
    return converted


def ed25519_seed_to_x25519(seed: bytes) -> bytes:
    """Convert a 32-byte ed25519 seed (the private key) to the 32-byte X25519 scalar.

    RFC 8032 §5.1.5 steps 1 and 2, the same bytes as libsodium's crypto_sign_ed25519_sk_to_curve25519; hashlib alone
    does it, so that activation on a host imports no PyNaCl.
    """
    scalar = bytearray(hashlib.sha512(seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    return bytes(scalar)


__all__ = ["ed25519_public_to_x25519", "ed25519_seed_to_x25519"]
