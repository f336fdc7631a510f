"""Secret sharing: any k of n, nothing from fewer, and the shares of sops."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recomputed import READABLE, data_key, identities, read, shares

from secretsmith.crypto.shamir import MAX_SHARES, combine, split
from secretsmith.errors import Code, IntegrityFailure


def times(left: int, right: int) -> int:
    """Multiplication in the field, from its definition."""
    product = 0
    for bit in range(8):
        product ^= (left << bit) * (right >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11B << (bit - 8)) * (product >> bit & 1)
    return product


@given(st.data())
def test_any_k_of_n_give_the_secret(data: st.DataObject) -> None:
    secret = data.draw(st.binary(min_size=1, max_size=40))
    count = data.draw(st.integers(2, 12))
    threshold = data.draw(st.integers(2, count))
    parts = split(secret, count, threshold)
    assert [len(part) for part in parts] == [len(secret) + 1] * count
    assert [part[-1] for part in parts] == list(range(1, count + 1))
    chosen = data.draw(st.permutations(parts))[: data.draw(st.integers(threshold, count))]
    assert combine(chosen) == secret


def test_every_pair_and_every_triple() -> None:
    secret = bytes(range(32))
    for threshold in (2, 3):
        parts = split(secret, 5, threshold)
        assert all(combine(chosen) == secret for chosen in itertools.combinations(parts, threshold))


def test_one_less_is_not_enough() -> None:
    secret = bytes(32)
    parts = split(secret, 5, 3)
    assert all(combine(chosen) != secret for chosen in itertools.combinations(parts, 2))


def test_as_many_as_there_are_places() -> None:
    parts = split(b"key", MAX_SHARES, MAX_SHARES)
    assert combine(parts) == b"key"
    assert combine(parts[:-1]) != b"key"


def test_shares_lie_on_a_line_when_two_are_needed() -> None:
    # By hand: y = secret + a·x, so y(1) + secret = a and y(2) + secret = 2a, in the field of AES.
    secret = bytes((0x00, 0x53, 0xCA, 0xFF))
    first, second = split(secret, 2, 2)
    for byte, one, two in zip(secret, first, second, strict=False):
        assert two ^ byte == times(one ^ byte, 2)
    assert times(0x53, 0xCA) == 1  # FIPS 197, the inverse of {53}


def test_shares_made_by_hand() -> None:
    # With a = 0x53 and the secret 0x01 at the places 2 and 0xCA.
    assert combine([bytes((1 ^ times(0x53, 2), 2)), bytes((1 ^ 1, 0xCA))]) == b"\x01"


def test_shares_are_random() -> None:
    assert len({split(bytes(32), 2, 2)[0] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("secret", "count", "threshold"), [(b"", 2, 2), (b"x", 2, 1), (b"x", 2, 3), (b"x", 256, 2), (b"x", 0, 0)]
)
def test_what_cannot_be_split(secret: bytes, count: int, threshold: int) -> None:
    with pytest.raises(ValueError):
        split(secret, count, threshold)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"a\x01"],
        [b"a\x01", b"b\x01"],
        [b"a\x00", b"b\x01"],
        [b"a\x01", b"bb\x02"],
        [b"\x01", b"\x02"],
        [b"", b""],
    ],
)
def test_what_cannot_be_combined(parts: list[bytes]) -> None:
    with pytest.raises(IntegrityFailure) as caught:
        combine(parts)
    assert caught.value.code is Code.CIPHERTEXT


@pytest.mark.parametrize(
    "case", [case for case in READABLE if "shamir" in case["name"]], ids=lambda case: case["name"]
)
def test_shares_of_sops(case: dict[str, Any]) -> None:
    file = read(case)
    found = shares(file.metadata, identities(case))
    assert len(found) == file.metadata.threshold == 2
    assert {len(share) for share in found} == {33}
    assert len(data_key(file.metadata, identities(case))) == 32
