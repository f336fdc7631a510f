"""Bech32 as age uses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.crypto import bech32
from secretsmith.errors import Code, RefusedInput

_HRP = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30).map(str.lower)


@given(_HRP, st.binary(max_size=100))
def test_round_trip_in_both_cases(hrp: str, data: bytes) -> None:
    text = bech32.encode(hrp, data)
    assert bech32.decode(text) == (hrp, data)
    assert bech32.decode(text.upper()) == (hrp, data)


@given(_HRP, st.binary(max_size=60), st.data())
def test_what_decodes_encodes_to_the_same_text(hrp: str, data: bytes, draw: st.DataObject) -> None:
    text = list(bech32.encode(hrp, data))
    place = draw.draw(st.integers(0, len(text) - 1))
    text[place] = draw.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = "".join(text)
    try:
        found = bech32.decode(changed)
    except RefusedInput:
        return
    assert bech32.encode(*found) == changed.lower()


# BIP 173, "Test vectors": valid and invalid ones that concern this form.
@pytest.mark.parametrize(
    "text",
    [
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "?1ezyfcl",
    ],
)
def test_bip_173_valid(text: str) -> None:
    hrp, data = bech32.decode(text)
    assert bech32.encode(hrp, data) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "\x201nwldj5",
        "\x7f1axkwrx",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
        "a12UEL5L",
        "",
    ],
)
def test_bip_173_invalid(text: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        bech32.decode(text)
    assert caught.value.code is Code.KEY_FORMAT


def test_the_error_never_repeats_the_text() -> None:
    secret = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
    with pytest.raises(RefusedInput) as caught:
        bech32.decode(secret[:-1] + ("Q" if secret[-1] != "Q" else "P"))
    assert secret[16:40] not in str(caught.value) + " ".join(caught.value.hints)
