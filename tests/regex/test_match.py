"""The regular expressions of rules: Python's re as the oracle where both mean the same, and hostile ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith.regex import compile_regex

atoms = st.sampled_from(
    [
        "a",
        "b",
        "_",
        "-",
        ".",
        "[ab]",
        "[^a]",
        "[a-c_]",
        r"\w",
        r"\d",
        r"\.",
        "^",
        r"\b",
        r"\B",
        "(?:)",
        "[]a]",
        r"[\w-]",
    ]
)


def nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def repeat(pair: tuple[str, str]) -> str:
        return f"(?:{pair[0]}){pair[1]}"

    repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,}", "*?"])
    return (
        st.tuples(inner, repeats).map(repeat)
        | st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})")
    )


@settings(max_examples=600, deadline=None)
@given(st.recursive(atoms, nest, max_leaves=8), st.text("ab_-.1\n", min_size=1, max_size=8))
def test_agrees_with_re(pattern: str, text: str) -> None:
    # Not of the empty text: there Python before 3.14 denies \\B what RE2 grants.
    assert compile_regex(pattern).search(text) is (re.search(pattern, text, re.ASCII) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^(data|stringData)$", "data", True),
        (
            "^(data|stringData)$",
            "data\n",
            False,
        ),  # RE2: '$' is the end, not before a last newline as in Python
        ("^(data|stringData)$", "metadata", False),
        ("password", "db_password_file", True),
        ("(?i)^PASS", "password", True),
        ("(?i)[^p]", "P", False),
        ("a(?i:b)c", "aBc", True),
        ("a(?i:b)c", "aBC", False),
        ("(?s).", "\n", True),
        (".", "\n", False),
        ("(?m)^b$", "a\nb\nc", True),
        (r"\x41", "A", True),
        ("", "", True),
        ("a|", "", True),
        (r"[\W]", "ä", True),
        (r"\w", "ä", False),
        ("(?P<name>a)b", "ab", True),
        ("a{", "a{", True),
    ],
)
def test_examples(pattern: str, text: str, found: bool) -> None:
    assert compile_regex(pattern).search(text) is found


@pytest.mark.parametrize(
    "pattern",
    ["(?!x)ab", "(?=a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P=a)", "a++", "a*+", "a**", "a{2}{3}", "(?>a)", "[[:alpha:]]",
     r"\pL", r"\Z", r"\z", r"\Q", r"\8", "\\", "(", ")", "[", "[b-a]", "*a", "{2}", "a{3,2}", "a{1001}", "a{,5}", "^*", "(?x)a",
     "(?U)a", "a(?i)b", "(?i)ä", "(?#c)", "[a--b]", "[a&&b]", r"[\b]", "a" * 1001, "(" * 60 + ")" * 60, "(?<n>a)",
     "a{99999999999999999999}"],
)  # fmt: skip
def test_outside_of_the_common_subset_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        compile_regex(pattern)
    assert caught.value.code is Code.REG_RULES


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*$", "(a*)*b", "((a?){40}){30}$", "a*a*a*a*a*a*a*a*b", "(.*)(.*)(.*)(.*)(.*)[^a]",
     "(a|aa)+$", "[" + "abcdefghij" * 50 + "]{0,900}x"],
)  # fmt: skip
def test_evil_regexes_take_linear_time(
    pattern: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        regex = compile_regex(pattern)
        regex.search("a" * 200 + "!")


@pytest.mark.parametrize(
    "pattern", ["(((a{0}){1000}){1000}){1000}", "((((){1000}){1000}){1000})", "((a{1000}){1000}){1000}"]
)
def test_repetitions_that_multiply_are_refused_at_once(
    pattern: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2), pytest.raises(RefusedInput):
        compile_regex(pattern)
