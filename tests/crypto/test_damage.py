"""Damaged and hostile age files that need a key to be told apart (hostile inputs 42 to 54)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from agekinds import ED25519, KINDS, VALUE, X25519, age_identity, by_kind, failure, ssh_identity
from agemaker import age_file, x25519_stanza
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.crypto import bech32, parameters
from secretsmith.crypto.agefile import decrypt_age, encrypt_age, inspect_age
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import is_grease
from secretsmith.errors import Code, ExitCode, SecretsmithError
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]


# Damage, and the hostile inputs of the rows 40 to 54 that need a key


@by_kind
def test_row_42_cut_in_the_payload(kind: str) -> None:
    recipient, identity = KINDS[kind]
    data = encrypt_age(Sensitive(b"x" * 200_000), [recipient], armor=False)
    start = inspect_age(data)[0].end + parameters.PAYLOAD_NONCE_BYTES
    sealed = parameters.CHUNK_BYTES + parameters.TAG_BYTES
    cuts = [
        start,
        start + 10,
        start + sealed - 1,
        start + sealed,
        start + 2 * sealed,
        start + 2 * sealed + 5,
        len(data) - 1,
    ]
    for cut in cuts:
        problem = failure(data[:cut], identity)
        assert (problem.code, problem.exit_code) == (Code.AGE_TRUNCATED, ExitCode.INTEGRITY), cut


@pytest.mark.parametrize("junk", [b"x", b"\n", b"junk" * 10, bytes(64)])
@pytest.mark.parametrize("size", [0, 10, 65535, 65536, 200_000])
def test_row_43_trailing_bytes(junk: bytes, size: int) -> None:
    data = encrypt_age(Sensitive(bytes(size)), [X25519.public.text], armor=False)
    problem = failure(data + junk, X25519)
    assert (problem.code, problem.exit_code) == (Code.AGE_PAYLOAD, ExitCode.INTEGRITY)


def test_row_42_and_49_cut_armor() -> None:
    data = encrypt_age(VALUE, [X25519.public.text], armor=True)
    assert failure(data[: len(data) // 2], X25519).code is Code.AGE_ARMOR


def test_row_47_a_passphrase_file() -> None:
    stanza = b"-> scrypt " + b"A" * 22 + b" 18\n" + b"A" * 43 + b"\n"
    problem = failure(age_file(stanza), X25519)
    assert (problem.code, problem.exit_code) == (Code.AGE_SCRYPT, ExitCode.USAGE)
    assert problem.hints


@settings(max_examples=150)
@given(st.data())
def test_one_changed_byte_never_gives_another_value(data: st.DataObject) -> None:
    recipient, identity = KINDS[data.draw(st.sampled_from(sorted(KINDS)))]
    sealed = bytearray(encrypt_age(VALUE, [recipient], armor=False))
    # The length differs from run to run (pyrage adds GREASE stanzas), which hypothesis must not see.
    sealed[data.draw(st.integers(0, 10_000)) % len(sealed)] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SecretsmithError):
        decrypt_age(bytes(sealed), [identity])


def test_row_54_grease_is_ignored() -> None:
    """rage adds such a stanza by itself to most files."""
    greased = 0
    for _ in range(50):
        data = encrypt_age(VALUE, [X25519.public.text], armor=False)
        header, _ = inspect_age(data)
        greased += any(is_grease(stanza) for stanza in header.stanzas)
        assert decrypt_age(data, [X25519]).plaintext == VALUE
        assert evidence_of(header) == (Evidence("x25519"),)
    assert greased


@pytest.mark.parametrize("count", [25, 200, parameters.MAX_STANZAS - 1])
def test_many_recipients_open_in_linear_time(count: int, within: Within) -> None:
    others = [
        bech32.encode("age", (9 + number).to_bytes(2, "big") + bytes(29) + b"\x01")
        for number in range(count - 1)
    ]
    with within(2):
        data = encrypt_age(VALUE, [*others, X25519.public.text], armor=True)
    with within(2):
        assert decrypt_age(data, [X25519]).plaintext == VALUE
    with within(2):
        assert failure(data, age_identity(bytes(range(1, 33)))).code is Code.NO_IDENTITY


def test_a_header_as_large_as_allowed_opens_in_time(within: Within) -> None:
    data = age_file(x25519_stanza() * parameters.MAX_STANZAS)
    with within(2):
        assert failure(data, X25519, ssh_identity(ED25519)).code is Code.NO_IDENTITY
    padding = b"-> x " + b"a" * 4000 + b"\n\n"
    data = age_file(x25519_stanza(), padding * 60)
    with within(2):
        assert failure(data, X25519).code is Code.NO_IDENTITY
