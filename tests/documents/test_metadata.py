"""The metadata block: what is read, what is refused, and that nothing is lost or moved."""

from __future__ import annotations

from typing import Any

import pytest
from recomputed import CASES, READABLE, read

from secretsmith.documents.flatten import flatten
from secretsmith.documents.metadata import AgeEntry, KeyGroup, Metadata, parse_metadata, to_mapping
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import replace

NOW = "2026-11-20T17:12:39Z"
ENTRY = {"recipient": "age1one", "enc": "armored\n"}
FLAT: dict[str, Any] = {
    "age": [ENTRY],
    "lastmodified": NOW,
    "mac": "ENC[x]",
    "unencrypted_suffix": "_unencrypted",
    "version": "3.11.0",
}


def grouped(threshold: Any = 2, count: int = 3) -> dict[str, Any]:
    groups = [{"hc_vault": [], "age": [{"recipient": f"age1{n}", "enc": "e"}]} for n in range(count)]
    return {
        "shamir_threshold": threshold,
        "key_groups": groups,
        "lastmodified": NOW,
        "mac": "m",
        "version": "1",
    }


def in_order(value: Any) -> Any:
    """A form in which the order of keys counts."""
    if isinstance(value, dict):
        return [(key, in_order(below)) for key, below in value.items()]
    return [in_order(below) for below in value] if isinstance(value, list) else value


def refused(block: dict[str, Any], code: Code = Code.FORMAT) -> str:
    with pytest.raises(RefusedInput) as caught:
        parse_metadata(block)
    assert caught.value.code is code
    return caught.value.message


def test_one_group_stands_flat() -> None:
    found = parse_metadata(FLAT)
    assert found == Metadata(
        groups=(KeyGroup((AgeEntry("age1one", "armored\n"),)),),
        lastmodified=NOW,
        mac="ENC[x]",
        selection=("unencrypted_suffix", "_unencrypted"),
        version="3.11.0",
    )
    assert (found.threshold, found.services, found.mac_aad) == (1, (), NOW.encode())


@pytest.mark.parametrize(
    ("threshold", "meant"), [(2, 2), (3, 3), ("2", 2), ("2.000", 2), (None, 3), (0, 3), ("0", 3)]
)
def test_several_groups(threshold: Any, meant: int) -> None:
    found = parse_metadata(grouped(threshold))
    assert (len(found.groups), found.threshold) == (3, meant)
    assert [group.age[0].recipient for group in found.groups] == ["age10", "age11", "age12"]


@pytest.mark.parametrize("threshold", [1, 4, 255, "x", "-1", True, [], "2.5", 10**30, "9" * 5000])
def test_thresholds_that_do_not_fit(threshold: Any) -> None:
    refused(grouped(threshold))


def test_new_metadata_is_in_the_order_of_sops() -> None:
    one = KeyGroup((AgeEntry("age1one", "armored\n"),))
    new = Metadata((one,), NOW, "ENC[x]", selection=("unencrypted_suffix", "_unencrypted"), version="3.11.0")
    assert in_order(to_mapping(new)) == in_order(FLAT)
    several = replace(new, groups=(one, one), shamir_threshold=2, mac_only_encrypted=True)
    group = {"hc_vault": [], "age": [ENTRY]}
    assert in_order(to_mapping(several)) == in_order(
        {
            "shamir_threshold": 2,
            "key_groups": [group, group],
            "lastmodified": NOW,
            "mac": "ENC[x]",
            "unencrypted_suffix": "_unencrypted",
            "mac_only_encrypted": True,
            "version": "3.11.0",
        }
    )


def test_an_alphabetical_block_stays_alphabetical() -> None:
    # As sops 3.13 writes it.
    block = {
        "age": [{"enc": "e", "recipient": "age1"}],
        "lastmodified": NOW,
        "mac": "m",
        "mac_only_encrypted": True,
        "unencrypted_suffix": "_x",
        "version": "3.13.2",
    }
    found = parse_metadata(block)
    assert in_order(to_mapping(found)) == in_order(block)
    several = replace(found, groups=found.groups * 2, shamir_threshold=2)
    assert list(to_mapping(several)) == [
        "key_groups",
        "lastmodified",
        "mac",
        "mac_only_encrypted",
        "shamir_threshold",
        "unencrypted_suffix",
        "version",
    ]


def test_what_an_old_version_wrote_stays() -> None:
    block = {
        "kms": [],
        "gcp_kms": [],
        "azure_kv": [],
        "hc_vault": [],
        "age": [{"recipient": "age1", "enc": "e", "note": "kept"}],
        "lastmodified": NOW,
        "mac": "m",
        "pgp": [],
        "encrypted_regex": "",
        "mac_only_encrypted": False,
        "unknown": {"deep": [1]},
        "version": "3.7.1",
    }
    found = parse_metadata(block)
    assert found.selection is None
    assert in_order(to_mapping(found)) == in_order(block)
    changed = to_mapping(replace(found, mac="new", shamir_threshold=0, mac_only_encrypted=True))
    assert in_order(changed) == in_order({**block, "mac": "new", "mac_only_encrypted": True})


def test_foreign_entries_are_named_and_untouched() -> None:
    pgp = [{"created_at": NOW, "enc": "-----BEGIN PGP", "fp": "ABC"}]
    kms = [{"arn": "arn:aws", "context": {"a": "b"}, "enc": "x", "aws_profile": ""}]
    found = parse_metadata({**FLAT, "kms": kms, "pgp": pgp, "azure_kv": []})
    assert found.services == ("kms", "pgp")
    assert found.groups[0].foreign == {"kms": kms, "pgp": pgp, "azure_kv": []}
    without_age = parse_metadata({"pgp": pgp, "lastmodified": NOW, "mac": "m"})
    assert [(group.age, group.services) for group in without_age.groups] == [((), ("pgp",))]
    block = grouped()
    block["key_groups"][1]["pgp"] = pgp
    assert parse_metadata(block).services == ("pgp",)
    assert in_order(to_mapping(parse_metadata(block))) == in_order(block)


def test_flat_keys_win_over_groups_and_both_stay() -> None:
    block = {**grouped(), "age": [ENTRY]}
    found = parse_metadata(block)
    assert [entry.recipient for entry in found.groups[0].age] == ["age1one"]
    assert len(found.groups) == 1
    assert in_order(to_mapping(found)) == in_order(block)


@pytest.mark.parametrize("empty", [{}, {"age": [], "pgp": None, "key_groups": []}, {"key_groups": None}])
def test_no_keys_at_all(empty: dict[str, Any]) -> None:
    block = {**empty, "lastmodified": NOW, "mac": "m"}
    assert parse_metadata(block).groups == ()
    assert in_order(to_mapping(parse_metadata(block))) == in_order(block)


def test_flat_to_groups_and_back() -> None:
    found = parse_metadata(FLAT)
    second = KeyGroup((AgeEntry("age1two", "e"),))
    several = replace(found, groups=(*found.groups, second), shamir_threshold=2)
    written = to_mapping(several)
    assert list(written)[:2] == ["shamir_threshold", "key_groups"]
    assert "age" not in written
    again = parse_metadata(written)
    assert again.groups[0].age == found.groups[0].age
    assert in_order(to_mapping(replace(again, groups=found.groups, shamir_threshold=0))) == in_order(FLAT)


def test_text_forms_of_dotenv() -> None:
    found = parse_metadata({**FLAT, "mac_only_encrypted": "true"})
    assert found.mac_only_encrypted is True
    assert parse_metadata({**FLAT, "mac_only_encrypted": "false"}).mac_only_encrypted is False


@pytest.mark.parametrize(
    ("text", "aad"),
    [
        ("2026-11-20T17:12:39Z", "2026-11-20T17:12:39Z"),
        ("2026-11-20T17:12:39+00:00", "2026-11-20T17:12:39Z"),
        ("2026-11-20T17:12:39.123456Z", "2026-11-20T17:12:39Z"),
        ("2026-11-20T17:12:39.5+02:00", "2026-11-20T17:12:39+02:00"),
    ],
)
def test_the_time_authenticates_the_mac_in_its_written_form(text: str, aad: str) -> None:
    found = parse_metadata({**FLAT, "lastmodified": text})
    assert found.mac_aad == aad.encode()
    assert to_mapping(found)["lastmodified"] == text


@pytest.mark.parametrize(
    "time", [None, "", "yesterday", "2026-13-20T17:12:39Z", "2026-11-20", 5, "2026-11-20T17:12:39"]
)
def test_times_that_are_none(time: Any) -> None:
    refused({**FLAT, "lastmodified": time})


@pytest.mark.parametrize(
    "wrong",
    [
        {"age": {"recipient": "age1", "enc": "e"}},
        {"age": "age1"},
        {"age": ["age1"]},
        {"age": [None]},
        {"age": [{"recipient": 1, "enc": "e"}]},
        {"age": [{"recipient": "age1", "enc": ["e"]}]},
        {"pgp": "x"},
        {"age": [], "key_groups": {"a": 1}},
        {"age": [], "key_groups": [1]},
        {"age": [], "key_groups": [{"age": "x"}]},
        {"age": [], "key_groups": [{}] * 256},
        {"mac": 5},
        {"mac_only_encrypted": "yes"},
        {"mac_only_encrypted": 1},
        {"unencrypted_suffix": 1},
    ],
)
def test_wrong_shapes(wrong: dict[str, Any]) -> None:
    message = refused({**FLAT, **wrong})
    assert message.startswith("the sops metadata cannot be read: ")


def test_two_rules() -> None:
    assert "encrypted_regex" in refused({**FLAT, "encrypted_regex": "x"}, Code.RULES)


def test_recipients_are_trimmed_for_comparison() -> None:
    assert (
        parse_metadata({**FLAT, "age": [{"recipient": " age1 \n", "enc": "e"}]}).groups[0].age[0].recipient
        == "age1"
    )


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case["name"])
def test_blocks_of_sops_come_back(case: dict[str, Any]) -> None:
    file = read(case)
    if case["format"] in ("dotenv", "ini"):  # all their values are text
        assert flatten(to_mapping(file.metadata)) == flatten(file.block)
    else:
        assert in_order(to_mapping(file.metadata)) == in_order(file.block)


@pytest.mark.parametrize(
    ("name", "code"), [("tamper_two_rules", Code.RULES), ("tamper_no_sops_block", Code.FORMAT)]
)
def test_blocks_that_sops_refuses(name: str, code: Code) -> None:
    (case,) = [case for case in CASES if case["name"] == name]
    refused(read(case).block, code)


def test_a_file_without_keys() -> None:
    (case,) = [case for case in CASES if case["name"] == "tamper_no_keys"]
    assert read(case).metadata.groups == ()
