"""The MAC of sops documents: facts of sops, and every file of the vectors."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recomputed import CASES, READABLE, data_key, identities, read, verified

from secretsmith.crypto.mac import DocumentMac
from secretsmith.errors import IntegrityFailure

TRUSTED = [case for case in READABLE if "--ignore-mac" not in case["decrypt_args"]]
BROKEN = [case for case in CASES if case.get("expect_exit") in (25, 51) and "list_bug" not in case["name"]]
# The MAC itself does not open.
UNREADABLE_MACS = (
    "tamper_mac_bitflip",
    "tamper_mac_empty",
    "tamper_mac_from_other_value",
    "tamper_lastmodified",
)


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_the_empty_document_has_the_hash_of_nothing() -> None:
    assert DocumentMac().hexdigest() == hashlib.sha512().hexdigest().upper()


def test_only_encrypted_begins_with_the_hash_of_the_word_sops() -> None:
    seed = hashlib.sha256(b"sops").digest()
    mac = DocumentMac(only_encrypted=True)
    mac.update(b"value")
    assert mac.hexdigest() == hashlib.sha512(seed + b"value").hexdigest().upper()


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_values_follow_each_other_without_a_separator(values: list[bytes]) -> None:
    mac = DocumentMac()
    for value in values:
        mac.update(value)
    assert mac.hexdigest() == hashlib.sha512(b"".join(values)).hexdigest().upper()
    assert mac.matches(mac.hexdigest().encode())
    assert not mac.matches(mac.hexdigest().lower().encode())
    assert not mac.matches(b"")


@pytest.mark.parametrize("case", TRUSTED, ids=named)
def test_files_of_sops_verify(case: dict[str, Any]) -> None:
    file = read(case)
    assert verified(file, data_key(file.metadata, identities(case)))


@pytest.mark.parametrize("case", BROKEN, ids=named)
def test_files_that_sops_refuses_do_not(case: dict[str, Any]) -> None:
    file = read(case)
    key = data_key(file.metadata, identities(case))
    if case["expect_exit"] == 51 and case["name"] not in UNREADABLE_MACS:
        assert not verified(file, key)
    else:
        with pytest.raises(IntegrityFailure):
            verified(file, key)


def test_what_sops_wrote_and_cannot_read_verifies_here() -> None:
    (case,) = [case for case in CASES if case["name"] == "yaml_encrypted_comment_regex_list_bug"]
    file = read(case)
    assert verified(file, data_key(file.metadata, identities(case)))
