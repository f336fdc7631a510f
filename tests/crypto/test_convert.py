"""The derived form of ed25519 keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_ed25519_sk_to_curve25519, crypto_sign_seed_keypair

from secretsmith.crypto.convert import ed25519_public_to_x25519, ed25519_seed_to_x25519
from secretsmith.crypto.curve import FIELD, x25519_name
from secretsmith.crypto.publickey import Form, parse_public_key
from secretsmith.errors import Code, RefusedInput

# What the real ssh-to-age printed: the first three from its README.md with the keys in cmd/ssh-to-age/test-assets
# (keyscan.txt, id_ed25519.pub), the last a recipient in sops-nix's test-assets/secrets.yaml with ssh-ed25519-key.pub.
SSH_TO_AGE = [
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF/KPU3Z5LSjbBI6hrq25wCcseq2UpqSzUFZRr+ux6LM",
        "age1hjm3aujg9e79f5yth8a2cejzdjg5n9vnu96l05p70uvfpeltnpms7yy3pp",
    ),
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIL2vjdqpppuCn7yPdF2muINriAG7zBWrsELKpPWkhn5",
        "age1v8zjc47jmlqwefyu66s0d4ke98qr4vnuj3cpvs4z9npfdw833dxqwjrhzv",
    ),
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOHz+U0YtjINc54dZiJNclfmEFifF7RXCFlNlTbuZBji",
        "age17044m9wgakla6pzftf4srtl3h5mcsr85jysgt5fg23zpnta8sfdqhzn452",
    ),
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBI1+Q+ntzANebtnicCiAY29uqLGWOaOGLEa8bUqOVmS",
        "age1a8pk4akrdamj7nvqy3zywgtny8dxz7t5xzu7u8v9mhrayp9freqsqatyrs",
    ),
]
_SEED = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(("ssh", "age"), SSH_TO_AGE)
def test_equal_to_ssh_to_age(ssh: str, age: str) -> None:
    assert parse_public_key(ssh).recipient(Form.DERIVED) == age


@given(_SEED)
def test_the_name_of_a_key_is_worked_out_without_a_library_too(seed: bytes) -> None:
    public, _ = crypto_sign_seed_keypair(seed)
    assert x25519_name(public) == ed25519_public_to_x25519(public)


def test_a_name_for_any_bytes() -> None:
    assert x25519_name(b"\x01" + bytes(31)) == bytes(32)
    assert len(x25519_name(b"\xff" * 32)) == 32


@given(_SEED)
def test_both_halves_of_a_converted_key_belong_together(seed: bytes) -> None:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    scalar = ed25519_seed_to_x25519(seed)
    assert X25519PrivateKey.from_private_bytes(
        scalar
    ).public_key().public_bytes_raw() == ed25519_public_to_x25519(public)


@given(_SEED)
def test_the_scalar_is_libsodium_s(seed: bytes) -> None:
    _, secret = crypto_sign_seed_keypair(seed)
    assert ed25519_seed_to_x25519(seed) == crypto_sign_ed25519_sk_to_curve25519(secret)


@given(_SEED)
def test_the_point_is_the_birational_map(seed: bytes) -> None:
    """RFC 7748 §4.1: u = (1 + y) / (1 - y)."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    y = int.from_bytes(public, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, FIELD) % FIELD
    assert ed25519_public_to_x25519(public) == u.to_bytes(32, "little")


@given(_SEED)
def test_any_bytes_convert_or_are_refused(raw: bytes) -> None:
    refused = None
    try:
        assert len(ed25519_public_to_x25519(raw)) == 32
    except RefusedInput as problem:
        refused = problem.code
    assert refused in (None, Code.KEY_WEAK)
