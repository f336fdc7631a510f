"""Wanted readers: rules add up, admins, reasons, contradictions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registries import HEADER, host, rule, ssh_line, user

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.principals import KeyState
from secretsmith.policy.registry import Registry, parse_registry
from secretsmith.policy.resolve import Wanted, matching_rules, unruled_readers, unused_rules, wanted_readers

PEOPLE = (
    HEADER
    + user("root", more="admin = true")
    + user("gone", more='admin = true\nstatus = "removed"')
    + user("bob", ssh_line("bob"), ssh_line("bob2"))
    + host("web1")
    + host("web2")
    + host("old", more='status = "retired"')
    + host("bad", more='status = "compromised"')
    + '[hosts.soon]\nstatus = "pending"\n'
    + host("ready", more='status = "pending"')
    + '[groups]\nweb = ["web1", "old", "soon"]\nall = ["@web", "web2", "bad", "ready"]\n'
)


def wanted(text: str, path: str) -> Wanted:
    found = wanted_readers(parse_registry(text), path)
    assert found is not None
    return found


def fingerprints(*seeds: str) -> set[str]:
    return {parse_public_key(ssh_line(seed)).fingerprint for seed in seeds}


def test_rules_add_up_and_admins_read() -> None:
    found = wanted(
        PEOPLE + rule("secrets/**", "bob") + rule("secrets/web/*", "@web") + rule("other", "web2"),
        "secrets/web/a",
    )
    assert found.names == ("root", "bob", "web1")
    assert set(found.keys) == fingerprints("root", "bob", "bob2", "web1")
    assert found.pending == ("soon",)
    assert [one.pattern for one in found.rules] == ["secrets/**", "secrets/web/*"]


def test_nobody_reads_who_is_retired_compromised_or_removed() -> None:
    found = wanted(PEOPLE + rule("x", "@all", "old", "bad", "gone"), "x")
    assert found.names == ("root", "web1", "web2", "ready")
    assert not set(found.keys) & fingerprints("old", "bad", "gone")


def test_reasons() -> None:
    found = wanted(PEOPLE + rule("a/**", "@all", "web1", "root") + rule("a/*", "@web", "web1"), "a/b")
    assert dict(found.why) == {
        "root": ("rule a/**", "admin"),
        "web1": ("rule a/**", "rule a/*"),
        "web2": ("rule a/**: group all",),
        "ready": ("rule a/**: group all",),
    }
    through = wanted(PEOPLE + rule("a", "@all"), "a")
    assert through.why["web1"] == ("rule a: group all, group web",)
    assert tuple(through.why) == through.names


def test_no_rule_is_none_and_admins_read_the_rest() -> None:
    registry = parse_registry(PEOPLE + rule("secrets/a", "web1"))
    assert wanted_readers(registry, "secrets/b") is None
    rest = unruled_readers(registry)
    assert (rest.names, rest.rules, dict(rest.why)) == (("root",), (), {"root": ("admin",)})


def test_matching_and_unused_rules() -> None:
    registry = parse_registry(PEOPLE + rule("a/*", "bob") + rule("b/*", "bob") + rule("**", "web1"))
    assert [one.pattern for one in matching_rules(registry, "a/x")] == ["a/*", "**"]
    assert [one.pattern for one in unused_rules(registry, ["a/x", "c"])] == ["b/*"]


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ("armor = true", "armor = false", "armor"),
        ('encrypted_regex = "a"', 'encrypted_regex = "b"', "selection"),
        ('encrypted_regex = "a"', 'encrypted_suffix = "a"', "selection"),
        ("mac_only_encrypted = true", "mac_only_encrypted = false", "mac_only_encrypted"),
        ('key_groups = [["bob"], ["web1"]]', 'key_groups = [["web1"], ["bob"]]', "key_groups"),
        ('key_groups = [["bob"], ["web1"]]', "", "key_groups"),
        ("", 'key_groups = [["bob"], ["web1"]]', "key_groups"),
    ],
)
def test_rules_that_contradict_each_other_name_both_lines(first: str, second: str, differ: str) -> None:
    text = PEOPLE + rule("a/*", "bob", "web1", more=first) + rule("a/b", "bob", "web1", more=second)
    registry = parse_registry(text)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line == "[[rules]]"]
    for _ in range(2):  # remembered or not
        with pytest.raises(RefusedInput) as caught:
            wanted_readers(registry, "a/b")
        assert caught.value.code is Code.REG_RULES
        assert caught.value.message.startswith(f"secretsmith.toml:{lines[1]}:1: ")
        assert f"on line {lines[0]} " in caught.value.message
        assert caught.value.message.endswith(f"differ in {differ}")
    assert wanted_readers(registry, "a/c") is not None


def test_a_rule_that_is_silent_about_an_option_contradicts_nothing() -> None:
    found = wanted(
        PEOPLE + rule("**", "bob") + rule("a", "web1", more='armor = false\nencrypted_regex = "p"'), "a"
    )
    assert (found.armor, found.selection, found.mac_only_encrypted) == (False, ("encrypted_regex", "p"), None)


names = st.sampled_from(["root", "bob", "gone", "web1", "web2", "old", "soon", "ready", "@web", "@all"])
rules = st.lists(
    st.tuples(
        st.sampled_from(["a/*", "a/**", "**", "*", "b/*", "a/b"]), st.lists(names, min_size=1, max_size=3)
    ),
    max_size=5,
)
paths = st.sampled_from(["a/b", "a/b/c", "b/c", "d"])


def registry_of(some: list[tuple[str, list[str]]]) -> Registry:
    return parse_registry(PEOPLE + "".join(rule(pattern, *readers) for pattern, readers in some))


@settings(max_examples=150, deadline=None)
@given(rules, rules, paths)
def test_more_rules_never_take_a_reader_away(
    some: list[tuple[str, list[str]]], more: list[tuple[str, list[str]]], path: str
) -> None:
    before, after = wanted_readers(registry_of(some), path), wanted_readers(registry_of(some + more), path)
    if before is not None:
        assert after is not None
        assert before.keys.keys() <= after.keys.keys()
        assert set(before.names) <= set(after.names)


@settings(max_examples=150, deadline=None)
@given(rules, paths, st.randoms())
def test_the_order_of_rules_does_not_matter(
    some: list[tuple[str, list[str]]], path: str, random: object
) -> None:
    mixed = list(some)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = wanted_readers(registry_of(some), path), wanted_readers(registry_of(mixed), path)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.names, dict(one.keys), one.pending) == (other.names, dict(other.keys), other.pending)


@settings(max_examples=150, deadline=None)
@given(rules, st.lists(paths, max_size=4))
def test_wanted_readers_are_what_a_slow_reading_finds(
    some: list[tuple[str, list[str]]], many: list[str]
) -> None:
    registry = registry_of(some)

    def members(word: str) -> set[str]:
        return (
            {word}
            if word[0] != "@"
            else {name for inner in registry.groups[word[1:]] for name in members(inner)}
        )

    for path in many:
        matching = matching_rules(registry, path)
        found = wanted_readers(registry, path)
        assert (found is None) == (not matching)
        if found is None:
            continue
        named = {name for one in matching for word in one.readers for name in members(word)} | {"root"}
        reading = {name for name in named if registry.principal(name).reads and registry.principal(name).keys}
        assert set(found.names) == set(found.why) == reading
        assert found.pending == (("soon",) if "soon" in named else ())
        assert set(found.keys) == {
            key.fingerprint for name in reading for key in registry.principal(name).keys
        }
        for fingerprint in found.keys:
            assert registry.key_owner(fingerprint)[0].state is KeyState.ACTIVE
