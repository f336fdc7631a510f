"""Path patterns: the automaton against a slow, obvious matcher; hostile patterns; refused characters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.patterns import MAX_PATTERN, PatternSet, check_pattern
from secretsmith.policy.rules import compile_pattern


def slow(pattern: str, path: str, at_start: bool = True) -> bool:
    """The definition, written down without thought of speed."""
    if not pattern:
        return not path
    if at_start and pattern.startswith("**/"):
        rest = pattern[3:]
        folders = (place + 1 for place, character in enumerate(path) if character == "/" and place > 0)
        return slow(rest, path) or any(slow(rest, path[place:]) for place in folders)
    if pattern.startswith("**"):
        return any(slow(pattern[2:], path[place:], False) for place in range(len(path) + 1))
    if pattern[0] == "*":
        length = len(path.split("/")[0])
        return any(slow(pattern[1:], path[place:], False) for place in range(length + 1))
    if not path or (pattern[0] == "?" and path[0] == "/") or (pattern[0] != "?" and pattern[0] != path[0]):
        return False
    return slow(pattern[1:], path[1:], path[0] == "/")


segments = st.text("ab*?", min_size=1, max_size=4).filter(lambda s: "***" not in s) | st.just("**")
patterns = st.lists(segments, min_size=1, max_size=4).map("/".join)
paths = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@settings(max_examples=600, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=6), st.lists(paths, min_size=1, max_size=4))
def test_all_patterns_at_once_match_what_the_slow_matcher_matches(many: list[str], some: list[str]) -> None:
    automaton = PatternSet(many)
    for path in some:
        expected = tuple(number for number, pattern in enumerate(many) if slow(pattern, path))
        assert automaton.matching(path) == expected
        assert automaton.matching(path) == expected, "a remembered step gives the same answer"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("secrets/web/**", "secrets/web/db.age", True),
        ("secrets/web/**", "secrets/web/a/b/c.age", True),
        ("secrets/web/**", "secrets/web", False),
        ("secrets/web/**", "secrets/webber/x", False),
        ("secrets/*/db.age", "secrets/web/db.age", True),
        ("secrets/*/db.age", "secrets/web/x/db.age", False),
        ("secrets/**/db.age", "secrets/db.age", True),
        ("secrets/**/db.age", "secrets/a/b/db.age", True),
        ("secrets/**/db.age", "secrets/a/mydb.age", False),
        ("secrets/**.age", "secrets/a/b.age", True),
        ("**", "anything/at/all", True),
        ("*", "file", True),
        ("*", "a/file", False),
        ("s?crets/a", "secrets/a", True),
        ("a?b", "a/b", False),
        ("secrets/a.age", "secrets/aXage", False),
        ("secrets/a.age", "my/secrets/a.age", False),
        ("secrets/A.age", "secrets/a.age", False),
        ("**/x", "x", True),
        ("**/**/x", "a/x", True),
        ("secrets/ü?.age", "secrets/üß.age", True),
    ],
)
def test_examples(pattern: str, path: str, matches: bool) -> None:
    assert compile_pattern(pattern).matches(path) is matches


@pytest.mark.parametrize(
    "pattern",
    ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a[bc]", "a]", "{a,b}", "a\\*", "a***", "a\nb", "a\x1b[2Jb", "a\u202eb",
     "a" * (MAX_PATTERN + 1)],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        check_pattern(pattern)
    assert caught.value.code is Code.REG_RULES
    assert caught.value.message.isprintable()


def test_evil_patterns_take_linear_time(within: Callable[[float], AbstractContextManager[None]]) -> None:
    evil = [
        "**/" + "*a" * 200 + "b",
        "**" + "a**" * 200 + "b",
        "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
        "**/*/**/*/**/*/**/x",
    ]
    path = "/".join(["a" * 250] * 16)
    with within(2):
        automaton = PatternSet(evil)
        assert automaton.matching(path) == ()
        assert automaton.matching(path + "b") == (0, 1)


def test_memory_of_steps_is_bounded() -> None:
    automaton = PatternSet(["**/" + "?a" * 40 + "/b"])
    for number in range(3000):
        automaton.matching(f"{number:b}".replace("0", "a").replace("1", "xa") * 9)
    assert len(automaton._states) < 20_000
