"""The text form of age files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from agemaker import age_file, x25519_stanza
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.crypto import parameters
from secretsmith.crypto.agefile import inspect_age
from secretsmith.crypto.armor import dearmor, enarmor, is_armored
from secretsmith.errors import Code, RefusedInput

Within = Callable[[float], AbstractContextManager[None]]
FILE = age_file(x25519_stanza())


def _code(data: bytes) -> Code:
    with pytest.raises(RefusedInput) as caught:
        inspect_age(data)
    return caught.value.code


@given(st.binary(min_size=1, max_size=400))
def test_round_trip(data: bytes) -> None:
    text = enarmor(data)
    assert is_armored(text)
    assert dearmor(text) == data
    assert max(map(len, text.splitlines())) <= 64


@given(st.data())
def test_one_changed_byte_is_refused_or_changes_the_file(data: st.DataObject) -> None:
    """Nothing inside the block can be spelled in two ways (line ends apart)."""
    binary = data.draw(st.binary(min_size=1, max_size=200))
    text = bytearray(enarmor(binary))
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value not in b" \t\r\n"))
    if text[place] == byte:
        return
    text[place] = byte
    try:
        decoded = dearmor(bytes(text))
    except RefusedInput:
        return
    assert decoded != binary


def test_row_48_fifty_megabytes_of_armor(within: Within) -> None:
    text = enarmor(FILE)
    data = text[:40] + b"A" * 50_000_000
    with within(0.5):
        assert _code(data) is Code.TOO_BIG


def test_the_largest_armor_is_fast(within: Within) -> None:
    text = enarmor(FILE + bytes(parameters.MAX_ARMORED_FILE * 3 // 4 - 1_000_000))
    assert len(text) < parameters.MAX_ARMORED_FILE
    with within(2):
        inspect_age(text)


@pytest.mark.parametrize(
    "data",
    [
        b"junk\n" + enarmor(FILE),
        enarmor(FILE) + b"junk\n",
        enarmor(FILE) + enarmor(FILE),
        b" " * 2000 + enarmor(FILE),
        enarmor(FILE) + b"\n" * 2000,
        enarmor(FILE)[:-40],
        enarmor(FILE).replace(b"\n", b"\r"),
    ],
)
def test_row_49_junk_around_the_armor(data: bytes) -> None:
    if data.startswith(b" " * 2000):
        # So much whitespace hides the armor from the look at the start; either way it is refused.
        assert _code(data) in (Code.AGE_ARMOR, Code.FORMAT)
    else:
        assert _code(data) is Code.AGE_ARMOR


@pytest.mark.parametrize("around", [b"", b"\n", b"  \n\t\r\n"])
def test_row_50_crlf_and_whitespace_around(around: bytes) -> None:
    header, armored = inspect_age(around + enarmor(FILE).replace(b"\n", b"\r\n") + around)
    assert armored
    assert len(header.stanzas) == 1


def test_row_51_pgp() -> None:
    with pytest.raises(RefusedInput, match="this is pgp") as caught:
        inspect_age(b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n")
    assert caught.value.code is Code.FORMAT
    assert caught.value.hints


def test_a_private_key_is_named_but_not_repeated() -> None:
    with pytest.raises(RefusedInput, match="private key") as caught:
        inspect_age(b"-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    assert "c2VjcmV0" not in caught.value.message


def test_a_binary_file_is_never_taken_for_armor() -> None:
    assert not is_armored(age_file(x25519_stanza(), payload=b"-----BEGIN AGE ENCRYPTED FILE-----\n"))
