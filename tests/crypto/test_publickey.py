"""Public key lines: normal form, kinds, fingerprints as the real programs print them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import keys
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keylines import AGE, LINE, ed25519_line

from secretsmith.crypto import bech32
from secretsmith.crypto.publickey import Form, KeyKind, PublicKey, parse_public_key, require_host_key
from secretsmith.errors import Code, RefusedInput

Within = Callable[[float], AbstractContextManager[None]]


def test_the_parts_of_a_key() -> None:
    key = parse_public_key(f"  {LINE}\talice@laptop \n")
    assert key == PublicKey(KeyKind.ED25519, LINE, "alice@laptop", key.fingerprint)
    assert key.line == f"{LINE} alice@laptop"
    assert key.recipient(Form.NATIVE) == LINE
    assert parse_public_key(LINE).line == LINE


def test_age_keys() -> None:
    key = parse_public_key(f"{AGE} backup key")
    assert (key.kind, key.text, key.comment, key.tag) == (KeyKind.X25519, AGE, "backup key", None)
    assert key.recipient(Form.NATIVE) == key.recipient(Form.DERIVED) == key.derived == AGE


@pytest.mark.parametrize(
    ("hrp", "kind", "plugin"),
    [
        ("age1pq", KeyKind.HYBRID, None),
        ("age1tag", KeyKind.TAG, "tag"),
        ("age1tagpq", KeyKind.TAG, "tagpq"),
        ("age1yubikey", KeyKind.PLUGIN, "yubikey"),
        ("age1fido2-hmac", KeyKind.PLUGIN, "fido2-hmac"),
        ("age1a1b", KeyKind.PLUGIN, "a1b"),
    ],
)
def test_other_age_keys(hrp: str, kind: KeyKind, plugin: str | None) -> None:
    key = parse_public_key(bech32.encode(hrp, bytes(33)))
    assert (key.kind, key.plugin) == (kind, plugin)


def test_a_plugin_key_cannot_borrow_a_fingerprint() -> None:
    ssh = parse_public_key(LINE)
    for data in (ssh.blob, bytes(range(1, 33))):
        borrowed = parse_public_key(bech32.encode("age1evil", data))
        assert borrowed.fingerprint not in (ssh.fingerprint, parse_public_key(AGE).fingerprint)
    same = {parse_public_key(bech32.encode(hrp, b"data")).fingerprint for hrp in ("age1a", "age1b")}
    assert len(same) == 2


@given(st.binary(min_size=32, max_size=32), st.text(max_size=60))
def test_the_line_round_trips(point: bytes, comment: str) -> None:
    try:
        key = parse_public_key(f"{ed25519_line(point)} {comment}")
    except RefusedInput:
        return
    assert parse_public_key(key.line) == key
    assert key.line.isprintable()


@given(st.text(max_size=200))
def test_any_text_ends_in_a_key_or_a_refusal(text: str) -> None:
    for line in (text, "ssh-ed25519 " + text, "age1" + text, LINE + text, "ssh-rsa " + text):
        with suppress(RefusedInput):
            assert parse_public_key(line).line.isprintable()


@pytest.mark.parametrize("make", [keys.ed25519_key, keys.rsa_key])
def test_fingerprint_as_ssh_keygen_prints_it(
    make: Callable[[], keys.SshKey], tmp_path: Path, peer: Callable[[str], str]
) -> None:
    key = make()
    key.write(tmp_path, "key")
    out = subprocess.run(
        [peer("ssh-keygen"), "-lf", str(tmp_path / "key.pub")], capture_output=True, check=True
    )
    assert parse_public_key(key.public).fingerprint == out.stdout.decode().split()[1]


@pytest.mark.parametrize(
    "line",
    [keys.rsa_key().public, AGE, bech32.encode("age1yubikey", bytes(33))],
    ids=["rsa", "x25519", "plugin"],
)
def test_hosts_have_ed25519_only(line: str) -> None:
    with pytest.raises(RefusedInput, match=r"web1: .*only ed25519") as caught:
        require_host_key(parse_public_key(line), "web1")
    assert caught.value.code is Code.KEY_UNSUPPORTED
    assert "ssh-keygen -A" in caught.value.hints[0]


def test_row_72_ten_thousand_host_keys(within: Within) -> None:
    lines = [ed25519_line(number.to_bytes(31, "little") + b"\x01") for number in range(2, 10_002)]
    with within(2):
        tags = {parse_public_key(line).tag for line in lines}
    assert len(tags) > 9_990


def test_parsing_loads_no_library() -> None:
    code = (
        "import sys; from secretsmith.crypto.publickey import parse_public_key\n"
        f"parse_public_key({LINE!r}); parse_public_key({AGE!r})\n"
        "print([m for m in ('nacl', 'pyrage', 'cryptography') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout == "[]\n"
