"""``.sops.yaml`` against the real sops: the same rule, the same recipients, the same refusals."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sopsvectors import recipient

from secretsmith.documents.sopsconfig import CreationRule, SopsConfig, parse_config
from secretsmith.errors import Code, RefusedInput, SecretsmithError

A, B, C = (recipient(name) for name in ("a.txt", "b.txt", "c.txt"))
SSH = recipient("ssh_host_ed25519_key")


@dataclass(frozen=True)
class Meant:
    """What a rule comes to in a file."""

    groups: tuple[tuple[str, ...], ...]
    threshold: int
    selection: tuple[str, str]
    mac_only_encrypted: bool


def of_sops(sops: str, folder: Path, config: str, path: str, **variables: str) -> Meant | None:
    """What the real sops makes of it; None when it refuses."""
    (folder / ".sops.yaml").write_text(config)
    (folder / "plain.json").write_text('{"a": "b"}')
    done = subprocess.run(
        [sops, "encrypt", "--filename-override", path, "--input-type", "json", "--output-type", "json", "plain.json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
        capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        return None
    block: dict[str, Any] = json.loads(done.stdout)["sops"]
    groups = block.get("key_groups") or [block]
    names = [name for name in block if name.endswith(("_suffix", "_regex"))]
    return Meant(
        tuple(tuple(entry["recipient"] for entry in group["age"]) for group in groups),
        block.get("shamir_threshold", 0) if len(groups) > 1 else 0,  # for one group it means nothing
        (names[0], block[names[0]]),
        block.get("mac_only_encrypted", False),
    )


def of_ours(config: str, path: str, folder: Path) -> Meant | None:
    try:
        rule = parse_config(config.encode()).rule_for(path.removeprefix(f"{folder}/"))
    except SecretsmithError:
        return None
    if rule is None or not all(rule.groups):
        return None
    several = len(rule.groups) > 1
    return Meant(
        rule.groups,
        (rule.shamir_threshold or len(rule.groups)) if several else 0,
        rule.selection or ("unencrypted_suffix", "_unencrypted"),
        rule.mac_only_encrypted,
    )


CONFIGS = {
    "one rule": f"creation_rules:\n  - age: {A}\n",
    "first match wins": f"""
creation_rules:
  - path_regex: \\.prod\\.yaml$
    age: {A}
  - path_regex: yaml
    age: {B}
  - age: {C}
""",
    "nothing matches": f"creation_rules:\n  - path_regex: ^nowhere/\n    age: {A}\n",
    "an empty list": "creation_rules: []\n",
    "unanchored": f"creation_rules:\n  - path_regex: b\n    age: {A}\n",
    "anchored at the folder": f"creation_rules:\n  - path_regex: ^web/\n    age: {A}\n  - path_regex: ^app\n    age: {B}\n",
    "an empty pattern matches all": f'creation_rules:\n  - path_regex: ""\n    age: {A}\n',
    "a text with commas": f"creation_rules:\n  - age: >-\n      {A},\n      {B} ,\n      {C}\n",
    "a list": f"creation_rules:\n  - age:\n      - {A}\n      - {B}\n",
    "a list of lists of keys": f'creation_rules:\n  - age:\n      - "{A},{B}"\n      - {C}\n',
    "ssh keys": f"creation_rules:\n  - age: [{A}, {SSH}]\n",
    "anchors": f"""
keys:
  - &admin {A}
  - &host {B}
  - unused: true
creation_rules:
  - path_regex: web
    key_groups:
      - age: [*admin, *host]
  - key_groups:
      - age:
          - *host
""",
    "merge keys": f"""
defaults: &defaults
  age: {A}
  encrypted_regex: ^secret
creation_rules:
  - path_regex: web
    <<: *defaults
    age: {B}
  - <<: *defaults
""",
    "several merge keys": f"""
one: &one {{age: "{A}", mac_only_encrypted: true}}
two: &two {{age: "{B}", encrypted_suffix: _enc}}
creation_rules:
  - <<: [*one, *two]
""",
    "key groups": f"""
creation_rules:
  - shamir_threshold: 2
    age: {C}
    key_groups:
      - age: [{A}]
      - age: [{B}, {C}]
      - age: [{SSH}]
""",
    "key groups without a threshold": f"creation_rules:\n  - key_groups:\n      - age: [{A}]\n      - age: [{B}]\n",
    "a key group with a text": f"creation_rules:\n  - key_groups:\n      - age: {A}\n",
    "a key group with commas": f'creation_rules:\n  - key_groups:\n      - age: ["{A},{B}"]\n      - age: ["{C}"]\n',
    "merged groups": f"""
creation_rules:
  - key_groups:
      - merge:
          - age: [{A}]
          - merge:
              - age: [{B}, {A}]
        age: [{C}, {A}]
""",
    "repeated keys in a group": f"creation_rules:\n  - key_groups:\n      - age: [{A}, {B}, {A}]\n",
    "an empty list of groups": f"creation_rules:\n  - key_groups: []\n    age: {A}\n",
    "a threshold for one group": f"creation_rules:\n  - shamir_threshold: 2\n    age: {A}\n",
    "null values": f"creation_rules:\n  - path_regex:\n    age: {A}\n    pgp:\n    shamir_threshold:\n    encrypted_regex:\n",
    **{
        f"with {name}": f"creation_rules:\n  - age: {A}\n    {name}: ^pass\n"
        for name in (
            "unencrypted_suffix",
            "encrypted_suffix",
            "unencrypted_regex",
            "encrypted_regex",
            "unencrypted_comment_regex",
            "encrypted_comment_regex",
        )
    },
    "two selections": f"creation_rules:\n  - age: {A}\n    encrypted_suffix: a\n    encrypted_regex: b\n",
    "two selections in another rule": f"creation_rules:\n  - age: {A}\n  - encrypted_suffix: a\n    encrypted_regex: b\n",
    "an empty selection": f'creation_rules:\n  - age: {A}\n    encrypted_suffix: ""\n    encrypted_regex: b\n',
    "mac only": f"creation_rules:\n  - age: {A}\n    mac_only_encrypted: true\n",
    "mac only in words of YAML 1.1": f"creation_rules:\n  - age: {A}\n    mac_only_encrypted: yes\n",
    "mac only as a text": f"creation_rules:\n  - age: {A}\n    mac_only_encrypted: sometimes\n",
    "a threshold as a text": f"creation_rules:\n  - age: {A}\n    shamir_threshold: two\n",
    "unknown keys": f"version: 3\nstores: {{yaml: {{indent: 2}}}}\ncreation_rules:\n  - age: {A}\n    color: red\n",
    "no age": "creation_rules:\n  - path_regex: .\n",
    "a bad recipient": "creation_rules:\n  - age: age1nonsense\n",
    "a number for age": "creation_rules:\n  - age: 12\n",
    "rules that are no list": "creation_rules: {age: x}\n",
    "rules that are no mappings": "creation_rules: [x]\n",
    "no YAML": "creation_rules: [\n",
    "a bad pattern": f"creation_rules:\n  - path_regex: '('\n    age: {A}\n",
    "a bad pattern after the match": f"creation_rules:\n  - path_regex: .\n    age: {A}\n  - path_regex: '('\n    age: {B}\n",
    "a number as a pattern": f"creation_rules:\n  - path_regex: 12\n    age: {A}\n  - age: {B}\n",
    "flags in a pattern": f"creation_rules:\n  - path_regex: (?i)APP\n    age: {A}\n  - age: {B}\n",
    "two documents": f"creation_rules:\n  - age: {A}\n---\ncreation_rules:\n  - age: {B}\n",
}  # fmt: skip
PATHS = ("app.yaml", "web/app.prod.yaml", "b", "a12.json")


@pytest.mark.parametrize("name", CONFIGS)
def test_same_as_sops(name: str, tmp_path: Path, peer: Callable[[str], str]) -> None:
    sops = peer("sops")
    config = CONFIGS[name]
    for path in PATHS:
        theirs = of_sops(sops, tmp_path, config, path)
        ours = of_ours(config, path, tmp_path)
        if ours is not None and "bad recipient" in name:
            assert theirs is None  # what is no key, the one who encrypts refuses
            continue
        assert ours == theirs, path


def test_files_elsewhere_keep_their_absolute_path(tmp_path: Path, peer: Callable[[str], str]) -> None:
    config = f"creation_rules:\n  - path_regex: ^/.*/elsewhere/\n    age: {A}\n  - age: {B}\n"
    inside = tmp_path / "inside"
    inside.mkdir()
    for path, key in ((tmp_path / "elsewhere/x.yaml", A), (inside / "elsewhere/x.yaml", B)):
        theirs = of_sops(peer("sops"), inside, config, str(path))
        assert theirs is not None
        assert theirs == of_ours(config, str(path), inside)
        assert theirs.groups == ((key,),)


def rule_of(config: str, path: str = "app.yaml") -> CreationRule:
    rule = parse_config(config.encode()).rule_for(path)
    assert rule is not None
    return rule


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "{}\n", "destination_rules: []\n", "creation_rules:\n"]
)
def test_without_rules_it_is_as_if_it_were_not_there(text: str) -> None:
    assert parse_config(text.encode()) == SopsConfig(None)


def test_keys_that_are_not_written_are_named() -> None:
    flat = rule_of(f"creation_rules:\n  - age: {A}\n    pgp: FBC7B9E2, 85D77543\n    kms: arn:aws:kms:x\n")
    assert flat.services == ("PGP FBC7B9E2", "PGP 85D77543", "AWS KMS arn:aws:kms:x")
    assert flat.groups == ((A,),)
    grouped = rule_of(
        f"creation_rules:\n  - key_groups:\n      - age: [{A}]\n        hc_vault: [https://v/keys/k]\n"
        "      - merge:\n          - kms: [{arn: arn:aws:kms:y, role: r}]\n          - pgp: [FBC7B9E2]\n"
    )
    assert grouped.services == ("HashiCorp Vault https://v/keys/k", "AWS KMS arn:aws:kms:y/r", "PGP FBC7B9E2")


@pytest.mark.parametrize("pattern", ["(?!web)", "(a)\\1", "[[:alpha:]]", "\\pL"])
def test_patterns_that_sops_may_read_otherwise_are_refused(pattern: str) -> None:
    config = parse_config(f"creation_rules:\n  - path_regex: '{pattern}'\n    age: {A}\n".encode())
    with pytest.raises(RefusedInput, match="creation rule 1: path_regex") as refused:
        config.rule_for("web/a.yaml")
    assert refused.value.code is Code.RULES


def test_the_number_of_the_rule_is_known() -> None:
    assert rule_of(f"creation_rules:\n  - {{path_regex: ^x, age: {A}}}\n  - age: {B}\n").number == 2


@pytest.mark.parametrize(
    "text",
    [
        "creation_rules:\n  - key_groups:\n" + "".join(f"{'  ' * n}      - merge:\n" for n in range(60)),
        "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)) + "creation_rules: []\n",
        "x: &x {<<: *x}\ncreation_rules: []\n",
        "creation_rules:\n  - path_regex: (((a{1,50}){1,50}){1,50}){1,50}\n",
        "creation_rules:\n" + "  - path_regex: ((a+)+)+$\n" * 2000,
        "creation_rules:\n" + "  - path_regex: ^((.?){900}){3}=$\n" * 100,
    ],
    ids=["depth", "aliases", "itself", "repetition", "many", "large"],
)
def test_hostile_configurations_end_soon(
    text: str, within: Callable[[float], AbstractContextManager[None]]
) -> None:
    with within(2.0), contextlib.suppress(RefusedInput):
        parse_config(text.encode()).rule_for("a" * 200 + ".yaml")
