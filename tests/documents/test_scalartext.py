"""How numbers, times and texts are written: laws against Decimal and ruamel, and the forms of sops."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from secretsmith.documents.numbertext import float_json, float_plain, float_text, float_yaml, parse_go_float
from secretsmith.documents.scalar import needs_quotes, resolve_yaml, to_json_text, to_text, to_yaml_plain
from secretsmith.documents.timetext import parse_rfc3339, parse_yaml_time
from secretsmith.documents.tree import LeafKind
from secretsmith.errors import Code, RefusedInput

STR, FLOAT = LeafKind.STRING, LeafKind.FLOAT
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def refusal(code: Code, call: Callable[[], Any]) -> str:
    with pytest.raises(RefusedInput) as caught:
        call()
    assert caught.value.code is code
    return caught.value.message


# Numbers


@given(FINITE)
def test_floats_are_written_as_by_decimal(value: float) -> None:
    text = format(Decimal(repr(value)), "f")
    expected = text.rstrip("0").rstrip(".") if "." in text else text
    assert float_plain(value) == expected
    assert "e" not in expected
    for form in (float_plain, float_yaml, float_json, float_text):
        again = float(form(value))
        assert again == value
        assert math.copysign(1, again) == math.copysign(1, value)
        assert parse_go_float(form(value)) == value


@pytest.mark.parametrize(
    ("value", "plain", "yaml", "json_", "text"),
    [
        (1.0, "1", "1", "1", "1.0"),
        (0.0, "0", "0", "0", "0.0"),
        (-0.0, "-0", "-0", "-0", "-0.0"),
        (1e10, "10000000000", "1e+10", "10000000000", "1E+10"),
        (123456789.125, "123456789.125", "1.23456789125e+08", "123456789.125", "1.23456789125E+08"),
        (2.5e-7, "0.00000025", "2.5e-07", "2.5e-7", "2.5E-07"),
        (1e21, "1" + "0" * 21, "1e+21", "1e+21", "1E+21"),
        (1e-7, "0.0000001", "1e-07", "1e-7", "1E-07"),
        (1e-100, "0." + "0" * 99 + "1", "1e-100", "1e-100", "1E-100"),
        (100000.0, "100000", "100000", "100000", "100000.0"),
        (1e6, "1000000", "1e+06", "1000000", "1E+06"),
        (0.0001, "0.0001", "0.0001", "0.0001", "0.0001"),
        (0.00001, "0.00001", "1e-05", "0.00001", "1E-05"),
        (5e-324, "0." + "0" * 323 + "5", "5e-324", "5e-324", "5E-324"),
    ],
)
def test_forms_of_floats(value: float, plain: str, yaml: str, json_: str, text: str) -> None:
    assert (float_plain(value), float_yaml(value), float_json(value), float_text(value)) == (
        plain,
        yaml,
        json_,
        text,
    )


def test_what_json_cannot_hold() -> None:
    for plain in (b"+Inf", b"-Inf", b"NaN"):
        refusal(Code.YAML_VALUE, lambda plain=plain: to_json_text(FLOAT, plain))  # type: ignore[misc]
    refusal(Code.ENCODING, lambda: to_json_text(STR, b"\xff"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("inf", math.inf), ("-Infinity", -math.inf), ("+INF", math.inf), ("1_0.5_0", 10.5), ("0x1.8p3", 12.0), ("1e5", 1e5),
     ("0x_1p0", 1.0), ("1E+5", 1e5), ("+nan", None), ("1__0", None), ("_1", None), ("1_", None), ("1_.5", None),
     ("0x1", None), ("1e", None), (" 1", None), ("1e400", None), ("0x1p5000", None), ("", None), ("infinit", None)],
)  # fmt: skip
def test_floats_as_go_reads_them(text: str, value: float | None) -> None:
    assert parse_go_float(text) == value


# Times


@given(st.datetimes(), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_times_have_one_form(time: Any, offset: int) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    clock = time.isoformat()
    found = parse_rfc3339(clock + zone)
    assert found is not None
    assert parse_rfc3339(found) == found == parse_yaml_time(clock + zone)
    assert found.endswith("Z") is (offset == 0)
    assert "0Z" not in found.partition(".")[2]


@pytest.mark.parametrize(
    "text",
    ["2021-3-04T05:06:07Z", "2021-03-04t05:06:07Z", "2021-03-04 05:06:07Z", "2021-03-04T05:06:07", "2021-03-04T25:06:07Z",
     "2021-03-04T05:60:07Z", "2021-03-04T05:06:60Z", "2021-03-04T05:06:07,5Z", "2021-03-04T05:06:07+24:00", "2021-03-04",
     "2021-02-29T05:06:07Z", "2021-00-01T05:06:07Z", "2021-03-04T05:06:07.Z", "2021-03-04T05:06:07Z ", ""],
)  # fmt: skip
def test_times_that_are_none(text: str) -> None:
    assert parse_rfc3339(text) is None


# Quotes


@pytest.mark.parametrize(
    "text",
    ["", " a", "a ", "a: b", "a:", "a #b", "#a", "- a", "-", "?", "? a", ":", "&a", "*a", "!a", "|", ">", "'a", '"a', "%a",
     "@a", "`a", "[a", "]a", "{a", "}", ",a", "---", "--- a", "...", "...x", "a\nb", "a\tb", "a\x00", "a\x85", "a\u2028",
     "\ufeffa", "a\x7f", "yes", "No", "ON", "y", "N", "~", "null", "NULL", "true", "42", "0x1F", "0644", "08", "1e3",
     "1e400", "1_000", ".5", ".inf", "-.INF", ".nan", "1:30", "12:30:45.5", "2019-12-31", "2019-1-2", "0o8", "0b12",
     "2001-12-14 21:59:43 -5", "=", "<<", "+1", "-1", "\ud800"],
)  # fmt: skip
def test_texts_that_need_quotes(text: str) -> None:
    assert needs_quotes(text)


@pytest.mark.parametrize(
    "text",
    ["a", "hunter2", "a b", "a:b", "a#b", "-a", "-a b", "?a", ":a", "a-", "it's", 'say "x"', "a,b", "a[0]", "10.0.0.1",
     "1.2.3", "v1", "é🦀", "http://x/y?z#q", "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]", "a\\b", "..x", "0g",
     "yesterday", "1 2", "20:61x", "$x", "(a)", "a%b", "a@b", "2019-12-31x", "ssh-ed25519 AAAA c@d"],
)  # fmt: skip
def test_texts_that_need_none(text: str) -> None:
    assert not needs_quotes(text)
    assert to_yaml_plain(STR, text.encode()) == text


@pytest.mark.parametrize("text", ["a,b", "[a", "a]", "a{b", "?a", "-a", ":a", "a:,b"])
def test_more_texts_need_quotes_inside_of_brackets(text: str) -> None:
    assert needs_quotes(text, flow=True)


TRICKY = st.text(
    st.sampled_from("aZ09 -?:,[]{}#&*!|>'\"%@`~=.<+_xeoybnTtrulf\\/\n\t\r\0\x85é🦀\u2028\ufeff"), max_size=12
)
TEXTS = st.one_of(TRICKY, st.text(st.characters(codec="utf-8"), max_size=20))


@given(TEXTS)
def test_ruamel_reads_the_same_text(text: str) -> None:
    assume(not re.search("[\ufffe\uffff\U0001fffe-\U0001ffff]", text))
    block = "k: " + to_yaml_plain(STR, text.encode()) + "\n"
    flow = "k: [" + to_yaml_plain(STR, text.encode(), flow=True) + "]\n"
    for version in ("1.1", "1.2"):
        loader = YAML(typ="safe", pure=True)
        loader.version = version
        assert loader.load(block) == {"k": text}
        assert loader.load(flow) == {"k": [text]}


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text(data: bytes) -> None:
    written = to_yaml_plain(STR, data)
    try:
        data.decode()
    except UnicodeDecodeError:
        tag, _, text = written.partition(" ")
        assert resolve_yaml(text, tag=tag) == (STR, data)


@pytest.mark.parametrize(
    ("kind", "plain", "text"),
    [
        (LeafKind.NULL, b"", b"<nil>"),
        (LeafKind.BOOLEAN, b"True", b"true"),
        (FLOAT, b"1", b"1.0"),
        (FLOAT, b"+Inf", b"+Inf"),
        (LeafKind.INTEGER, b"7", b"7"),
        (STR, b"\xff", b"\xff"),
    ],
)
def test_values_as_text(kind: LeafKind, plain: bytes, text: bytes) -> None:
    assert to_text(kind, plain) == text
