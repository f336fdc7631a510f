"""``[[keyring]]`` of the registry: strict, kept by edits and merges, and nothing but names."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registries import HEADER, rule, ssh_line, user

from secretsmith.errors import Code, RefusedInput
from secretsmith.policy import edit
from secretsmith.policy.keyringmap import KeyringEntry
from secretsmith.policy.registry import parse_registry

START = HEADER + user("alice", more="admin = true") + rule("secrets/a.age", "alice")
TABLE = '[[keyring]]\nservice = "https://a.example.org/"\nsecret = "secrets/a.age"\n'


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a TOML basic string, but for DEL


def test_all_fields() -> None:
    found = parse_registry(START + TABLE + 'username = "u"\n' + TABLE + 'key = "a/b"\n').keyring
    assert found == (
        KeyringEntry("https://a.example.org/", "u", "secrets/a.age"),
        KeyringEntry("https://a.example.org/", None, "secrets/a.age", "a/b"),
    )
    assert parse_registry(START).keyring == ()


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text("ab \t\n\"'\\é\x7f", min_size=1))
def test_services_and_user_names_are_any_text(service: str, username: str) -> None:
    text = f'[[keyring]]\nservice = {quoted(service)}\nusername = {quoted(username)}\nsecret = "a.age"\n'
    assert parse_registry(START + text).keyring == (KeyringEntry(service, username, "a.age"),)


@pytest.mark.parametrize(
    ("table", "code", "message"),
    [
        ("[keyring]\n", Code.REG_SCHEMA, "keyring must be a list"),
        ('[[keyring]]\nsecret = "a"\n', Code.REG_SCHEMA, "this [[keyring]] has no service"),
        ('[[keyring]]\nservice = "a"\n', Code.REG_SCHEMA, "this [[keyring]] has no secret"),
        (TABLE.replace("https://a.example.org/", ""), Code.REG_SCHEMA, "this [[keyring]] has no service"),
        (TABLE + 'username = ""\n', Code.REG_SCHEMA, "an empty username; leave it out"),
        (TABLE + 'key = ""\n', Code.REG_SCHEMA, "an empty key; leave it out"),
        (TABLE + "username = 1\n", Code.REG_SCHEMA, "username must be a quoted string"),
        (TABLE + 'key_cmd = "x"\n', Code.REG_SCHEMA, "unknown key 'key_cmd' in [[keyring]]"),
        (TABLE + TABLE, Code.REG_DUP, "'https://a.example.org/' with any username is named twice"),
        (
            TABLE.replace("secrets/a.age", "../a.age"),
            Code.REG_SCHEMA,
            "is no path from the registry's folder",
        ),
        (TABLE.replace("secrets/a.age", "/a.age"), Code.REG_SCHEMA, "is no path from the registry's folder"),
        (TABLE.replace("secrets/a.age", "a//b"), Code.REG_SCHEMA, "is no path from the registry's folder"),
        (TABLE.replace("secrets/a.age", "\\u001b[2J"), Code.REG_SCHEMA, "'\\x1b[2J' is no path"),
    ],
)
def test_refused(table: str, code: Code, message: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        parse_registry(START + table)
    assert caught.value.code is code
    assert message in caught.value.message
    assert caught.value.message.startswith("secretsmith.toml:")


def test_edits_keep_the_table() -> None:
    text = START + "\n# the index\n" + TABLE
    changed = edit.add_host(edit.grant(text, ["secrets/b.age"], ["alice"]), "web1", [ssh_line("web1")])
    assert "# the index\n" + TABLE in changed
    assert parse_registry(changed).keyring == parse_registry(text).keyring


def test_both_sides_of_a_merge_may_add_one(tmp_path: Path) -> None:
    from secretsmith.policy.registrymerge import with_both_additions

    other = TABLE.replace("https://a", "https://b")
    for name, text in (("base", START), ("ours", START + TABLE), ("theirs", START + other)):
        (tmp_path / name).write_text(text)
    words = ["git", "merge-file", "-p", "--diff3", "ours", "base", "theirs"]
    merged = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    resolved = with_both_additions(merged)
    assert resolved is not None
    assert len(parse_registry(resolved).keyring) == 2
