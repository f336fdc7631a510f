"""Edits of the registry: what a person wrote stays as it is, and only the meant lines change."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys import ed25519_key, rsa_key

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.policy import edit
from secretsmith.policy.principals import HostStatus, RetireReason, UserStatus
from secretsmith.policy.registry import parse_registry

ALICE, BOB, WEB1, WEB2, NEW = (
    ed25519_key(name).public for name in ("alice@laptop", "bob", "root@web1", "root@web2", "new")
)

HAND = f"""\
  # indented comment first

[secretsmith]   # settings
version=1
secrets = 'secrets'          # single quotes

# people -------------------------------------------------

[users.alice]
keys = [
  "{ALICE}", # laptop
  # "ssh-ed25519 AAAAold" was lost on a train
]
admin   =   true   # for now

[ users . bob ]
keys = ["{BOB}"] # one line


# machines ------------------------------------------------
[hosts.web1]
    keys = [ "{WEB1}" ]
    address="web1.example.org"   # not in DNS
# web2 comes in spring
[hosts."web2"]
status = "active" # "pending" until spring
keys = ["{WEB2}"]
# end of machines

[groups]
# who serves
web = ["web1",   "web2"]   # both
people = [
    "alice",
    "bob", # since May
]

# rules add up

# the web servers
[[rules]]
# inside a rule
path = "secrets/web/**"
readers = ["@web", "bob"]   # bob debugs

[[rules]]
path = "secrets/bob/**"
readers = [ "bob" ]

# last words
"""


def changes(before: str, after: str) -> list[str]:
    """The lines that differ, as a diff shows them."""
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in lines if line[0] in "+-"]


def test_a_hand_formatted_registry_is_valid_to_begin_with() -> None:
    registry = parse_registry(HAND)
    assert set(registry.users) == {"alice", "bob"} and set(registry.hosts) == {"web1", "web2"}


def test_add_host_goes_behind_the_hosts() -> None:
    after = edit.add_host(HAND, "db.1", [NEW], address="db.example.org")
    assert changes(HAND, after) == [
        '+ [hosts."db.1"]',
        f'+ keys = ["{NEW}"]',
        '+ address = "db.example.org"',
        "+ ",
    ]
    assert after.index("# end of machines") < after.index("db.1") < after.index("[groups]")
    assert parse_registry(after).hosts["db.1"].address == "db.example.org"


def test_a_host_without_a_key_is_pending_and_gets_its_key_later() -> None:
    pending = edit.add_host(HAND, "db", [])
    assert parse_registry(pending).hosts["db"].status is HostStatus.PENDING
    active = edit.set_host_keys(pending, "db", [NEW])
    assert changes(pending, active) == ['- status = "pending"', '+ status = "active"', f'+ keys = ["{NEW}"]']


def test_add_user_goes_behind_the_users() -> None:
    keys = [NEW, rsa_key(comment="old laptop").public]
    after = edit.add_user(HAND, "carol", keys, admin=True)
    assert [line for line in changes(HAND, after) if line.startswith("-")] == []
    assert after.index("[ users . bob ]") < after.index("[users.carol]") < after.index("# machines")
    carol = parse_registry(after).users["carol"]
    assert carol.admin and [key.line for key in carol.keys] == keys


def test_remove_user_keeps_the_keys() -> None:
    after = edit.remove_user(HAND, "bob")
    assert changes(HAND, after) == ['+ status = "removed"']
    bob = parse_registry(after).users["bob"]
    assert bob.status is UserStatus.REMOVED and bob.keys


def test_retire_host_moves_its_key_with_the_dates() -> None:
    after = edit.retire_host(
        HAND, "web2", status=HostStatus.COMPROMISED, until="2026-11-20", reason=RetireReason.COMPROMISED
    )
    assert changes(HAND, after) == [
        '- status = "active" # "pending" until spring',
        '+ status = "compromised" # "pending" until spring',
        f'- keys = ["{WEB2}"]',
        "+ keys = []",
        "+ ",
        "+ [[hosts.web2.retired]]",
        f'+ key = "{WEB2}"',
        '+ until = "2026-11-20"',
        '+ reason = "compromised"',
    ]
    host = parse_registry(after).hosts["web2"]
    assert host.status is HostStatus.COMPROMISED and not host.keys
    assert host.retired[0].until == "2026-11-20" and host.retired[0].since is None


def test_a_second_replacement_knows_since_when_the_first_key_served() -> None:
    once = edit.replace_host_keys(HAND, "web1", [NEW], until="2026-01-02", reason=RetireReason.REINSTALLED)
    third = ed25519_key("third").public
    twice = edit.replace_host_keys(once, "web1", [third], until="2026-11-20", reason=RetireReason.REPLACED)
    host = parse_registry(twice).hosts["web1"]
    assert [key.line for key in host.keys] == [third]
    assert [(old.key.line, old.since, old.until, str(old.reason)) for old in host.retired] == [
        (WEB1, None, "2026-01-02", "reinstalled"),
        (NEW, "2026-01-02", "2026-11-20", "replaced"),
    ]
    assert '    address="web1.example.org"   # not in DNS' in twice


def test_groups_grow_and_shrink_inside_their_lines() -> None:
    more = edit.add_group(HAND, "people", ["web1", "bob"])
    assert changes(HAND, more) == ['+     "web1",']
    fewer = edit.remove_from_group(HAND, "web", ["web1"])
    assert changes(HAND, fewer)[0::3] == ['- web = ["web1",   "web2"]   # both']
    assert parse_registry(fewer).groups["web"] == ("web2",)
    assert fewer.count("# both") == 1
    new = edit.add_group(HAND, "db", ["web2"])
    assert changes(HAND, new) == ['+ db = ["web2"]']
    without = edit.remove_group(HAND, "people")
    assert "people" not in parse_registry(without).groups
    assert edit.add_group(HAND, "people", ["bob"]) == HAND


def test_a_group_that_a_rule_names_cannot_go() -> None:
    with pytest.raises(RefusedInput) as caught:
        edit.remove_group(HAND, "web")
    assert caught.value.code is Code.REG_UNKNOWN


def test_grant_extends_the_rule_with_that_pattern_or_adds_one() -> None:
    after = edit.grant(HAND, ["secrets/web/**", "secrets/db/*.age"], ["alice", "@web"])
    assert [line for line in changes(HAND, after) if not line.startswith("?")] == [
        '- readers = ["@web", "bob"]   # bob debugs',
        '+ readers = ["@web", "bob", "alice"]   # bob debugs',
        "+ [[rules]]",
        '+ path = "secrets/db/*.age"',
        '+ readers = ["alice", "@web"]',
        "+ ",
    ]
    assert parse_registry(after).rules[-1].readers == ("alice", "@web")
    assert edit.grant(after, ["secrets/web/**", "secrets/db/*.age"], ["alice"]) == after


def test_grant_leaves_rules_of_a_build_alone() -> None:
    built = HAND.replace('readers = [ "bob" ]', 'readers = [ "bob" ]\nfrom = "build"')
    after = edit.grant(built, ["secrets/bob/**"], ["alice"])
    assert [line for line in changes(built, after) if line.startswith("-")] == []
    assert [rule.readers for rule in parse_registry(after).rules][1:] == [("bob",), ("alice",)]


def test_revoke_takes_readers_off_and_removes_an_empty_rule() -> None:
    after = edit.revoke(HAND, ["secrets/web/**", "secrets/bob/**"], ["bob"])
    assert parse_registry(after).rules[0].readers == ("@web",) and len(parse_registry(after).rules) == 1
    assert "# bob debugs" in after and after.rstrip().endswith("# last words")
    for comment in ("# rules add up", "# the web servers", "# inside a rule"):
        assert comment in after


def test_a_removed_rule_leaves_the_comment_of_the_next_one() -> None:
    after = edit.revoke(HAND, ["secrets/web/**"], ["bob", "@web"])
    assert after == HAND.replace(
        HAND[HAND.index("[[rules]]") : HAND.index('\n[[rules]]\npath = "secrets/bob')], ""
    )
    assert "# the web servers\n\n[[rules]]" in after


def test_revoke_of_a_pattern_without_a_rule_names_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        edit.revoke(HAND, ["secrets/web/*"], ["bob"])
    assert "secrets/web/**" in caught.value.hints[0]


def test_what_the_result_would_refuse_is_refused() -> None:
    with pytest.raises(RefusedInput):
        edit.grant(HAND, ["secrets/x"], ["nobody"])
    with pytest.raises(RefusedInput):
        edit.grant(HAND, ["secrets/[x]"], ["bob"])
    with pytest.raises(RefusedInput):
        edit.add_host(HAND, "db", [rsa_key().public])
    with pytest.raises(RefusedInput):
        edit.add_host(HAND, "bad name", [NEW])
    for function in (edit.remove_user, edit.remove_group):
        with pytest.raises(NotFound):
            function(HAND, "nobody")


COMPACT = f"""\
secretsmith = {{ version = 1, secrets = "secrets" }} # settings
users.alice = {{ keys = ["{ALICE}"], admin = true }}
groups = {{ web = ["web1"] }}
rules = [
  # the web servers
  {{ path = "secrets/web/**", readers = ["@web"] }}, # first
]

[hosts]
web1 = {{ keys = ["{WEB1}"] }} # inline
web2.keys = ["{WEB2}"] # dotted
"""


def test_other_ways_to_write_the_same_are_kept_too() -> None:
    text = edit.add_host(COMPACT, "db", [NEW])
    text = edit.grant(text, ["secrets/db/**", "secrets/web/**"], ["db"])
    text = edit.add_group(text, "web", ["web2"])
    text = edit.add_group(text, "db", ["db"])
    text = edit.retire_host(
        text, "web1", status=HostStatus.RETIRED, until="2026-01-02", reason=RetireReason.REPLACED
    )
    text = edit.retire_host(
        text, "web2", status=HostStatus.RETIRED, until="2026-01-02", reason=RetireReason.REPLACED
    )
    text = edit.add_user(text, "bob", [BOB])
    text = edit.remove_user(text, "bob")
    registry = parse_registry(text)
    assert {host.name: host.status for host in registry.hosts.values()} == {
        "web1": HostStatus.RETIRED,
        "web2": HostStatus.RETIRED,
        "db": HostStatus.ACTIVE,
    }
    assert [len(registry.hosts[name].retired) for name in ("web1", "web2")] == [1, 1]
    assert registry.groups == {"web": ("web1", "web2"), "db": ("db",)}
    assert {rule.pattern: rule.readers for rule in registry.rules} == {
        "secrets/web/**": ("@web", "db"),
        "secrets/db/**": ("db",),
    }
    assert registry.users["bob"].status is UserStatus.REMOVED
    for comment in ("# settings", "# the web servers", "# first", "# inline", "# dotted"):
        assert comment in text


def test_line_ends_and_a_missing_last_newline_are_kept() -> None:
    text = HAND.replace("\n", "\r\n").rstrip()
    after = edit.add_host(text, "db", [NEW])
    assert "\n" not in after.replace("\r\n", "")
    bare = text[: text.index("# last words")].rstrip()
    rule = '\r\n\r\n[[rules]]\r\npath = "secrets/x"\r\nreaders = ["bob"]\r\n'
    assert edit.grant(bare, ["secrets/x"], ["bob"]) == bare + rule


def test_a_new_registry_reads_back() -> None:
    registry = parse_registry(edit.new_registry("alice", [ALICE], secrets="vault", git="off"))
    assert registry.users["alice"].admin and (registry.secrets, registry.git) == ("vault", "off")
    assert "git" not in tomllib.loads(edit.new_registry("alice", [ALICE]))["secretsmith"]


LAYOUTS = [
    "[{}]",
    "[ {} ]",
    "[\n  {},\n]",
    "[\n{} # c\n]",
    "[ # c\n  {}\n]",
    "[\n  # c\n  {}, # d\n  # e\n]",
    "[\n  {}\n  # e\n]",
    "[\n  {}, # d\n]",
    "[\n\t{}\n\t, # d\n\t]",
    "[\n  # ],\n  {} ]",
]
BETWEEN = [", ", ",", ",\n    ", ", # between\n  ", " ,\n\n  ", "\n  , ", " # x\n  , "]
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True)


@given(NAMES, st.sampled_from(LAYOUTS), st.sampled_from(BETWEEN), NAMES, st.booleans())
def test_any_layout_of_a_list_takes_additions_and_removals(
    members: list[str], layout: str, between: str, others: list[str], adding: bool
) -> None:
    hosts = "".join(f"[hosts.{name}]\nstatus = 'pending'\n" for name in "abcd")
    if not members and ("{}," in layout or "\t," in layout):
        layout = "[ # c\n  {}\n]"
    listed = layout.replace("{}", between.join(f'"{name}"' for name in members))
    text = f"[secretsmith]\nversion = 1\n[groups] # g\nbefore = [] # 1\nx = {listed} # 2\nafter = [] # 3\n{hosts}"
    if adding:
        after = edit.add_group(text, "x", others)
        expected = [*members, *(name for name in others if name not in members)]
        assert [line for line in text.split("\n") if "#" in line and line.split("#")[1] not in after] == []
        assert after.count("#") == text.count("#")
    else:
        after = edit.remove_from_group(text, "x", others)
        expected = [name for name in members if name not in others]
    assert list(parse_registry(after).groups["x"]) == expected
    assert after.startswith(text[: text.index("x = ")]) and after.endswith(text[text.index(" # 2") :])


def test_ten_thousand_hosts_are_edited_in_time(
    within: Callable[[float], AbstractContextManager[None]],
) -> None:
    lines = (f'[hosts.h{number}]\nstatus = "pending"\n' for number in range(10_000))
    text = edit.new_registry("alice", [ALICE]) + "".join(lines)
    with within(2.0):
        assert "h10001" in parse_registry(edit.add_host(text, "h10001", [NEW])).hosts


def test_a_list_whose_comma_stands_below_its_last_element_takes_more() -> None:
    text = edit.add_user(edit.new_registry("alice", [ALICE]), "bob", [BOB])
    text += '[groups]\nx = [\n\t"alice"\n\t, # behind\n\t]\n'
    assert parse_registry(edit.add_group(text, "x", ["bob"])).groups["x"] == ("alice", "bob")
