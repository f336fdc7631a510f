"""Metadata of dotenv and ini: laws, and the blocks of the vectors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recomputed import READABLE, VECTORS, ini_sections

from secretsmith.documents.flatten import flatten, unflatten
from secretsmith.errors import Code, RefusedInput

NAMES = st.text("abcxyz_", min_size=1, max_size=8).filter(
    lambda name: "__" not in name and name.strip("_") == name
)
TEXTS = st.text(max_size=30).map(lambda text: text.replace("\\", "/"))
TREES = st.recursive(
    TEXTS,
    lambda below: (
        st.lists(below, min_size=1, max_size=3) | st.dictionaries(NAMES, below, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TREES, max_size=5), st.sampled_from(["", "sops_"]))
def test_what_is_flattened_comes_back(tree: dict[str, Any], prefix: str) -> None:
    flat = flatten(tree, prefix=prefix)
    assert list(flat) == sorted(flat)
    assert not any("\n" in text for text in flat.values())
    assert unflatten({**flat, "other": "x"} if prefix else flat, prefix=prefix) == tree


def test_the_names_of_sops() -> None:
    entry = {"recipient": "age1x", "enc": "a\nb\n"}
    groups = [{"hc_vault": [], "age": [entry]}, {"hc_vault": None, "age": [entry, entry]}]
    found = flatten(
        {"key_groups": groups, "shamir_threshold": 2, "mac_only_encrypted": True, "mac": "m"}, prefix="sops_"
    )
    assert found == {
        "sops_key_groups__list_0__map_age__list_0__map_enc": "a\\nb\\n",
        "sops_key_groups__list_0__map_age__list_0__map_recipient": "age1x",
        "sops_key_groups__list_1__map_age__list_0__map_enc": "a\\nb\\n",
        "sops_key_groups__list_1__map_age__list_0__map_recipient": "age1x",
        "sops_key_groups__list_1__map_age__list_1__map_enc": "a\\nb\\n",
        "sops_key_groups__list_1__map_age__list_1__map_recipient": "age1x",
        "sops_mac": "m",
        "sops_mac_only_encrypted": "true",
        "sops_shamir_threshold": "2",
    }


def test_real_line_ends_are_read_too() -> None:
    # sops 3.13.0 and 3.13.1 wrote them in ini.
    assert unflatten({"age__list_0__map_enc": "a\nb\n"}) == {"age": [{"enc": "a\nb\n"}]}


def test_the_order_of_a_block_stays() -> None:
    old = ["version", "mac", "lastmodified"]
    tree = {"age": [{"enc": "e"}], "lastmodified": "l", "mac": "m", "version": "v", "zz": "z"}
    assert list(flatten(tree, like=old)) == ["age__list_0__map_enc", "version", "zz", "mac", "lastmodified"]
    assert list(flatten(tree, prefix="p_", like=["p_mac", "p_gone", "p_age__list_0__map_enc"])) == [
        "p_mac",
        "p_version",
        "p_zz",
        "p_age__list_0__map_enc",
        "p_lastmodified",
    ]


@pytest.mark.parametrize(
    "flat",
    [
        {"a__list_1": "x"},
        {"a__list_0": "x", "a__list_2": "y"},
        {"a__list_00": "x"},
        {"a__list_": "x"},
        {"a__list_-1": "x"},
        {"a__list_x": "x"},
        {"a__list_999999999999": "x"},
        {"a__list_0": "x", "a__map_b": "y"},
        {"a": "x", "a__map_b": "y"},
        {"a__map_b": "y", "a": "x"},
        {"a": "x", "a__list_0": "y"},
        {"__map_".join("a" * 40): "x"},
        {"__list_0" * 1000: "x"},
    ],
)
def test_names_that_make_no_tree(flat: dict[str, str]) -> None:
    with pytest.raises(RefusedInput) as caught:
        unflatten(flat)
    assert caught.value.code is Code.FORMAT


def test_two_values_with_one_name() -> None:
    with pytest.raises(RefusedInput) as caught:
        flatten({"a__map_b": "x", "a": {"b": "y"}})
    assert caught.value.code is Code.FORMAT


def test_many_names_take_linear_time(within: Any) -> None:
    tree = {"age": [{"recipient": "r", "enc": "e"} for _ in range(20_000)]}
    with within(2.0):
        flat = flatten(tree, like=["version", "age__list_7__map_enc"])
        assert unflatten(flat) == tree


@pytest.mark.parametrize(
    "case", [case for case in READABLE if case["format"] in ("dotenv", "ini")], ids=lambda case: case["name"]
)
def test_blocks_of_sops_are_written_the_same(case: dict[str, Any]) -> None:
    text = (VECTORS / case["encrypted"]).read_text()
    if case["format"] == "ini":
        block = ini_sections(text)["sops"]
        assert list(flatten(unflatten(block), like=block).items()) == list(block.items())
        return
    lines = [line.partition("=") for line in text.splitlines() if line.startswith("sops_")]
    block = {key: value for key, _, value in lines}
    assert list(flatten(unflatten(block, prefix="sops_"), prefix="sops_").items()) == list(block.items())
