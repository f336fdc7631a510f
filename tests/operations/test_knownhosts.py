"""known_hosts: read as ssh-keygen reads it, and changed in no other place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys import ed25519_key

from secretsmith.operations.knownhosts import known_keys, mended

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1oWTmk5xQ0Kk5Rf2uSkp0fQyqs0fM1aWwVQ2yYw1Zk"
OLD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1oWTmk5xQ0Kk5Rf2uSkp0fQyqs0fM1aWwVQ2yYw1Zl"


@pytest.mark.parametrize(
    ("names", "name", "found"),
    [
        ("web1", "web1", True),
        ("WEB1", "web1", True),
        ("web1,192.0.2.1", "192.0.2.1", True),
        ("*.example.org", "web1.example.org", True),
        ("*.example.org,!web1.example.org", "web1.example.org", False),
        ("[web1]:2222", "[web1]:2222", True),
        ("[web1]:2222", "web1", False),
        ("web?", "web1", True),
        ("web", "web1", False),
        ("[a-z]eb1", "web1", False),
        ("|1|bm90|aGFzaA==", "web1", False),
        ("|1|%%%|x", "web1", False),
    ],
)
def test_names(names: str, name: str, found: bool) -> None:
    assert bool(known_keys(f"{names} {KEY} comment\n", name)) is found


def test_comments_and_damaged_lines_say_nothing() -> None:
    text = f"# web1 {KEY}\n\nweb1\nweb1 ssh-ed25519\n@cert-authority web1 {KEY}\nweb1 ssh-rsa %%%\n"
    found = known_keys(text, "web1")
    assert [(key.line, key.marker, key.kind) for key in found] == [
        (5, "@cert-authority", "ssh-ed25519"),
        (6, "", "ssh-rsa"),
    ]
    assert found[1].fingerprint == "an unreadable key"


def test_hashed_names_and_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    key = ed25519_key()
    file = tmp_path / "known_hosts"
    file.write_text(f"[web1]:2222 {key.public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    (found,) = known_keys(file.read_text(), "[web1]:2222")
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True
    ).stdout
    assert found.fingerprint in listed and found.alone


def test_only_what_is_about_the_host_changes() -> None:
    text = f"# one\nweb1 {OLD}\nweb1,other {OLD} c\n@cert-authority web1 {OLD}\nweb* {OLD}\nlast {OLD}"
    done = mended(text, "web1", KEY, replacing=True, hashed=False)
    assert done.text == (
        f"# one\nother {OLD} c\n@cert-authority web1 {OLD}\nweb* {OLD}\nlast {OLD}\nweb1 {KEY}\n"
    )
    assert done.removed == (2, 3) and done.left == (5,)


def test_a_known_key_changes_nothing_and_others_stay_unless_replaced() -> None:
    text = f"web1 {KEY}\nweb1 ssh-rsa AAAA\n"
    assert mended(text, "web1", KEY, replacing=False, hashed=True).text == text
    assert mended(text, "web1", KEY, replacing=True, hashed=True).text == f"web1 {KEY}\n"


@given(st.text(max_size=200), st.booleans(), st.booleans())
def test_any_text_can_be_mended_and_then_is(text: str, replacing: bool, hashed: bool) -> None:
    done = mended(text, "web1", KEY, replacing=replacing, hashed=hashed)
    assert any(key.text == KEY for key in known_keys(done.text, "web1"))
    assert mended(done.text, "web1", KEY, replacing=replacing, hashed=hashed).text == done.text
    assert known_keys(done.text, "another") == known_keys(text, "another") or done.removed


def test_a_hostile_pattern_costs_no_time() -> None:
    assert not known_keys(f"{'*a' * 2000} {KEY}\n", "a" * 500 + "b")
