"""Which part of an entry is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive
from secretsmith_pass.reference import parse_reference
from secretsmith_pass.selecting import selected, with_first_line

ENTRY = b"""hunter2
user: alice
User: upper
url: https://example.org/a: b
https://example.org
spaced key :  two blanks
empty:
otpauth://totp/x?secret=SEED
twice: 1
twice: 2
---
port: 5432
quoted: "x"
  nested: y
"""


def take(reference: str, entry: bytes = ENTRY) -> tuple[bytes, list[str]]:
    notices: list[str] = []
    found = selected(parse_reference("pass", reference), Sensitive(entry), notices.append)
    return found.expose(), notices


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("db", b"hunter2"),
        ("db#user", b"alice"),
        ("db#User", b"upper"),
        ("db#URL", b"https://example.org/a: b"),
        ("db#spaced key", b"two blanks"),
        ("db#empty", b""),
        ("db#1", b"hunter2"),
        ("db#5", b"https://example.org"),
        ("db#port", b"5432"),
        ("db#*", ENTRY),
        ("db#otp", b"otpauth://totp/x?secret=SEED"),
    ],
)
def test_selectors(reference: str, value: bytes) -> None:
    assert take(reference)[0] == value


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("db#https", NotFound),
        ("db#nested", NotFound),
        ("db#hunter2", NotFound),
        ("db#0", NotFound),
        ("db#15", NotFound),
        ("db#twice", RefusedInput),
        ("db#quoted", RefusedInput),
    ],
)
def test_what_is_not_certain_is_refused(reference: str, kind: type[SecretsmithError]) -> None:
    with pytest.raises(kind) as refused:
        take(reference)
    told = " ".join((refused.value.message, *refused.value.hints))
    for value in ("alice", "5432", "SEED", "two blanks"):
        assert value not in told


def test_a_missing_key_names_those_that_there_are() -> None:
    with pytest.raises(NotFound) as refused:
        take("db#nope")
    assert refused.value.hints == (
        "keys of the entry: user, User, url, spaced key, empty, twice, port, quoted",
    )


def test_free_text_before_a_colon_is_not_told() -> None:
    with pytest.raises(NotFound) as refused:
        take("db#nope", b"x\nmy recovery words are 93 apple pear and so on: yes\n93apple: y\n")
    assert refused.value.hints == ("all of the entry: pass:db#*",)


@pytest.mark.parametrize("entry", [b"", b"\n", b"\nuser: x\n"])
def test_an_empty_first_line_is_refused(entry: bytes) -> None:
    with pytest.raises(RefusedInput) as refused:
        take("db", entry)
    assert refused.value.code is Code.FORMAT


def test_seeds_are_said_to_be_seeds() -> None:
    assert take("db")[1] == []
    assert "a code itself is never taken" in take("db#otp")[1][0]
    assert "seed" in take("db#*")[1][0]
    assert "seed" in take("db", b"otpauth://totp/x\n")[1][0]
    with pytest.raises(NotFound):
        take("db#otp", b"hunter2\n")
    with pytest.raises(RefusedInput):
        take("db#otp", b"x\notpauth://a\notpauth://b\n")


@given(st.binary())
def test_all_bytes_and_the_first_line(entry: bytes) -> None:
    assert take("db#*", entry)[0] == entry
    first = entry.split(b"\n")[0]
    if first:
        assert take("db", entry)[0] == first


@given(st.binary(), st.binary(min_size=1).filter(lambda line: b"\n" not in line))
def test_a_new_first_line_keeps_the_rest(entry: bytes, line: bytes) -> None:
    changed = with_first_line(Sensitive(entry), Sensitive(line)).expose()
    assert take("db", changed)[0] == line
    assert changed.split(b"\n")[1:] == (entry.split(b"\n")[1:] or [b""])
