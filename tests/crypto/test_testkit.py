"""All vectors of the age testkit, each its own test."""

from __future__ import annotations

import hashlib
import os

import pytest
from testkit import Vector, find_testkit, load_vectors, parse_vector

from secretsmith.crypto import _sodium
from secretsmith.crypto.agefile import decrypt_age, inspect_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.armor import dearmor, enarmor, is_armored
from secretsmith.crypto.header import dump_header, parse_header
from secretsmith.crypto.identity import AgeIdentity
from secretsmith.crypto.passphrase import decrypt_scrypt
from secretsmith.errors import CannotDecrypt, Code, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive

_PLACE = find_testkit()
if _PLACE is None:
    if os.environ.get("SECRETSMITH_REQUIRE_PEERS") == "1":
        pytest.fail("the age testkit is required and missing: set AGE_TESTKIT", pytrace=False)
    pytest.skip("no age testkit: set AGE_TESTKIT", allow_module_level=True)

VECTORS = load_vectors(_PLACE)
by_name = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)

CODES = {
    "no match": {Code.NO_IDENTITY, Code.PASSPHRASE},
    "HMAC failure": {Code.AGE_MAC},
    "header failure": {Code.AGE_HEADER, Code.AGE_VERSION, Code.EMPTY},
    "armor failure": {Code.AGE_ARMOR},
    "payload failure": {Code.AGE_PAYLOAD, Code.AGE_TRUNCATED},
}
CLASSES: dict[str, type[SecretsmithError]] = {
    "no match": CannotDecrypt,
    "HMAC failure": IntegrityFailure,
    "header failure": RefusedInput,
    "armor failure": RefusedInput,
    "payload failure": IntegrityFailure,
}


def _identities(vector: Vector) -> list[AgeIdentity]:
    secrets = [secret for line in vector.identities for secret in parse_age_identities(line.encode())]
    assert all(isinstance(secret, AgeSecret) for secret in secrets)
    return [AgeIdentity(secret, vector.name) for secret in secrets if isinstance(secret, AgeSecret)]


def _open(vector: Vector) -> Sensitive:
    if vector.passphrases:
        # One vector has an identity beside its passphrase; its header is refused before either is used.
        return decrypt_scrypt(vector.data, Sensitive(vector.passphrases[0].encode()))
    return decrypt_age(vector.data, _identities(vector)).plaintext


def test_the_whole_kit_is_there() -> None:
    assert len(VECTORS) == 143
    assert sum(any("-PQ-" in key for key in vector.identities) for vector in VECTORS) == 19


def test_an_unknown_header_key_is_an_error() -> None:
    with pytest.raises(AssertionError, match="unknown header key"):
        parse_vector("new", b"expect: success\nsurprise: yes\n\n")


@by_name
def test_outcome(vector: Vector) -> None:
    if vector.expect == "success":
        assert hashlib.sha256(_open(vector).expose()).hexdigest() == vector.payload
    else:
        with pytest.raises(SecretsmithError) as caught:
            _open(vector)
        assert caught.value.code in CODES[vector.expect]
        assert type(caught.value) is CLASSES[vector.expect]


@by_name
def test_header_and_armor_failures_are_seen_by_our_parser_without_a_key(vector: Vector) -> None:
    if vector.expect in ("header failure", "armor failure"):
        with pytest.raises(RefusedInput) as caught:
            inspect_age(vector.data)
        assert caught.value.code in CODES[vector.expect]
    else:
        inspect_age(vector.data)


@by_name
def test_what_is_parsed_serialises_to_the_same_bytes(vector: Vector) -> None:
    try:
        binary = dearmor(vector.data) if is_armored(vector.data) else vector.data
        header = parse_header(binary)
    except RefusedInput:
        assert vector.expect in ("header failure", "armor failure")
        return
    assert dump_header(header) == binary[: header.end]
    assert dearmor(enarmor(binary)) == binary


@by_name
def test_the_same_through_pynacl_s_public_functions(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = _sodium.Bindings()
    monkeypatch.setattr(_sodium, "library", lambda: bindings)
    test_outcome(vector)


@pytest.mark.parametrize(
    "name", ["stanza_missing_body", "stanza_missing_final_line", "scrypt_work_factor_23"]
)
def test_what_pyrage_wrongly_accepts_is_refused_here(name: str) -> None:
    (vector,) = [vector for vector in VECTORS if vector.name == name]
    with pytest.raises(RefusedInput) as caught:
        inspect_age(vector.data)
    assert caught.value.code is Code.AGE_HEADER
