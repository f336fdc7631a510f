"""Public keys, patterns and readers in pure Nix, against the same in Python and against ssh-keygen."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from nixstores import CHECKOUT, PLUGIN, Nix

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.policy.rules import compile_pattern

KEYS = sorted((CHECKOUT / "testkeys").glob("*.pub"))


def in_nix(value: object) -> str:
    return f"(builtins.fromJSON {json.dumps(json.dumps(value)).replace('${', chr(92) + '${')})"


def test_sha256_of_every_length_around_the_blocks(nix: Nix) -> None:
    texts = [
        bytes((at * 7 + size) % 256 for at in range(size))
        for size in (*range(70), 118, 119, 120, 128, 129, 535)
    ]
    keys = f"import {PLUGIN}/nix/keys.nix"
    digests = nix.value(f"map ({keys}).sha256 {in_nix([list(text) for text in texts])}")
    assert [bytes(digest) for digest in digests] == [hashlib.sha256(text).digest() for text in texts]


def test_fingerprints_are_those_of_ssh_keygen(nix: Nix) -> None:
    if (ssh_keygen := shutil.which("ssh-keygen")) is None:
        pytest.skip("the peer ssh-keygen is not installed")
    lines = [path.read_text().strip() for path in KEYS]
    described = nix.value(f"map secretsmith.describeKey {in_nix(lines)}")
    for path, found in zip(KEYS, described, strict=True):
        printed = subprocess.run(
            [ssh_keygen, "-lf", str(path)], capture_output=True, text=True, check=True
        ).stdout
        assert found["fingerprint"] == printed.split()[1]
        assert found["ssh_tag"] == parse_public_key(path.read_text().strip()).tag


def test_age_keys(nix: Nix) -> None:
    x25519 = "age1zzym4xu0m7huwhx8ltjkyqz6h6swwxaq8cgghwvnjtkwpj9vfqeqcu7mm4"
    plugin = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"
    for line in (x25519, f"{x25519} alice", plugin):
        assert nix.value(f'secretsmith.describeKey "{line}"') == {
            "fingerprint": parse_public_key(line).fingerprint,
            "recipient": line.split()[0],
        }


@pytest.mark.parametrize("line", ["", "ssh-dss AAAA", "hunter2", "ssh-ed25519", "ecdsa-sha2-nistp256 AAAA x"])
def test_what_is_no_key_is_passed_over(nix: Nix, line: str) -> None:
    assert nix.value(f'secretsmith.describeKey "{line}"') is None


PATTERNS = [
    "secrets/**",
    "**",
    "**/x",
    "a/**/b",
    "a**b",
    "a/*.age",
    "a?c",
    "*",
    "**/*.age",
    "a.c",
    "a+(b)|c^$",
    "a/**/**/b",
]
PATHS = [
    "secrets/a",
    "secrets/a/b.age",
    "x",
    "a/x",
    "a/b",
    "a/c/b",
    "a/c/d/b",
    "axb",
    "a/xb",
    "a/b.age",
    "a/c/b.age",
]
PATHS += ["abc", "a/c", "a.c", "a+(b)|c^$", "aab", "secrets", "secretsx/a", ".age"]


def test_patterns_match_what_the_registry_matches(nix: Nix) -> None:
    registry = f"import {PLUGIN}/nix/registry.nix"
    expression = f"map (p: let r = ({registry}).regexOf p; in map (x: builtins.match r x != null) {in_nix(PATHS)}) {in_nix(PATTERNS)}"
    matched = nix.value(expression)
    for pattern, row in zip(PATTERNS, matched, strict=True):
        here = compile_pattern(pattern)
        assert row == [here.matches(path) for path in PATHS], pattern
    assert any(map(any, matched))


REGISTRY = """
[users.alice]
keys = ["{user}"]
admin = true
[users.bob]
keys = ["{rsa}"]
status = "removed"
[hosts.web1]
keys = ["{host}", "age1zzym4xu0m7huwhx8ltjkyqz6h6swwxaq8cgghwvnjtkwpj9vfqeqcu7mm4"]
[[hosts.web1.retired]]
key = "{old}"
reason = "reinstalled"
[hosts.web2]
keys = []
status = "pending"
[hosts.gone]
keys = ["{rsa}"]
status = "retired"
[groups]
inner = ["web1", "bob"]
outer = ["@inner", "web2", "gone"]
[[rules]]
path = "secrets/web/**"
readers = ["@outer"]
[[rules]]
path = "secrets/**"
readers = ["web2"]
"""


def test_readers_are_those_of_rules_groups_and_admins(nix: Nix, tmp_path: Path) -> None:
    key = {
        name: (CHECKOUT / "testkeys" / f"{name}.pub").read_text().strip()
        for name in ("user_ed25519", "user_rsa")
    }
    host, old = (
        (CHECKOUT / "testkeys" / f"{name}.pub").read_text()
        for name in ("host_ed25519", "user_ed25519_passphrase")
    )
    registry = tmp_path / "secretsmith.toml"
    registry.write_text(
        REGISTRY.format(user=key["user_ed25519"], rsa=key["user_rsa"], host=host.strip(), old=old.strip())
    )
    known = f"((import {PLUGIN}/nix/registry.nix).read {{ registry = {registry}; lock = null; }})"
    web = nix.value(f'{known}.readers "secrets/web/x.age" /none')
    assert sorted(who["name"] for who in web.values()) == ["alice", "web1", "web1"]
    assert [who["name"] for who in nix.value(f'{known}.readers "secrets/x.age" /none').values()] == ["alice"]
    assert nix.value(f'{known}.readers "other/x.age" /none') is None
    web1 = nix.value(f'{known}.host "web1"')
    assert web1["first"] == parse_public_key(host.strip()).fingerprint
    assert list(web1["former"]) == [parse_public_key(old.strip()).fingerprint]
    gone = nix.value(f'{known}.host "gone"')
    assert (gone["keys"], len(gone["former"]), gone["first"]) == ({}, 1, None)
    assert nix.value(f'{known}.host "nobody"') is None
