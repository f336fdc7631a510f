"""The rules for sops: its first match gives what all matching rules of the registry give together."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path

import keys
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from registries import HEADER, host, rule, user
from ruamel.yaml import YAML

from secretsmith.errors import RefusedInput
from secretsmith.policy import globs
from secretsmith.policy.registry import Registry, parse_registry
from secretsmith.policy.resolve import unruled_readers, wanted_readers
from secretsmith.policy.sopsrules import MAX_STEPS, CreationRules, Outcome, creation_rules
from secretsmith.policy.sopsyaml import MARKER, is_generated, lists_files, sops_config

KEYS = tuple(keys.ed25519_key().public for _ in range(4))  # real ones: they have a derived form
ROOT = Path(__file__).resolve().parents[2]
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
NAMES = ("alice", "bob", "web1", "web2")
PRINCIPALS = (
    HEADER
    + user("alice", KEYS[0], more="admin = true")
    + user("bob", KEYS[1])
    + host("web1", KEYS[2])
    + host("web2", KEYS[3])
)

segments = st.text("ab*?", min_size=1, max_size=4).filter(lambda text: "***" not in text) | st.just("**")
patterns = st.lists(segments, min_size=1, max_size=4).map("/".join).map(lambda text: f"s/{text}")
names = st.text("ab", min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=4).map("/".join).map(lambda text: f"s/{text}")
# Every short path, so that a case needs no luck with the path as well.
SHORT = ["a", "b", "aa", "ab", "ba", "bb"]
LONG = [*SHORT, *(one + more for one in SHORT[2:] for more in "ab")]
EVERY = [
    "s/" + "/".join(parts)
    for parts in chain(product(LONG), product(LONG, SHORT), product(SHORT, LONG), product(SHORT, repeat=3))
]
options = st.sampled_from(
    ["", "", "", 'encrypted_regex = "x"', "mac_only_encrypted = true", "armor = true", "armor = false"]
)
rules = st.tuples(patterns, st.sets(st.sampled_from(NAMES[1:]), min_size=1), options)


def registry_of(given_rules: Iterable[tuple[str, Iterable[str], str]]) -> Registry:
    blocks = [rule(path, *sorted(readers), more=more) for path, readers, more in given_rules]
    return parse_registry(PRINCIPALS.replace("version = 1", 'version = 1\nsecrets = "s"') + "".join(blocks))


def outcome_of(made: CreationRules, path: str) -> Outcome | None:
    for each in made.rules:
        assert each.path_regex[0] == "^"
        assert each.path_regex[-1] == "$"
        if re.search(each.path_regex, path):
            return each.outcome
    return None


def expect_as_wanted(registry: Registry, made: CreationRules, path: str) -> None:
    outcome = outcome_of(made, path)
    try:
        wanted = wanted_readers(registry, path)
    except RefusedInput:
        assert outcome is not None
        assert outcome.clash
        return
    if wanted is None and not path.startswith("s/"):
        assert outcome is None
        return
    wanted = wanted or unruled_readers(registry)
    assert outcome is not None
    assert not outcome.clash
    assert outcome.keys == set(wanted.keys)
    assert outcome.selection == wanted.selection
    assert bool(outcome.mac_only) == bool(wanted.mac_only_encrypted)


@settings(max_examples=250)
@given(st.lists(rules, max_size=6), st.lists(paths | names, min_size=1, max_size=8))
@example(
    [("s/**", ["bob"], ""), ("s/a/*", ["web1"], ""), ("s/**/b", ["web2"], "")], ["s/a/b", "s/b", "s/a/c"]
)
@example([("s/a**b", ["bob"], ""), ("s/**/b", ["web1"], "")], ["s/a/b", "s/ab", "s/aab/b", "s/b"])
@example([("s/*/**/a", ["bob"], ""), ("s/**/?a", ["web1"], "")], ["s/a/a", "s/a/ba", "s/ba"])
def test_the_first_match_gives_what_the_registry_gives(
    some: list[tuple[str, Iterable[str], str]], many: list[str]
) -> None:
    registry = registry_of(some)
    made = creation_rules(registry)
    assert made.complete
    for path in (*many, *EVERY[:: 1 + len(some)]):
        expect_as_wanted(registry, made, path)


@settings(max_examples=150)
@given(st.lists(rules, max_size=6))
def test_there_is_one_rule_for_each_result_and_the_same_each_time(
    some: list[tuple[str, Iterable[str], str]],
) -> None:
    registry = registry_of(some)
    made = creation_rules(registry)
    assert len({each.outcome for each in made.rules}) == len(made.rules)
    weights = [each.outcome.weight for each in made.rules]
    assert weights == sorted(weights, reverse=True)
    assert creation_rules(registry) == made
    assert sops_config(registry) == sops_config(registry)


def test_the_text_does_not_depend_on_the_process() -> None:
    text = PRINCIPALS + "".join(
        rule(path, *readers)
        for path, readers in (
            ("secrets/*a*/**", ("bob",)),
            ("secrets/**/*b*", ("web1",)),
            ("secrets/?*/c*", ("web2", "bob")),
        )
    )
    program = "import sys; from secretsmith.policy import sopsyaml, registry as r\n"
    program += "print(sopsyaml.sops_config(r.parse_registry(sys.argv[1])), end='')"
    printed = [
        subprocess.run(
            [sys.executable, "-c", program, text],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed == [sops_config(parse_registry(text))] * 2


@settings(max_examples=500)
@given(patterns, patterns)
@example("s/**/ab*", "s/**/*ba")
def test_an_intersection_has_the_paths_of_both(one: str, other: str) -> None:
    work = globs.Work(100_000)
    first, second = globs.glob_of(one), globs.glob_of(other)
    parts = globs.intersection(first, second, work)
    together = globs.regex_of(parts) if parts else "(?!)"
    in_first, in_second, in_both = (
        {path for path in EVERY if re.search(regex, path)}
        for regex in (globs.regex_of((first,)), globs.regex_of((second,)), together)
    )
    assert in_first & in_second == in_both
    for outer, inner in (
        (first, second),
        *((first, part) for part in parts),
        *((part, second) for part in parts),
    ):
        if globs.covers(outer, inner, work):
            regexes = globs.regex_of((inner,)), globs.regex_of((outer,))
            assert all(re.search(regexes[1], path) for path in EVERY if re.search(regexes[0], path))


def test_what_may_be_no_folder_is_not_covered_by_what_is_one() -> None:
    some, any_number = f"s/{globs.DEEP}/b{globs.STAR}", globs.glob_of("s/**/b*")
    assert globs.covers(any_number, some, globs.Work(1000))
    assert not globs.covers(some, any_number, globs.Work(1000))


@settings(max_examples=300)
@given(st.lists(rules, min_size=2, max_size=5), st.lists(paths, min_size=1, max_size=6), st.integers(0, 60))
def test_without_enough_work_paths_that_exist_are_right_and_others_get_nobody_else(
    some: list[tuple[str, Iterable[str], str]], many: list[str], limit: int
) -> None:
    registry = registry_of(some)
    there, elsewhere = many[::2], many[1::2]
    made = creation_rules(registry, lambda: there, limit=limit)
    for path in there:
        expect_as_wanted(registry, made, path)
    for path in elsewhere:
        try:
            wanted = wanted_readers(registry, path) or unruled_readers(registry)
        except RefusedInput:
            continue
        outcome = outcome_of(made, path)
        assert outcome is not None
        assert outcome.keys <= set(wanted.keys)


FLEET = (
    HEADER
    + user("alice", KEYS[0], more="admin = true")
    + "".join(host(f"h{number}") for number in range(100))
)


def test_a_hundred_usual_rules_take_a_small_part_of_the_work() -> None:
    own = [rule(f"secrets/h{number}/**", f"h{number}") for number in range(96)]
    across = [rule(f"secrets/{where}", "h99") for where in ("**/tls.*", "*/db.yaml", "h1*/**", "**/x.json")]
    made = creation_rules(parse_registry(FLEET + "".join([*own, *across])))
    assert made.complete
    assert made.steps < MAX_STEPS // 10


def test_a_hundred_rules_that_all_could_meet_are_worked_out() -> None:
    many = [rule(f"secrets/**/s{number}*", f"h{number}") for number in range(100)]
    made = creation_rules(parse_registry(FLEET + "".join(many)))
    assert made.complete


@pytest.mark.parametrize(
    "pattern",
    ["secrets/**/*a{0}*/**", "secrets/" + "*a" * 400 + "{0}*", "secrets/" + "**/a/" * 150 + "{0}*"],
)
def test_a_hundred_hostile_rules_end_in_a_bounded_number_of_steps(pattern: str) -> None:
    text = FLEET + "".join(rule(pattern.format(number), f"h{number}") for number in range(100))
    registry = parse_registry(text)
    made = creation_rules(registry)
    # One step more than allowed is noticed after it is counted; a single step never counts for many.
    assert made.steps < MAX_STEPS * 1.1


def test_what_is_not_worked_out_is_said_and_files_are_named() -> None:
    text = FLEET + "".join(rule(f"secrets/**/*a{number}*/**", f"h{number}") for number in range(100))
    registry = parse_registry(text)
    path = "secrets/a1/a2/a3.yaml"
    config = sops_config(registry, lambda: [path, "secrets/other.yaml", "secrets/a1/a2/x.age"])
    assert lists_files(config)
    assert f"'^{re.escape(path)}$'" in config
    assert "other" not in config
    assert "x\\.age" not in config


def loaded(text: str) -> list[dict[str, object]]:
    found = YAML(typ="safe", pure=True).load(io.StringIO(text))
    result: list[dict[str, object]] = found["creation_rules"]
    return result


def test_the_text_names_keys_by_anchors() -> None:
    text = PRINCIPALS + user('"carol.x"', AGE)
    text += rule("secrets/web/**", "web1", "carol.x") + "[hosts.new]\nstatus = 'pending'\n"
    text += rule("secrets/**/db.yaml", "web2", "new", more='encrypted_regex = "^it\'s$"')
    config = sops_config(parse_registry(text))
    assert config.startswith(MARKER + "\n")
    assert is_generated(config)
    assert not lists_files(config)
    assert f"  - &carol_x {AGE} # carol.x\n" in config
    assert "# new has no key yet" in config
    found = loaded(config)
    assert [each["path_regex"] for each in found] == [
        "^secrets/web/(?:.+/)?db\\.yaml$",
        "^secrets/(?:.+/)?db\\.yaml$",
        "^secrets/web/.*$",
        "^secrets/.*$",
    ]
    assert found[0]["encrypted_regex"] == found[1]["encrypted_regex"] == "^it's$"
    assert [len(each["key_groups"][0]["age"]) for each in found] == [4, 2, 3, 1]  # type: ignore[index]


def recipients(config: str) -> list[list[list[str]]]:
    """The names of each group of each rule."""
    anchors = dict(re.findall(r"^  - &(\S+) (\S+)", config, re.MULTILINE))
    owner = {text: name for name, text in anchors.items()}
    groups = [each.get("key_groups", []) for each in loaded(config)]
    return [[[owner[key] for key in group["age"]] for group in each] for each in groups]  # type: ignore[attr-defined]


def test_key_groups_have_admins_everywhere_and_keep_their_threshold() -> None:
    groups = 'key_groups = [["bob"], ["web1"], ["web2"]]\nshamir_threshold = 2\nmac_only_encrypted = true'
    registry = parse_registry(PRINCIPALS + rule("secrets/*.yaml", "bob", "web1", "web2", more=groups))
    config = sops_config(registry)
    assert recipients(config) == [[["alice", "bob"], ["alice", "web1"], ["alice", "web2"]], [["alice"]]]
    assert loaded(config)[0]["shamir_threshold"] == 2
    assert loaded(config)[0]["mac_only_encrypted"] is True


def test_an_admin_that_a_group_names_is_in_that_group() -> None:
    groups = 'key_groups = [["alice"], ["web1"]]'
    registry = parse_registry(PRINCIPALS + rule("secrets/*.yaml", "alice", "web1", more=groups))
    assert recipients(sops_config(registry))[0] == [["alice"], ["web1"]]


def test_a_threshold_that_sops_does_not_know_gives_sops_no_key() -> None:
    groups = 'key_groups = [["alice"], ["web1"]]\nshamir_threshold = 1'
    config = sops_config(parse_registry(PRINCIPALS + rule("secrets/*.yaml", "alice", "web1", more=groups)))
    assert loaded(config)[0] == {"path_regex": "^secrets/[^/]*\\.yaml$"}
    assert "wants 1 of 2 key groups" in config


def test_rules_that_contradict_each_other_give_sops_no_key() -> None:
    registry = parse_registry(
        PRINCIPALS
        + rule("secrets/web/**", "web1", more='encrypted_regex = "a"')
        + rule("secrets/**/db.yaml", "bob", more='encrypted_regex = "b"')
    )
    config = sops_config(registry)
    found = loaded(config)
    assert found[0] == {"path_regex": "^secrets/web/(?:.+/)?db\\.yaml$"}
    assert "contradict each other" in config
    assert "secrets/**/db.yaml + secrets/web/**" in config


def test_a_result_without_a_key_gives_sops_no_key() -> None:
    text = HEADER + user("bob", KEYS[1]) + "[hosts.new]\nstatus = 'pending'\n" + rule("secrets/new/**", "new")
    assert all("key_groups" not in each for each in loaded(sops_config(parse_registry(text))))


def test_files_of_age_are_left_out() -> None:
    registry = parse_registry(
        PRINCIPALS + rule("secrets/web/db.age", "web1") + rule("secrets/**/*.age", "bob", "web2")
    )
    assert [each.path_regex for each in creation_rules(registry).rules] == ["^secrets/.*$"]


def test_results_that_are_equal_share_a_rule() -> None:
    registry = parse_registry(
        PRINCIPALS + "".join(rule(f"secrets/{name}/**", "web1") for name in ("c", "a", "b"))
    )
    first, _ = creation_rules(registry).rules
    assert first.path_regex == "^secrets/(?:a/.*|b/.*|c/.*)$"


def test_the_secrets_folder_is_taken_by_its_letters() -> None:
    text = PRINCIPALS.replace("version = 1", 'version = 1\nsecrets = "a*b"')
    assert [each.path_regex for each in creation_rules(parse_registry(text)).rules] == ["^a\\*b/.*$"]
