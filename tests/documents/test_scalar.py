"""What scalars are: the facts of sops, other writers' forms, and the vectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from recomputed import READABLE, data_key, identities, open_item, read

from secretsmith.documents.scalar import (
    canonical,
    plain_of,
    resolve_json,
    resolve_yaml,
    to_json_text,
    to_python,
    to_yaml_plain,
)
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import Code, IntegrityFailure, RefusedInput

STR, INT, FLOAT = LeafKind.STRING, LeafKind.INTEGER, LeafKind.FLOAT
BOOL, NULL, TIME, COMMENT = LeafKind.BOOLEAN, LeafKind.NULL, LeafKind.TIME, LeafKind.COMMENT
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def refusal(code: Code, call: Callable[[], Any]) -> str:
    with pytest.raises(RefusedInput) as caught:
        call()
    assert caught.value.code is code
    return caught.value.message


# YAML: every example of the facts


@pytest.mark.parametrize(
    ("text", "kind", "plain"),
    [
        ("42", INT, "42"),
        ("-17", INT, "-17"),
        ("+1", INT, "1"),
        ("-0", INT, "0"),
        ("0x1F", INT, "31"),
        ("-0X1f", INT, "-31"),
        ("0o17", INT, "15"),
        ("0644", INT, "420"),
        ("-0644", INT, "-420"),
        ("00", INT, "0"),
        ("0b101", INT, "5"),
        ("0B1", INT, "1"),
        ("0b-101", INT, "-5"),
        ("1_000", INT, "1000"),
        ("1__0_", INT, "10"),
        ("9223372036854775807", INT, "9223372036854775807"),
        ("-9223372036854775808", INT, "-9223372036854775808"),
        ("-9223372036854775809", FLOAT, "-9223372036854776000"),
        ("18446744073709551616", FLOAT, "18446744073709552000"),
        ("+9223372036854775808", FLOAT, "9223372036854776000"),
        ("0" * 6000 + "7", INT, "7"),
        ("20011214", INT, "20011214"),
        (".5", FLOAT, "0.5"),
        ("5.", FLOAT, "5"),
        ("1e3", FLOAT, "1000"),
        ("1.0", FLOAT, "1"),
        ("1e10", FLOAT, "10000000000"),
        ("2.5e-7", FLOAT, "0.00000025"),
        ("-0.0", FLOAT, "-0"),
        ("08", FLOAT, "8"),
        ("09.5", FLOAT, "9.5"),
        ("1_0.5", FLOAT, "10.5"),
        ("1e-400", FLOAT, "0"),
        (".inf", FLOAT, "+Inf"),
        ("+.Inf", FLOAT, "+Inf"),
        ("-.INF", FLOAT, "-Inf"),
        (".NaN", FLOAT, "NaN"),
        ("true", BOOL, "True"),
        ("FALSE", BOOL, "False"),
        ("", NULL, ""),
        ("~", NULL, ""),
        ("Null", NULL, ""),
        ("2019-12-31", TIME, "2019-12-31T00:00:00Z"),
        ("2019-1-2", TIME, "2019-01-02T00:00:00Z"),
        ("2021-03-04T05:06:07Z", TIME, "2021-03-04T05:06:07Z"),
        ("2001-12-14t21:59:43.10-05:00", TIME, "2001-12-14T21:59:43.1-05:00"),
        ("2001-12-14 21:59:43.000", TIME, "2001-12-14T21:59:43Z"),
        ("2001-12-14T1:2:3+00:00", TIME, "2001-12-14T01:02:03Z"),
        ("2000-02-29", TIME, "2000-02-29T00:00:00Z"),
        ("0000-02-29", TIME, "0000-02-29T00:00:00Z"),
        *[
            (text, STR, text)
            for text in (
                *(
                    "yes",
                    "No",
                    "on",
                    "off",
                    "y",
                    "n",
                    "tRue",
                    "nULL",
                    "inf",
                    "nan",
                    "+inf",
                    "1:30",
                    "0b12",
                    "0o8",
                ),
                *(
                    "1e400",
                    "0x",
                    "0xg",
                    "-",
                    "+",
                    "_1",
                    "--1",
                    "1.2.3",
                    "1e",
                    ".",
                    "..",
                    "._1",
                    "<<",
                    "=",
                    "0x1p3",
                ),
                *("2001-02-29", "2001-12-14 21:59:43 -5", "2001-12-14T21:59:43", "2001-13-01", "24:00"),
                *("1 000", "٣", "１", "hunter2", "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"),
            )
        ],
    ],
)
def test_plain_yaml(text: str, kind: LeafKind, plain: str) -> None:
    assert resolve_yaml(text) == (kind, plain.encode())
    assert resolve_yaml(text, tag="!") == (kind, plain.encode())
    assert resolve_yaml(text, quoted=True) == (STR, text.encode())
    assert resolve_yaml(text, tag="!!str") == (STR, text.encode())


@pytest.mark.parametrize(
    ("text", "tag", "kind", "plain"),
    [
        ("3", "!!float", FLOAT, b"3"),
        ("9007199254740993", "!!float", FLOAT, b"9007199254740992"),
        ("7", "!!int", INT, b"7"),
        ("7", "tag:yaml.org,2002:int", INT, b"7"),
        ("true", "!!bool", BOOL, b"True"),
        ("", "!!null", NULL, b""),
        ("2020-01-01", "!!timestamp", TIME, b"2020-01-01T00:00:00Z"),
        ("aGk=", "!!binary", STR, b"hi"),
        ("/w\n==\n", "!!binary", STR, b"\xff"),
        ("", "!!binary", STR, b""),
    ],
)
@pytest.mark.parametrize("quoted", [True, False])
def test_tags(text: str, tag: str, kind: LeafKind, plain: bytes, quoted: bool) -> None:
    assert resolve_yaml(text, quoted=quoted, tag=tag) == (kind, plain)


@pytest.mark.parametrize(
    ("text", "tag"),
    [("x7", "!!int"), ("1.5", "!!int"), ("yes", "!!bool"), ("x", "!!null"), ("2020-01-01", "!!int"), ("1", "!!bool"),
     ("tomorrow", "!!timestamp"), ("x", "!!float"), ("a", "!!binary"), ("ä", "!!binary"), ("a-==", "!!binary")],
)  # fmt: skip
def test_content_that_does_not_fit_its_tag(text: str, tag: str) -> None:
    # sops makes null of it, and the value is lost.
    refusal(Code.YAML_VALUE, lambda: resolve_yaml(text, tag=tag))


@pytest.mark.parametrize(
    "tag",
    [
        "!custom",
        "!!python/object:os.system",
        "!!set",
        "!!map",
        "tag:example.org,2000:x",
        "!!",
        "!!merge",
        "int",
    ],
)
def test_rows_12_and_13_other_tags(tag: str) -> None:
    message = refusal(Code.YAML_TAG, lambda: resolve_yaml("1", tag=tag))
    assert tag not in message


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775808",
        "18446744073709551615",
        "0xFFFFFFFFFFFFFFFF",
        "01777777777777777777777",
        "9" * 5000,
        "-" + "9" * 5000,
        "0x" + "f" * 5000,
        "0b" + "1" * 65,
        "2001-12-14T21:59:43+24:00",
    ],
)
def test_rows_9_and_10_numbers_that_sops_cannot_hold(text: str, within: Any) -> None:
    with within(2.0):
        message = refusal(Code.YAML_VALUE, lambda: resolve_yaml(text))
    assert text[:5] not in message


@pytest.mark.parametrize(
    "text", ["9" * 10**6, "1" * 10**6 + "x", "1_" * 10**6, "2001-" * 10**5, "." + "1" * 10**6]
)
def test_long_scalars_end_soon(text: str, within: Any) -> None:
    with within(2.0):
        if text.replace("_", "").isdigit():
            refusal(Code.YAML_VALUE, lambda: resolve_yaml(text))
        else:
            resolve_yaml(text)


def test_half_a_character_is_no_text() -> None:
    refusal(Code.ENCODING, lambda: resolve_yaml("\ud800", quoted=True))
    refusal(Code.ENCODING, lambda: resolve_json('"\\ud800"'))
    refusal(Code.ENCODING, lambda: plain_of(STR, "\udc00"))


# JSON


@pytest.mark.parametrize(
    ("token", "kind", "plain"),
    [
        ("1", INT, "1"),
        ("-9223372036854775808", INT, "-9223372036854775808"),
        ("9007199254740993", INT, "9007199254740993"),
        ("9223372036854775808", FLOAT, "9223372036854776000"),
        ("-0", FLOAT, "-0"),
        ("1.0", FLOAT, "1"),
        ("1e3", FLOAT, "1000"),
        ("1E-7", FLOAT, "0.0000001"),
        ("true", BOOL, "True"),
        ("null", NULL, ""),
        ('"a\\u00e9\\n"', STR, "aé\n"),
        ('"\\ud83e\\udd80"', STR, "🦀"),
        ('"1"', STR, "1"),
        ('""', STR, ""),
    ],
)
def test_json(token: str, kind: LeafKind, plain: str) -> None:
    assert resolve_json(token) == (kind, plain.encode())


@pytest.mark.parametrize(
    "token", ["", "01", "+1", "1.", ".5", "NaN", "Infinity", "1e400", "True", "'a'", '"', '"a', '"\n"', "[1]", "{}",
              '"a" ', "1_0", "0x1", "٣", '"[' * 10**5, "9" * 5000]
)  # fmt: skip
def test_what_is_no_json_scalar(token: str) -> None:
    refusal(Code.YAML_VALUE, lambda: resolve_json(token))


@given(st.text(max_size=60))
def test_json_strings_come_back(text: str) -> None:
    assume(not re.search("[\ud800-\udfff]", text))
    token = to_json_text(STR, text.encode())
    assert resolve_json(token) == (STR, text.encode())
    assert not re.search("[<>&\u2028\u2029]", token)


# Values read from an encrypted file


@pytest.mark.parametrize(
    ("kind", "stored", "plain"),
    [
        (INT, b"+007", b"7"),
        (INT, b"-0", b"0"),
        (FLOAT, b"1.0", b"1"),
        (FLOAT, b"1e3", b"1000"),
        (FLOAT, b"inf", b"+Inf"),
        (FLOAT, b"nan", b"NaN"),
        (BOOL, b"true", b"True"),
        (BOOL, b"1", b"True"),
        (BOOL, b"f", b"False"),
        (TIME, b"2019-12-31T00:00:00.500+00:00", b"2019-12-31T00:00:00.5Z"),
        (STR, b"\xff", b"\xff"),
        (STR, b"true", b"true"),
        (COMMENT, b" c", b" c"),
    ],
)
def test_other_writers_forms_become_the_one_that_is_hashed(
    kind: LeafKind, stored: bytes, plain: bytes
) -> None:
    assert canonical(kind, stored) == plain
    assert canonical(kind, plain) == plain


@pytest.mark.parametrize(
    ("kind", "stored"),
    [(INT, b"hunter2"), (INT, b"1.0"), (INT, b"9223372036854775808"), (INT, b"1_0"), (INT, b""), (FLOAT, b"hunter2"),
     (FLOAT, b"1e400"), (BOOL, b"yes"), (BOOL, b"tRue"), (TIME, b"2019-12-31"), (INT, "٣".encode()), (FLOAT, b"\xff")],
)  # fmt: skip
def test_row_27_a_changed_type_is_noticed(kind: LeafKind, stored: bytes) -> None:
    with pytest.raises(IntegrityFailure) as caught:
        canonical(kind, stored)
    assert caught.value.code is Code.MAC
    assert "hunter2" not in str(caught.value)


# Python values


@given(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), FINITE, st.booleans(), st.none(), st.binary()))
def test_python_values_come_back(value: Any) -> None:
    kinds = {str: STR, int: INT, float: FLOAT, bool: BOOL, type(None): NULL, bytes: LeafKind.BYTES}
    kind = kinds[type(value)]
    if isinstance(value, str):
        assume(not re.search("[\ud800-\udfff]", value))
    found = to_python(kind, plain_of(kind, value))
    assert (found, type(found)) == (value, type(value))


def test_wrong_python_values() -> None:
    refusal(Code.YAML_VALUE, lambda: plain_of(INT, 2**63))
    for kind, value in (
        (INT, True),
        (INT, "1"),
        (FLOAT, True),
        (BOOL, 1),
        (STR, 5),
        (TIME, 5),
        (TIME, "today"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            plain_of(kind, value)
        assert "today" not in str(caught.value)
    assert to_python(STR, b"\xff") == b"\xff"
    assert to_python(TIME, plain_of(TIME, "2020-01-01T00:00:00+00:00")) == "2020-01-01T00:00:00Z"


# The vectors


def test_minus_zero_stays_a_float() -> None:
    # sops writes it as -0 and reads an integer again: a file with a clear -0.0 has a wrong MAC for it.
    written = to_yaml_plain(FLOAT, plain_of(FLOAT, -0.0))
    assert resolve_yaml(written) == (FLOAT, b"-0")
    assert resolve_json(to_json_text(FLOAT, b"-0")) == (FLOAT, b"-0")


@pytest.mark.parametrize("name", ["yaml_scalars", "yaml_inf_nan", "yaml_huge_int_becomes_float"])
def test_plain_files_of_the_vectors_are_what_sops_encrypted(name: str) -> None:
    case = next(case for case in READABLE if case["name"] == name)
    sealed, plain = read(case), read(case, case["plain"])
    key = data_key(sealed.metadata, identities(case))
    opened = {item.path: open_item(item, key) if item.sealed else item.value for item in sealed.items}
    assert {item.path: item.value for item in plain.items} == opened
