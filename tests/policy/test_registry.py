"""Reading secretsmith.toml: what is accepted, and what is refused with code and place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import ecdsa_key, ed25519_key, rsa_key
from registries import HEADER, fleet, host, rule, ssh_line, user

from secretsmith.crypto import bech32
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.policy.principals import HostStatus, KeyState, RetireReason, UserStatus
from secretsmith.policy.reading import MAX_MARKS, MAX_REGISTRY
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.resolve import wanted_readers

AGE = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"  # age's README, a public example
OLD = f'[[hosts.web1.retired]]\nkey = "{ssh_line("old")}"\nsince = "2026-01-02"\nuntil = "2026-11-20"\nreason = "compromised"\n'
FULL = (
    HEADER
    + 'secrets = "vault/prod/"\ngit = "add"\n'
    + user("alice", ssh_line("alice", "alice@laptop"), AGE, more="admin = true")
    + user("bob", more='status = "removed"')
    + host("web1", more='address = "web1.example.org"')
    + OLD
    + '[hosts.new]\nstatus = "pending"\n'
    + '[groups]\nweb = ["web1", "new"]\nall = ["@web", "alice"]\n'
    + rule(
        "vault/prod/web/**",
        "@web",
        "bob",
        more='encrypted_regex = "^pass"\nmac_only_encrypted = true\narmor = false',
    )
    + rule(
        "vault/prod/*.yaml",
        "alice",
        "@web",
        more='key_groups = [["alice"], ["@web"]]\nshamir_threshold = 2\nfrom = "build"',
    )
)


def refused(text: str) -> RefusedInput:
    with pytest.raises(RefusedInput) as caught:
        parse_registry(text)
    assert caught.value.message.startswith("secretsmith.toml:")
    assert caught.value.message.isprintable()
    assert not caught.value.message.endswith(".")
    return caught.value


def test_a_full_registry() -> None:
    registry = parse_registry(FULL)
    assert (registry.secrets, registry.git) == ("vault/prod", "add")
    alice = registry.users["alice"]
    assert alice.admin and [key.line for key in alice.keys] == [ssh_line("alice", "alice@laptop"), AGE]
    assert registry.users["bob"].status is UserStatus.REMOVED
    web1 = registry.hosts["web1"]
    assert (web1.status, web1.address) == (HostStatus.ACTIVE, "web1.example.org")
    assert (web1.retired[0].since, web1.retired[0].until) == ("2026-01-02", "2026-11-20")
    assert web1.retired[0].reason is RetireReason.COMPROMISED
    assert registry.hosts["new"].keys == ()
    assert registry.groups == {"web": ("web1", "new"), "all": ("@web", "alice")}
    first, second = registry.rules
    assert (first.selection, first.mac_only_encrypted, first.armor) == (
        ("encrypted_regex", "^pass"),
        True,
        False,
    )
    assert (second.key_groups, second.shamir_threshold, second.origin) == (
        (("alice",), ("@web",)),
        2,
        "build",
    )
    assert [FULL.splitlines()[one.line - 1] for one in registry.rules] == ["[[rules]]", "[[rules]]"]
    assert registry.warnings == ()
    assert [principal.name for principal in registry.everyone()] == ["alice", "bob", "web1", "new"]


def test_the_smallest_registry_has_defaults() -> None:
    registry = parse_registry(HEADER)
    assert (registry.secrets, registry.git, registry.rules, registry.everyone()) == (
        "secrets",
        "intent",
        (),
        (),
    )


def test_lines_of_rules_in_other_spellings() -> None:
    hidden = user("a").replace("[users.a]", "[users.a]\nstatus = '''active'''")
    assert [one.line for one in parse_registry(HEADER + hidden + rule("x", "a")).rules] == [7]
    text = (
        'rules = [\n  { path = "x", readers = ["a"] },\n  { path = "y", readers = ["a"] },\n]\n'
        + HEADER
        + user("a")
    )
    assert [one.line for one in parse_registry(text).rules] == [2, 3]


def test_keys_are_found_by_fingerprint_tag_and_recipient() -> None:
    registry = parse_registry(FULL)
    key, old = registry.hosts["web1"].keys[0], registry.hosts["web1"].retired[0].key
    bob = registry.users["bob"].keys[0]
    assert [(use.principal, use.state) for use in registry.key_owner(key.fingerprint)] == [
        ("web1", KeyState.ACTIVE)
    ]
    assert [(use.principal, use.state) for use in registry.key_owner(old.fingerprint)] == [
        ("web1", KeyState.COMPROMISED)
    ]
    assert [(use.principal, use.state) for use in registry.key_owner(bob.fingerprint)] == [
        ("bob", KeyState.REMOVED)
    ]
    assert registry.key_owner("SHA256:nobody") == []
    assert key.tag is not None
    assert [use.key for use in registry.by_tag(key.tag)] == [key]
    assert [use.key for use in registry.by_recipient(key.line)] == [key]
    assert [use.principal for use in registry.by_recipient(AGE)] == ["alice"]
    assert registry.by_recipient("not a key") == []


def test_the_derived_form_finds_the_ssh_key() -> None:
    keys = [ed25519_key() for _ in range(30)]  # both signs of the point, any length of the field element
    registry = parse_registry(HEADER + "".join(host(f"h{n}", key.public) for n, key in enumerate(keys)))
    for number, key in enumerate(keys):
        derived = parse_public_key(key.public).derived
        assert derived.startswith("age1")
        assert [use.principal for use in registry.by_recipient(derived)] == [f"h{number}"]
    assert registry.by_recipient(parse_public_key(ed25519_key().public).derived) == []


def test_an_active_use_of_a_key_comes_first() -> None:
    registry = parse_registry(
        HEADER
        + host("web1", more="")
        + OLD
        + host("a", ssh_line("same"), more='status = "retired"')
        + host("b", ssh_line("same"))
    )
    fingerprint = parse_public_key(ssh_line("same")).fingerprint
    assert [(use.principal, use.state) for use in registry.key_owner(fingerprint)] == [
        ("b", KeyState.ACTIVE),
        ("a", KeyState.RETIRED),
    ]


def test_principal_suggests_the_closest_name() -> None:
    registry = parse_registry(FULL)
    assert registry.principal("web1") is registry.hosts["web1"]
    with pytest.raises(NotFound) as caught:
        registry.principal("wbe1")
    assert caught.value.hints == ("did you mean 'web1'?",)


BASE = HEADER + user("alice") + host("web1")
PRIVATE = bech32.encode("age-secret-key-", b"\x01" * 32).upper()


@pytest.mark.parametrize(
    ("text", "code", "place", "says"),
    [
        # schema
        ("", Code.REG_SCHEMA, "1:1", "no [secretsmith]"),
        ("[secretsmith]\n", Code.REG_SCHEMA, "1:2", "no version"),
        ("[secretsmith]\nversion = 2\n", Code.REG_SCHEMA, "2:1", "version 2"),
        ("[secretsmith]\nversion = true\n", Code.REG_SCHEMA, "2:1", "whole number"),
        ("[secretsmith]\nversion = 1.0\n", Code.REG_SCHEMA, "2:1", "whole number"),
        ("secretsmith = 1\n", Code.REG_SCHEMA, "1:1", "a table"),
        (HEADER + 'git = "ad"\n', Code.REG_SCHEMA, "3:1", "git"),
        (HEADER + 'secrets = "../x"\n', Code.REG_SCHEMA, "3:1", "no folder below"),
        (HEADER + 'secrets = "/x"\n', Code.REG_SCHEMA, "3:1", "no folder below"),
        (HEADER + 'secrets = ""\n', Code.REG_SCHEMA, "3:1", "no folder below"),
        (HEADER + 'secrets = ".git/x"\n', Code.REG_SCHEMA, "3:1", "no folder below"),
        (HEADER + "secret = 1\n", Code.REG_SCHEMA, "3:1", "unknown key 'secret'"),
        (HEADER + "[host.web1]\n", Code.REG_SCHEMA, "3:2", "unknown key 'host'"),
        (BASE + "keyz = []\n", Code.REG_SCHEMA, "9:1", "unknown key 'keyz' in [hosts.web1]"),
        (BASE + "admin = true\n", Code.REG_SCHEMA, "9:1", "unknown key 'admin' in [hosts.web1]"),
        (BASE + 'status = "actve"\n', Code.REG_SCHEMA, "9:1", "'actve' is none of"),
        (BASE + 'address = "-oProxyCommand=x"\n', Code.REG_SCHEMA, "9:1", "no address"),
        (BASE + 'address = "a b"\n', Code.REG_SCHEMA, "9:1", "no address"),
        (BASE + "[rules]\n", Code.REG_SCHEMA, "9:2", "rules must be a list"),
        (BASE + "rules.x = 1\n", Code.REG_SCHEMA, "9:1", "unknown key 'rules'"),
        (HEADER + "[users]\nalice = 1\n", Code.REG_SCHEMA, "4:1", "alice must be a table"),
        (HEADER + '[users.alice]\nkeys = "x"\n', Code.REG_SCHEMA, "4:1", "keys must be a list"),
        (HEADER + "[users.alice]\nkeys = [\n  1,\n]\n", Code.REG_SCHEMA, "5:3", "quoted strings"),
        (HEADER + '[users.alice]\nadmin = "yes"\n', Code.REG_SCHEMA, "4:1", "true or false"),
        # dates
        (BASE + OLD.replace('"2026-11-20"', "2026-11-20"), Code.REG_SCHEMA, "12:1", "date in quotes"),
        (BASE + OLD.replace("2026-11-20", "2026-11-31"), Code.REG_SCHEMA, "12:1", "YYYY-MM-DD"),
        (BASE + OLD.replace("2026-11-20", "20261120"), Code.REG_SCHEMA, "12:1", "YYYY-MM-DD"),
        (BASE + OLD.replace("2026-11-20", "2025-11-20"), Code.REG_SCHEMA, "12:1", "ends before it begins"),
        (BASE + OLD.replace('reason = "compromised"\n', ""), Code.REG_SCHEMA, "9:14", "no reason"),
        (BASE + OLD.replace("compromised", "stolen"), Code.REG_SCHEMA, "13:1", "'stolen' is none of"),
        (BASE + '[[hosts.web1.retired]]\nreason = "replaced"\n', Code.REG_SCHEMA, "9:14", "has no key"),
        # keys
        (HEADER + "[users.alice]\n", Code.REG_EMPTY, "3:8", "user alice has no key"),
        (HEADER + "[hosts.web1]\nkeys = []\n", Code.REG_EMPTY, "4:1", "host web1 has no key"),
        (HEADER + user("alice", "ssh-ed25519 AAAA"), Code.KEY_FORMAT, "4:9", "user alice"),
        (HEADER + user("alice", 'no-pty ' + ssh_line("a")), Code.KEY_OPTIONS, "4:9", "user alice"),
        (HEADER + user("alice", PRIVATE), Code.KEY_PRIVATE, "4:9", "user alice"),
        (HEADER + user("alice", ssh_line("a") + "\\n" + ssh_line("b")), Code.KEY_FORMAT, "4:9", "user alice"),
        (HEADER + user("alice", ssh_line("a") + "\\u0000"), Code.KEY_FORMAT, "4:9", "user alice"),
        (HEADER + user("alice", ssh_line("a"), ssh_line("a", "again")), Code.REG_DUP, "4:", "twice"),
        (HEADER + host("web1", AGE), Code.KEY_UNSUPPORTED, "4:9", "ed25519"),
        (HEADER + host("web1", *map(ssh_line, "abc")), Code.REG_SCHEMA, "4:1", "has 3 keys"),
        (HEADER + host("web1", ssh_line("old")) + OLD, Code.REG_DUP, "7:1", "both in use and retired"),
        # names
        (HEADER + user("alice") + host("alice"), Code.REG_DUP, "6:8", "already the name of a user"),
        (HEADER + user('"a/b"'), Code.NAME, "3:8", "cannot name a user"),
        (HEADER + host('"a\\nb"'), Code.NAME, "3:8", "cannot name a host"),
        (HEADER + host('"-x"'), Code.NAME, "3:8", "cannot name a host"),
        (HEADER + host('"..' + "x" * 80 + '"'), Code.NAME, "3:8", "cannot name a host"),
        (HEADER + '[groups]\n"@web" = []\n', Code.NAME, "4:1", "cannot name a group"),
        (HEADER + host('"a\\u001b[2J\\u202e"'), Code.NAME, "3:8", "\\x1b[2J\\u202e"),
        (HEADER + host(f'"{PRIVATE}"'), Code.NAME, "3:8", "not shown"),
        # groups
        (BASE + '[groups]\nweb = ["wbe1"]\n', Code.REG_UNKNOWN, "10:8", "no user or host is called 'wbe1'"),
        (BASE + '[groups]\nweb = ["@wbe"]\n', Code.REG_UNKNOWN, "10:8", "no group is called '@wbe'"),
        (BASE + '[groups]\na = ["@a"]\n', Code.REG_CYCLE, "10:1", "@a → @a"),
        (BASE + '[groups]\na = ["web1", "@b"]\nb = ["@c"]\nc = ["@b"]\n', Code.REG_CYCLE, "11:1", "@b → @c → @b"),
        # rules
        (BASE + "[[rules]]\n", Code.REG_SCHEMA, "9:3", "has no path"),
        (BASE + '[[rules]]\npath = "x"\n', Code.REG_EMPTY, "9:3", "names no readers"),
        (BASE + rule("x"), Code.REG_EMPTY, "11:1", "names no readers"),
        (BASE + "[groups]\nweb = []\nall = ['@web']\n" + rule("x", "@all"), Code.REG_EMPTY, "14:1", "nobody is in @all"),
        (BASE + rule("x", "alcie"), Code.REG_UNKNOWN, "11:12", "'alcie'"),
        (BASE + rule("x", PRIVATE), Code.REG_UNKNOWN, "11:12", "not shown"),
        (BASE + rule("/x", "alice"), Code.REG_RULES, "10:1", "absolute"),
        (BASE + rule("x[ab]", "alice"), Code.REG_RULES, "10:1", "character classes"),
        (BASE + rule("x", "alice", more='from = "nix"'), Code.REG_SCHEMA, "12:1", "'build'"),
        (BASE + rule("x", "alice", more="armor = 1"), Code.REG_SCHEMA, "12:1", "true or false"),
        (BASE + rule("x", "alice", more='encrypted_regex = "(?!x)ab"'), Code.REG_RULES, "12:1", "look-around"),
        (BASE + rule("x", "alice", more='encrypted_regex = ""'), Code.REG_SCHEMA, "12:1", "is empty"),
        (BASE + rule("x", "alice", more='encrypted_suffix = "_e"\nunencrypted_regex = "x"'), Code.REG_SCHEMA, "13:1", "only one of"),
        (BASE + rule("x", "alice", more="shamir_threshold = 1"), Code.REG_SCHEMA, "12:1", "needs key_groups"),
        (BASE + rule("x", "alice", more='key_groups = [["alice"]]\nshamir_threshold = 2'), Code.REG_SCHEMA, "13:1", "from 1 to 1"),
        (BASE + rule("x", "alice", more='key_groups = [["web1"]]'), Code.REG_SCHEMA, "12:1", "divide the readers"),
        (BASE + rule("x", "alice", more='key_groups = ["alice"]'), Code.REG_SCHEMA, "12:15", "list of lists"),
        (BASE + rule("x", "alice", more="key_groups = [[]]"), Code.REG_EMPTY, "12:1", "empty key group"),
        (BASE + rule("x", "alice", more='reader = ["web1"]'), Code.REG_SCHEMA, "12:1", "unknown key 'reader'"),
        # syntax
        ("[secretsmith\n", Code.REG_SYNTAX, "1:13", "expected"),
        (BASE + "x = \n", Code.REG_SYNTAX, "9:5", "invalid value"),
        (HEADER + user("alice") + user("alice"), Code.REG_DUP, "6:", "users.alice is declared twice"),
        (BASE + host("web1"), Code.REG_DUP, "9:", "hosts.web1 is declared twice"),
        (HEADER + host(f'"{PRIVATE}"') * 2, Code.REG_SYNTAX, "6:", "not shown"),
        (HEADER + "x = [", Code.REG_SYNTAX, "3:", "end of the file"),
        ("x = " + "[" * 5000, Code.REG_SYNTAX, "1:1", "nested"),
        (HEADER + "version = 2\n", Code.REG_DUP, "3:12", "overwrite"),
        (HEADER + "x = " + "9" * 5000 + "\n", Code.REG_SYNTAX, "3:5", "number"),
        (HEADER + ".".join("a" * 20000) + " = 1\n", Code.REG_SCHEMA, "3:1", "more than three parts"),
        (HEADER + "x = { " + ".".join("a" * 20000) + " = 1 }\n", Code.REG_SCHEMA, "3:7", "more than three parts"),
        ("\ufeff" + HEADER, Code.REG_SYNTAX, "1:1", "invalid"),
        (HEADER + "x = '\0'\n", Code.REG_SYNTAX, "3:6", "invalid character"),
    ],
)  # fmt: skip
def test_refused(
    text: str, code: Code, place: str, says: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2):
        error = refused(text)
    assert error.code is code
    assert error.message.startswith(f"secretsmith.toml:{place}"), error.message
    assert says in error.message
    assert PRIVATE not in error.message + "".join(error.hints)


def test_real_keys_of_other_kinds() -> None:
    rsa, weak, ecdsa = rsa_key(), rsa_key(1024), ecdsa_key()
    assert parse_registry(HEADER + user("alice", rsa.public)).users["alice"].keys[0].kind == "ssh-rsa"
    assert refused(HEADER + user("alice", weak.public)).code is Code.KEY_WEAK
    assert refused(HEADER + user("alice", ecdsa.public)).code is Code.KEY_UNSUPPORTED
    error = refused(HEADER + host("web1", rsa.public))
    assert error.code is Code.KEY_UNSUPPORTED and "only ed25519" in error.message and error.hints


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (BASE + "[[rules]]\npath = 'x'\nraeders = ['alice']\n", "add"),
        (BASE + "keyz = []\n", "did you mean 'keys'?"),
        (BASE + 'status = "actve"\n', "did you mean 'active'?"),
        (BASE + rule("x", "alcie"), "did you mean 'alice'?"),
        (BASE + "[groups]\nweb = ['web1']\n" + rule("x", "web"), "a group is written '@web'"),
        (BASE + "[groups]\nweb = ['web1']\n" + rule("x", "@wbe"), "did you mean '@web'?"),
        (BASE + "<<<<<<< ours\n", "conflict markers"),
        (BASE + "=======\n", "conflict markers"),
    ],
)
def test_hints(text: str, hint: str) -> None:
    error = refused(text)
    assert error.hints
    assert hint == "add" or any(hint in one for one in error.hints)


def test_the_same_key_under_two_names_is_a_warning_with_both_places() -> None:
    registry = parse_registry(
        HEADER + user("alice", ssh_line("same")) + host("web1", ssh_line("same", "again"))
    )
    (warning,) = registry.warnings
    assert warning.code is Code.REG_DUP
    assert warning.message.startswith("secretsmith.toml:7:9: web1 and alice have the same key SHA256:")
    assert "secretsmith.toml:4:9" in warning.hint


def test_ten_thousand_warnings_are_no_hang(within: Callable[[float], AbstractContextManager[None]]) -> None:
    line = ssh_line("same")
    with within(2):
        registry = parse_registry(HEADER + "".join(host(f"h{number}", line) for number in range(5000)))
        assert len(registry.warnings) == 4999


def test_a_long_chain_of_groups(within: Callable[[float], AbstractContextManager[None]]) -> None:
    chain = "".join(f'g{number} = ["@g{number + 1}"]\n' for number in range(5000)) + 'g5000 = ["web1"]\n'
    with within(2):
        registry = parse_registry(BASE + "[groups]\n" + chain + rule("x", "@g0"))
        wanted = wanted_readers(registry, "x")
    assert wanted is not None
    assert wanted.names == ("web1",)
    assert len(wanted.why["web1"][0]) < 200


HOSTILE = {
    "over the limit": HEADER + "#" * MAX_REGISTRY,
    "values": "a = [" + "1," * 1_500_000 + "]",
    "most values": "a = [" + "1," * (MAX_MARKS - 10) + "]",
    "tables": "[[rules]]\n" * 50_000,
    "most rules": HEADER + user("a") + rule("x", "a") * (MAX_MARKS // 6),
    "lines": "\n" * (MAX_REGISTRY - 1),
    "blanks": " " * (MAX_REGISTRY - 1),
    "quotes": '"' * MAX_REGISTRY,
    "brackets": "x = " + "[" * 100_000,
    "inline tables": "x = " + "{ a = " * 60_000,
    "one word": "a" * MAX_REGISTRY,
    "dotted keys": "".join(f"a{number}.b.c = 1\n" for number in range(150_000)),
    "many deep keys": "\n".join(["a.b." + f"a{number} = 1" for number in range(40_000)]),
    "inline dotted keys": "x = { " + ", ".join(f"a{number}.b.c = 1" for number in range(40_000)) + " }",
    "headers": "".join(f"[a{number}]\n" for number in range(40_000)),
    "more headers": "".join(f"[a{number}]\n" for number in range(MAX_MARKS)),
    "escapes": 'x = "' + '\\"' * (MAX_MARKS - 10) + '"',
    "dotted headers": "".join(f"[a{number}.b.c]\n" for number in range(40_000)),
    "more dotted headers": "".join(f"[a{number}.b.c]\n" for number in range(90_000)),
    "escaped quotes": 'x = "' + '\\"' * 1_500_000,
    "escaped triple quotes": 'x = """' + '\\"""' * 700_000,
    "triple quotes": "x = '''" + " ''" * 700_000,
}


def test_dots_in_names_comments_and_strings_are_no_deep_keys() -> None:
    text = (
        HEADER
        + "# [a.b.c.d.e], a.b.c.d = 1\n"
        + host('"web1.eu.example.org"', more='address = "a.b.c.d.example.org" # x, a.b.c.d')
    )
    text += '[groups]\n"a.b.c.d" = ["web1.eu.example.org", # a.b.c.d\n]\n'
    registry = parse_registry(text)
    assert list(registry.hosts) == ["web1.eu.example.org"]
    error = refused(HEADER + host("web1.eu.example.org"))
    assert error.hints == ('a name with dots is quoted: [hosts."web1.example.org"]',)
    assert refused(HEADER + host("example.org")).code is Code.REG_SCHEMA


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_texts_end_soon(what: str, within: Callable[[float], AbstractContextManager[None]]) -> None:
    text = HOSTILE[what]
    with within(2):
        try:
            parse_registry(text)
        except RefusedInput as error:
            assert error.message.startswith("secretsmith.toml:")  # noqa: PT017
    if what in (
        "over the limit",
        "values",
        "tables",
        "more headers",
        "more dotted headers",
        "escaped quotes",
    ):
        assert _code(text) is Code.TOO_BIG


def _code(text: str) -> Code:
    with pytest.raises(RefusedInput) as caught:
        parse_registry(text)
    return caught.value.code


def test_ten_thousand_hosts_and_ten_thousand_paths(
    within: Callable[[float], AbstractContextManager[None]],
) -> None:
    text = fleet(10_000, 100)
    with within(2):
        registry = parse_registry(text)
        readers = 0
        for number in range(10_000):
            wanted = wanted_readers(registry, f"secrets/x{number % 37}/s{number % 150}-{number}.age")
            readers += len(wanted.names) if wanted else 0
    assert readers > 10_001 * 5000


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutilated_registry_ends_otherwise_than_refused(data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40]))
        text = text[:start] + data.draw(st.text('ab"[]{}=.,\n@*0\x00é', max_size=3)) + text[start + length :]
    try:
        parse_registry(text)
    except RefusedInput as error:
        assert error.message.startswith("secretsmith.toml:")  # noqa: PT017
        assert error.message.isprintable()  # noqa: PT017


def test_nix_reads_the_registry(peer: Callable[[str], str], tmp_path: Path) -> None:
    """The same text means the same to builtins.fromTOML."""
    nix = peer("nix-instantiate")
    path = tmp_path / "secretsmith.toml"
    path.write_text(FULL)
    expression = f"builtins.toJSON (builtins.fromTOML (builtins.readFile {path}))"
    ran = subprocess.run(
        [nix, "--eval", "--strict", "-E", expression], capture_output=True, text=True, check=True
    )
    seen = json.loads(json.loads(ran.stdout))
    registry = parse_registry(FULL)
    assert set(seen["users"]) == set(registry.users)
    assert seen["hosts"]["web1"]["retired"][0]["until"] == "2026-11-20"
    assert [one["path"] for one in seen["rules"]] == [one.pattern for one in registry.rules]
    assert seen["users"]["alice"]["keys"] == [key.line for key in registry.users["alice"].keys]
