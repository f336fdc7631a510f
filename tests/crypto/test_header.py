"""The header parser: grammar, bounds, malleability."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest
from agemaker import BODY, MAC, SHARE, VERSION, age_file, native_stanzas, unknown_stanzas, x25519_stanza
from hypothesis import example, given
from hypothesis import strategies as st

from secretsmith.crypto import parameters
from secretsmith.crypto.agefile import inspect_age
from secretsmith.crypto.header import Header, Stanza, dump_header, is_grease, parse_header
from secretsmith.errors import Code, ExitCode, RefusedInput

Within = Callable[[float], AbstractContextManager[None]]


def _refusal(data: bytes) -> RefusedInput:
    with pytest.raises(RefusedInput) as caught:
        inspect_age(data)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n" not in caught.value.message
    return caught.value


@given(
    st.lists(st.one_of(unknown_stanzas(), native_stanzas()), min_size=1, max_size=8),
    st.binary(min_size=32, max_size=32),
)
def test_parsing_is_the_inverse_of_serialising(stanzas: list[Stanza], mac: bytes) -> None:
    text = dump_header(Header(tuple(stanzas), mac, 0))
    header = parse_header(text + bytes(32))
    assert header == Header(tuple(stanzas), mac, len(text))


@given(st.data())
def test_no_second_spelling_of_a_header_is_accepted(data: st.DataObject) -> None:
    """The law of age's own fuzz target: what parses serialises to the same bytes, whatever one byte was changed."""
    stanzas = data.draw(st.lists(native_stanzas(), min_size=1, max_size=3))
    text = bytearray(dump_header(Header(tuple(stanzas), bytes(32), 0)))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.integers(0, 255))
    changed = bytes(text) + bytes(32)
    try:
        header = parse_header(changed)
    except RefusedInput:
        return
    assert dump_header(header) == changed[: header.end]


@given(st.binary(max_size=400))
@example(VERSION)
@example(VERSION + b"-> a\n")
@example(age_file(x25519_stanza())[:-30])
def test_any_bytes_end_in_a_header_or_a_refusal(data: bytes) -> None:
    for candidate in (data, VERSION + data, VERSION + b"-> " + data):
        with suppress(RefusedInput):
            inspect_age(candidate)


# The rows 40 to 54 of the hostile inputs that need no key; the others are in test_agefile.py and test_armor.py.


def test_row_40_empty_file() -> None:
    assert _refusal(b"").code is Code.EMPTY


def test_row_41_cut_anywhere_in_the_header() -> None:
    whole = age_file(x25519_stanza(), x25519_stanza())
    end = parse_header(whole).end
    codes = {_refusal(whole[:length]).code for length in range(1, end + parameters.PAYLOAD_NONCE_BYTES)}
    assert codes == {Code.AGE_HEADER}


@pytest.mark.parametrize("version", [b"age-encryption.org/v2\n", b"age-encryption.org/v10\n"])
def test_row_44_another_version(version: bytes) -> None:
    problem = _refusal(age_file(x25519_stanza(), version=version))
    assert problem.code is Code.AGE_VERSION
    assert problem.hints


@pytest.mark.parametrize("size", [parameters.MAX_ARGUMENT_LINE, 100_000, 1_000_000])
def test_row_45_a_huge_argument(size: int, within: Within) -> None:
    data = age_file(b"-> x " + b"a" * size + b"\n\n")
    with within(0.05):
        assert _refusal(data).code is Code.AGE_HEADER


@pytest.mark.parametrize("stanza", [b"-> x\n\n", x25519_stanza()])
def test_row_46_too_many_stanzas(stanza: bytes, within: Within) -> None:
    data = age_file(stanza * 100_000)
    with within(0.5):
        assert _refusal(data).code is Code.AGE_HEADER


def test_the_largest_number_of_stanzas_is_fast(within: Within) -> None:
    data = age_file(x25519_stanza() * parameters.MAX_STANZAS)
    with within(0.5):
        header, _ = inspect_age(data)
    assert len(header.stanzas) == parameters.MAX_STANZAS


def test_an_endless_body(within: Within) -> None:
    data = VERSION + b"-> x\n" + (b"A" * 64 + b"\n") * 200_000
    with within(0.5):
        assert _refusal(data).code is Code.AGE_HEADER


def test_an_endless_line(within: Within) -> None:
    with within(0.5):
        assert _refusal(VERSION + b"-" * 10_000_000).code is Code.AGE_HEADER


def test_too_large_a_file(within: Within) -> None:
    data = age_file(x25519_stanza(), payload=bytes(parameters.MAX_AGE_FILE))
    with within(0.5):
        assert _refusal(data).code is Code.TOO_BIG


@pytest.mark.parametrize(
    "share",
    [
        bytes(32),
        (1).to_bytes(32, "little"),
        (2**255 - 20).to_bytes(32, "little"),
        (2**255 - 19).to_bytes(32, "little"),
        (2**255 - 18).to_bytes(32, "little"),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7"),
    ],
)
def test_row_52_low_order_shares(share: bytes) -> None:
    text = base64.b64encode(share).decode().rstrip("=")
    assert _refusal(age_file(x25519_stanza(text))).code is Code.AGE_HEADER
    assert _refusal(age_file(f"-> ssh-ed25519 AAAAAA {text}\n".encode() + BODY)).code is Code.AGE_HEADER


def test_row_54_grease_is_kept_in_the_header_and_marked() -> None:
    header, _ = inspect_age(age_file(x25519_stanza(), b"-> 9x-grease a b\nAAAA\n"))
    assert [is_grease(stanza) for stanza in header.stanzas] == [False, True]


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is plain text\n",
        b"\x00\x01\x02\x03" * 20,
        b"sops:\n  age: []\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
    ],
)
def test_no_age_file(data: bytes) -> None:
    assert _refusal(data).code is Code.FORMAT


@pytest.mark.parametrize(
    "stanza",
    [
        b"-> ssh-ed25519 AAAAAA\n" + BODY,
        f"-> ssh-ed25519 AAAAA {SHARE}\n".encode() + BODY,
        f"-> ssh-ed25519 AAAAAAA {SHARE}\n".encode() + BODY,
        f"-> ssh-ed25519 AAAAAB {SHARE}\n".encode() + BODY,  # spare bits that are not zero
        f"-> ssh-ed25519 AAAAAA {SHARE}\nAAAA\n".encode(),
        b"-> ssh-rsa AAAAAA\n" + BODY,
        b"-> ssh-rsa\n" + b"A" * 64 + b"\n",
    ],
)
def test_malformed_ssh_stanzas(stanza: bytes) -> None:
    assert _refusal(age_file(stanza)).code is Code.AGE_HEADER


def test_a_header_without_recipients() -> None:
    assert _refusal(VERSION + MAC + bytes(32)).code is Code.AGE_HEADER
