"""Formats by name, and what looks encrypted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from keys import ed25519_key

from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import HEAD, Format, format_of, looks_encrypted
from secretsmith.sensitive import Sensitive


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("secrets/web/db.age", Format.AGE),
        ("a.yaml.age", Format.AGE),
        ("a.yml", Format.YAML),
        ("a.b/c.yaml", Format.YAML),
        ("a.json", Format.JSON),
        (".env", Format.DOTENV),
        ("prod.env", Format.DOTENV),
        ("a.ini", Format.INI),
        ("a.age/key.pem", Format.BINARY),
        ("A.AGE", Format.BINARY),
        ("plain", Format.BINARY),
        ("age", Format.BINARY),
    ],
)
def test_format_of(path: str, expected: Format) -> None:
    assert format_of(path) is expected


@pytest.mark.parametrize("armor", [True, False])
def test_age_files_look_encrypted(armor: bool) -> None:
    data = encrypt_age(Sensitive(b"hunter2"), [ed25519_key().public], armor=armor)
    assert looks_encrypted(Format.AGE, data[:HEAD])
    assert looks_encrypted(Format.AGE, b"\r\n " + data) is armor


PLAIN = {
    "yaml": "a: hunter2\nsopsy: 1\n",
    "json": '{"a": "hunter2"}',
    "env": "A=hunter2\n",
    "ini": "[a]\nb = hunter2\n",
    "bin": "hunter2",
}


@pytest.mark.parametrize("suffix", PLAIN)
def test_what_sops_writes_looks_encrypted_and_plaintext_does_not(
    suffix: str, peer: Callable[[str], str], tmp_path: Path
) -> None:
    sops = peer("sops")
    path = tmp_path / f"file.{suffix}"
    path.write_text(PLAIN[suffix])
    kind = format_of(path.name)
    assert not looks_encrypted(kind, path.read_bytes())
    recipient = parse_public_key(ed25519_key().public).derived
    ran = subprocess.run(
        [sops, "--age", recipient, "--encrypt", path], capture_output=True, check=True, cwd=tmp_path
    )
    assert looks_encrypted(kind, ran.stdout[:HEAD])


@pytest.mark.parametrize(
    "head",
    [b"", b"hunter2", b"AGE-ENCRYPTION.ORG/v1", b"-----BEGIN PGP MESSAGE-----", b"x age-encryption.org/v1"],
)
def test_plaintext_does_not_look_like_age(head: bytes) -> None:
    assert not looks_encrypted(Format.AGE, head)
