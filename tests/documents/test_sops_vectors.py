"""Every case of the public vectors: documents made with the real sops 3.11.0, and altered ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sopstrees import comments_of, data_of
from sopsvectors import CASES, VECTORS, opener_of, read, recipient

from secretsmith.documents.codec import codec_of
from secretsmith.documents.format import Format
from secretsmith.documents.node import document_trees
from secretsmith.documents.sopsnew import new_document
from secretsmith.documents.sopsopen import OpenDocument, open_document
from secretsmith.documents.sopsplain import converted, plaintext, trees
from secretsmith.errors import CannotDecrypt, IntegrityFailure, RefusedInput, SecretsmithError

# sops fails on its own output here (issue 2281): it reads a sealed comment of a list as a value, after which the
# comment before it is forgotten. Ours is opened, to what was encrypted.
UPSTREAM_CANNOT_READ = {"yaml_encrypted_comment_regex_list_bug"}
# sops prints null for a text that begins with a tab; its JSON has the text.
UPSTREAM_LOSES_TEXT = {"yaml_leading_tab_block_bug"}

# What sops does not notice, and why; nor do we, since a document must open in both or in none.
UNDETECTED = {
    "tamper_plain_key_renamed_UNDETECTED": "keys of values in clear are not in the MAC",
    "tamper_null_added_UNDETECTED": "null and the empty text add nothing to the MAC",
    "tamper_null_removed_UNDETECTED": "null and the empty text add nothing to the MAC",
    "tamper_int_to_str_UNDETECTED": "the type tag is not authenticated",
}

FAILURES: dict[int, type[SecretsmithError]] = {
    51: IntegrityFailure,  # the MAC
    25: IntegrityFailure,  # a value
    128: CannotDecrypt,  # no data key
    1: RefusedInput,  # metadata
    2: IntegrityFailure,  # sops panics: a number where a sealed text must be
}

DECRYPTED = [case for case in CASES if case.get("expect_exit") == 0]
FAILING = [case for case in CASES if case.get("expect_exit") and case["name"] not in UPSTREAM_CANNOT_READ]
REFUSED = [case for case in CASES if "expect_encrypt_exit" in case]


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def opened(case: dict[str, Any]) -> OpenDocument:
    return open_document(
        Format(case["format"]),
        read(case["encrypted"]),
        opener_of(case),
        ignore_mac="--ignore-mac" in case["decrypt_args"],
    )


def test_all_cases_are_here() -> None:
    assert len(CASES) == 93
    assert len(DECRYPTED) + len(FAILING) + len(REFUSED) + len(UPSTREAM_CANNOT_READ) == 93
    assert {case["name"] for case in CASES if case["name"].endswith("UNDETECTED")} == UNDETECTED.keys()


@pytest.mark.parametrize("case", named(DECRYPTED))
def test_opens_to_what_sops_shows(case: dict[str, Any]) -> None:
    document = opened(case)
    clear = plaintext(document)
    expected = read(case["expect_stdout_file"])
    if document.file.format is Format.BINARY:
        assert clear == expected
        return
    codec = codec_of(document.file.format)
    again = [data_of(node) for node in document_trees(codec.read(clear))]
    if case["name"] in UPSTREAM_LOSES_TEXT:
        assert again != [data_of(node) for node in document_trees(codec.read(expected))]
    else:
        theirs = document_trees(codec.read(expected))
        assert again == [data_of(node) for node in theirs]
        assert sorted(map(comments_of, trees(document))) == sorted(map(comments_of, theirs))
    # The text in clear says the same as the values.
    assert again == [data_of(node) for node in trees(document)]


@pytest.mark.parametrize("case", named([case for case in DECRYPTED if "expect_json_file" in case]))
def test_gives_the_data_of_sops_as_json(case: dict[str, Any]) -> None:
    expected = json.loads(read(case["expect_json_file"]), parse_int=float)
    found = json.loads(converted(opened(case), Format.JSON), parse_int=float)
    if case["name"] == "yaml_scalars" or case["format"] == "json":
        # sops itself writes integers beyond 2^53 in full from YAML.
        exact = json.loads(converted(opened(case), Format.JSON))
        assert exact == json.loads(read(case["expect_json_file"]))
    assert found == expected


@pytest.mark.parametrize(
    "case", named([case for case in DECRYPTED if case["format"] in ("json", "dotenv", "binary")])
)
def test_keeps_the_text_where_sops_does(case: dict[str, Any]) -> None:
    # These formats have one way to write things, or sops keeps the text as it was.
    assert plaintext(opened(case)) == read(case["expect_stdout_file"])


@pytest.mark.parametrize("case", named(FAILING))
def test_fails_where_sops_fails(case: dict[str, Any]) -> None:
    with pytest.raises(FAILURES[case["expect_exit"]]) as failure:
        opened(case)
    assert type(failure.value) is FAILURES[case["expect_exit"]]
    for secret in ("hunter2", "AGE-SECRET-KEY"):
        assert secret not in str(failure.value)


@pytest.mark.parametrize("name", sorted(UPSTREAM_CANNOT_READ))
def test_opens_what_sops_writes_and_cannot_read(name: str) -> None:
    (case,) = (case for case in CASES if case["name"] == name)
    found = [data_of(node) for node in trees(opened(case))]
    clear = codec_of(Format(case["format"])).read(read(case["plain"]))
    assert found == [data_of(node) for node in document_trees(clear)]


@pytest.mark.parametrize("case", named(REFUSED))
def test_refuses_to_encrypt_what_sops_refuses(case: dict[str, Any]) -> None:
    with pytest.raises(RefusedInput):
        new_document(Format(case["format"]), read(case["plain"]), [[recipient("a.txt")]])


def test_no_vector_is_left_out() -> None:
    used = {case[name] for case in CASES for name in ("plain", "encrypted") if case.get(name)}
    for folder in ("plain", "enc"):
        for path in (VECTORS / folder).iterdir():
            assert str(Path(folder, path.name)) in used or path.name.startswith("upd_")
