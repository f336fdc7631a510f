"""What may stand behind the colon, and what never leads anywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith_pass.reference import Reference, escaped, parse_reference


@pytest.mark.parametrize(
    ("text", "name", "selector", "store"),
    [
        ("web/db", "web/db", None, None),
        ("web/db#user", "web/db", "user", None),
        ("web/db#*", "web/db", "*", None),
        ("web/db?store=work#2", "web/db", "2", "work"),
        ("münch en/ö", "münch en/ö", None, None),
        ("c%23/a%3Fb", "c#/a?b", None, None),
        ("two%0Alines", "two\nlines", None, None),
        ("100%", "100%", None, None),
        ("a#k#y", "a", "k#y", None),
        ("a#k%23y?", "a", "k#y?", None),
        ("50%25aa", "50%aa", None, None),
        ("web/.htpasswd", "web/.htpasswd", None, None),
    ],
)
def test_parts(text: str, name: str, selector: str | None, store: str | None) -> None:
    assert parse_reference("pass", text) == Reference("pass", name, selector, store)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "%2E%2E/x",
            "%2Fetc/x",
            "a%00b",
            "a\0b",
        ),
        *(".git/config", "x/.extensions/y", "a#", "a?x=1", "a?store=/tmp/evil", "a?store=../x", "a?store="),
        "x" * 1025,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(RefusedInput) as refused:
        parse_reference("pass", text)
    assert refused.value.code is Code.NAME
    assert "\n" not in refused.value.message
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("%62ank/card", "pass:bank/card"),
        ("bank%2Fcard", "pass:bank/card"),
        ("bank/card#%2A", "pass:bank/card#*"),
        ("bank/card#p%69n", "pass:bank/card#pin"),
        ("c%3f", "pass:c%3F"),
        ("100%25", "pass:100%"),
    ],
)
def test_a_spelling_that_hides_what_is_meant(text: str, plain: str) -> None:
    """Somebody is to approve it, for one entry under one name."""
    with pytest.raises(RefusedInput) as refused:
        parse_reference("pass", text)
    assert refused.value.message == f"pass:{text}: is written {plain}"


_LETTERS = st.characters(exclude_characters="\0/", exclude_categories=["Cs"])
_NAMES = st.text(_LETTERS, min_size=1, max_size=20).filter(
    lambda part: part not in (".", "..", ".git", ".extensions")
)


@given(st.lists(_NAMES, min_size=1, max_size=3), st.none() | _NAMES)
def test_every_name_has_one_printable_spelling(parts: list[str], selector: str | None) -> None:
    reference = Reference("pass", "/".join(parts), selector)
    spelt = reference.shown.removeprefix("pass:")
    assert spelt.isprintable()
    assert parse_reference("pass", spelt) == reference


@given(st.binary(min_size=1, max_size=20))
def test_names_that_are_no_utf8(data: bytes) -> None:
    name = data.replace(b"\0", b"x").replace(b"/", b"y").decode("utf-8", "surrogateescape")
    if name not in (".", "..", ".git", ".extensions"):
        assert parse_reference("pass", escaped(name)).name == name


@given(st.text(max_size=40))
def test_what_is_taken_stays_inside(text: str) -> None:
    try:
        name = parse_reference("pass", text).name
    except RefusedInput:
        return
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert "\0" not in name
