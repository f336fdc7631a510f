"""What only a key that is wrong, or a caller that is, would show of the reader."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest
from agekinds import ED25519, RSA, VALUE, failure, ssh_identity
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from secretsmith.crypto import _sodium, reader
from secretsmith.crypto.agefile import decrypt_age, encrypt_age
from secretsmith.crypto.curve import LOW_ORDER_X25519
from secretsmith.crypto.header import Stanza
from secretsmith.crypto.identity import SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code
from secretsmith.sensitive import Sensitive

SCALAR = Sensitive(bytes(range(32)))


@pytest.mark.parametrize(
    "share", sorted(LOW_ORDER_X25519), ids=lambda share: share.hex()[:8] + share.hex()[-2:]
)
def test_low_order_shares_open_nothing_here_either(share: bytes) -> None:
    """The header parser refuses them; the reader does not rely on that."""
    text = base64.b64encode(share).decode().rstrip("=")
    key = reader.X25519Key(SCALAR)
    public = parse_public_key(ED25519.public)
    assert key.unwrap(Stanza("X25519", (text,), bytes(32))) is None
    ssh = reader.SshEd25519Key(key, public)
    for tag in (public.tag, "AAAAAA"):
        assert ssh.unwrap(Stanza("ssh-ed25519", (tag or "", text), bytes(32))) is None


def test_what_depends_on_the_key_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = _sodium.library()
    counted: list[str] = []

    @dataclass
    class Counting:
        def public_of(self, scalar: bytes) -> bytes:
            counted.append("public")
            return real.public_of(scalar)

        def exchange(self, scalar: bytes, point: bytes) -> bytes | None:
            counted.append("exchange")
            return real.exchange(scalar, point)

        def unseal(self, key: bytes, nonce: bytes, sealed: _sodium.Sealed) -> bytes | None:
            return real.unseal(key, nonce, sealed)

    identity = ssh_identity(ED25519)
    files = [encrypt_age(VALUE, [ED25519.public, RSA.public], armor=False) for _ in range(10)]
    monkeypatch.setattr(_sodium, "library", Counting)
    for data in files:
        assert decrypt_age(data, [identity]).plaintext == VALUE
    assert counted.count("public") == 1
    assert counted.count("exchange") == 20


# RSA


@pytest.fixture(scope="module")
def numbers() -> rsa.RSAPrivateNumbers:
    return rsa.generate_private_key(65537, 2048).private_numbers()


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _mpint(number: int) -> bytes:
    return _string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _openssh(numbers: rsa.RSAPrivateNumbers, private_exponent: int) -> SshPrivateKey:
    """An OpenSSH key that our parser takes, with any private exponent (PROTOCOL.key)."""
    e, n = numbers.public_numbers.e, numbers.public_numbers.n
    values = (n, e, private_exponent, numbers.iqmp, numbers.p, numbers.q)
    section = bytes(8) + _string(b"ssh-rsa") + b"".join(map(_mpint, values)) + _string(b"")
    section += bytes(range(1, -len(section) % 8 + 1))
    public = _string(b"ssh-rsa") + _mpint(e) + _mpint(n)
    none = _string(b"none")
    blob = b"openssh-key-v1\0" + none + none + _string(b"") + (1).to_bytes(4, "big")
    text = base64.encodebytes(blob + _string(public) + _string(section)).decode()
    words = "OPENSSH PRIVATE KEY"
    parsed = parse_ssh_private_key(f"-----BEGIN {words}-----\n{text}-----END {words}-----\n".encode())
    assert isinstance(parsed, SshPrivateKey)
    return parsed


@pytest.mark.parametrize("exponent", ["as it is", 1, 2, 3, 1 << 3000])
def test_an_rsa_key_whose_private_numbers_are_wrong(
    numbers: rsa.RSAPrivateNumbers, exponent: int | str
) -> None:
    key = _openssh(numbers, numbers.d if isinstance(exponent, str) else exponent)
    data = encrypt_age(VALUE, [key.public.text, ED25519.public], armor=False)
    identity = SshIdentity(key, "odd")
    if isinstance(exponent, str):
        assert decrypt_age(data, [identity]).plaintext == VALUE
        return
    assert failure(data, identity).code in (Code.KEY_FORMAT, Code.NO_IDENTITY)
    # and it does not keep the next one from opening the file
    assert decrypt_age(data, [identity, ssh_identity(ED25519)]).plaintext == VALUE


def test_an_rsa_stanza_with_another_key_s_tag_or_a_longer_file_key() -> None:
    identity = ssh_identity(RSA)
    public = serialization.load_ssh_public_key(RSA.public.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    unwrap = reader.SshRsaKey(identity._key.openssh, identity.public).unwrap
    _, oaep = reader.SshRsaKey(identity._key.openssh, identity.public)._loaded
    for length, tag, expected in (
        (16, identity.public.tag, bytes(16)),
        (16, "AAAAAA", None),
        (17, identity.public.tag, None),
        (0, identity.public.tag, None),
    ):
        body = public.encrypt(bytes(length), oaep)
        assert unwrap(Stanza("ssh-rsa", (tag or "",), body)) == expected
    assert unwrap(Stanza("ssh-rsa", (identity.public.tag or "",), bytes(255))) is None


def test_keys_show_nothing() -> None:
    """Whatever an object of the reader is printed as, it is not the key."""
    key = reader.X25519Key(SCALAR)
    shown = repr([key, vars(key)])
    assert SCALAR.expose().hex() not in shown.encode().hex()
