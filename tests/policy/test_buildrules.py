"""The rules that a build keeps, in the text of the registry: everything else stays byte for byte."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import keys
import pytest

from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.policy import edit
from secretsmith.policy.buildrules import RuleChange, build_rule_changes, set_build_rules
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.statements import Block, scan

HOSTS = tuple(f"web{number}" for number in range(1, 4))
BUILD = '\n[[rules]]\npath = "{path}"\nreaders = [{readers}]\nfrom = "build"\n'
HAND = '\n# by hand\n[[rules]]\npath = "secrets/**"   # all\nreaders = ["web3"]\n'


@pytest.fixture(scope="module")
def registry() -> str:
    text = edit.new_registry("alice", [keys.ed25519_key("alice").public])
    for host in HOSTS:
        text = edit.add_host(text, host, [keys.ed25519_key(host).public])
    return text


def rule(path: str, *readers: str) -> str:
    return BUILD.format(path=path, readers=", ".join(f'"{name}"' for name in readers))


def rules(text: str) -> dict[str, tuple[str, ...]]:
    return {one.pattern: one.readers for one in parse_registry(text).rules if one.origin == "build"}


def test_rules_come_change_and_go_and_nothing_else(registry: str) -> None:
    before = registry + HAND
    made = set_build_rules(before, {"secrets/b.age": ["web2", "web1"], "secrets/a.age": ["web1"]})
    assert made == before + rule("secrets/a.age", "web1") + rule("secrets/b.age", "web1", "web2")
    changed = set_build_rules(made, {"secrets/b.age": ["web2"]})
    assert changed == before + rule("secrets/b.age", "web2")
    assert set_build_rules(changed, {}) == before


def test_what_fits_is_not_rewritten(registry: str) -> None:
    """Order and spelling of a list that says the same already, and comments, are a person's."""
    odd = (
        registry
        + '\n[[ rules ]]\nfrom = "build" # kept\nreaders = [\n  "web2", # b\n  "web1",\n]\npath = "x"\n'
    )
    assert set_build_rules(odd, {"x": ["web1", "web2"]}) == odd


def test_other_fields_and_comments_of_a_rule_stay(registry: str) -> None:
    head = '\n[[rules]]\n# about x\npath = "x" # path\nreaders = '
    tail = ' # readers\narmor = false\nfrom = "build"\n'
    before = registry + head + '[\n  "web1", # old\n]' + tail + HAND
    assert (
        set_build_rules(before, {"x": ["web2", "web3"]}) == registry + head + '["web2", "web3"]' + tail + HAND
    )


def test_rules_between_others_go_without_a_gap(registry: str) -> None:
    before = registry + rule("a", "web1") + HAND + rule("b", "web1") + rule("c", "web1")
    assert set_build_rules(before, {"b": ["web1"]}) == registry + HAND + rule("b", "web1")


def test_a_second_rule_for_one_file_goes(registry: str) -> None:
    before = registry + rule("a", "web1") + rule("a", "web2")
    assert set_build_rules(before, {"a": ["web1", "web2"]}) == registry + rule("a", "web1", "web2")


def test_many_readers_stand_on_lines_of_their_own(registry: str) -> None:
    text = registry
    names = [f"a-rather-long-name-{number}" for number in range(6)]
    for name in names:
        text = edit.add_host(text, name, [keys.ed25519_key(name).public])
    made = set_build_rules(text, {"a": names})
    assert "".join(f'  "{name}",\n' for name in names) in made
    assert rules(made) == {"a": tuple(names)}
    assert rules(set_build_rules(made, {"a": names[1:]})) == {"a": tuple(names[1:])}


def test_line_ends_are_those_of_the_file(registry: str) -> None:
    text = registry.replace("\n", "\r\n")
    made = set_build_rules(text, {"a": HOSTS})
    assert "\n" not in made.replace("\r\n", "") and rules(made) == {"a": HOSTS}
    assert set_build_rules(made, {}) == text


def test_any_path_is_spelled_so_that_it_is_read_back(registry: str) -> None:
    for path in ('secrets/"quoted".age', "secrets/ä €.age", "secrets/it's.age"):
        assert rules(set_build_rules(registry, {path: ["web1"]})) == {path: ("web1",)}


@pytest.mark.parametrize("listed", ["[]", '[{ path = "a", readers = ["web1"], from = "build" }]'])
def test_rules_in_one_list_are_refused(registry: str, listed: str) -> None:
    text = f"rules = {listed}\n{registry}"
    with pytest.raises(RefusedInput) as caught:
        set_build_rules(text, {"b": ["web1"]})
    assert caught.value.code is Code.REG_SCHEMA and "[[rules]]" in caught.value.hints[0]


def test_who_is_not_registered_is_refused(registry: str) -> None:
    with pytest.raises(SecretsmithError, match="web9"):
        set_build_rules(registry, {"a": ["web9"]})


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ({"a": ["web1"]}, ()),
        ({"a": ["web2"]}, (RuleChange("a", ("web2",), ("web1",)),)),
        ({}, (RuleChange("a", (), ("web1",), gone=True),)),
        (
            {"b": ["web2", "web1"], "a": HOSTS},
            (RuleChange("a", ("web2", "web3"), ()), RuleChange("b", ("web1", "web2"), ())),
        ),
    ],
)
def test_changes_are_told(
    registry: str, wanted: Mapping[str, Collection[str]], changes: tuple[RuleChange, ...]
) -> None:
    parsed = parse_registry(registry + rule("a", "web1") + HAND)
    assert build_rule_changes(parsed, wanted) == changes


def test_thousands_of_rules_are_one_edit(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: the text is parsed and scanned a few times, however many rules there are."""
    counted: list[str] = []

    def counting(text: str) -> list[Block]:
        counted.append(text)
        return scan(text)

    monkeypatch.setattr("secretsmith.policy.buildrules.scan", counting)
    wanted = {f"secrets/{number}.age": ["web1"] for number in range(2000)}
    made = set_build_rules(registry, wanted)
    assert rules(made) == dict.fromkeys(wanted, ("web1",))
    swapped = set_build_rules(made, dict.fromkeys(wanted, ("web2",)))
    assert set(rules(swapped).values()) == {("web2",)}
    assert set_build_rules(swapped, {}) == registry
    assert len(counted) <= 6
