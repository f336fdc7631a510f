"""The real age, age-keygen and ssh-keygen, in both directions, and files that others made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from agekinds import ED25519, KINDS, RSA, VALUE, by_kind

from secretsmith.crypto import bech32
from secretsmith.crypto.agefile import decrypt_age, encrypt_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import Form, parse_public_key
from secretsmith.sensitive import Sensitive

Within = Callable[[float], AbstractContextManager[None]]


def _write_keys(folder: Path) -> dict[str, Path]:
    age_key = folder / "age.txt"
    age_key.write_bytes(bech32.encode("AGE-SECRET-KEY-", bytes(range(32))).encode() + b"\n")
    derived = parse_ssh_private_key(ED25519.private)
    assert isinstance(derived, SshPrivateKey)
    assert derived.derived is not None
    derived_key = folder / "derived.txt"
    derived_key.write_bytes(derived.derived.expose() + b"\n")
    return {
        "ssh-ed25519": ED25519.write(folder, "ed25519"),
        "ssh-rsa": RSA.write(folder, "rsa"),
        "x25519": age_key,
        "derived": derived_key,
    }


@by_kind
@pytest.mark.parametrize("armor", [True, False])
def test_the_real_age_opens_what_we_write(
    kind: str, armor: bool, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    files = _write_keys(tmp_path)
    data = encrypt_age(VALUE, [recipient for recipient, _ in KINDS.values()], armor=armor)
    out = subprocess.run(
        [peer("age"), "-d", "-i", str(files[kind])], input=data, capture_output=True, check=True
    )
    assert out.stdout == VALUE.expose()


@by_kind
@pytest.mark.parametrize("armor", [[], ["-a"]])
@pytest.mark.parametrize("alone", [True, False])
def test_we_open_what_the_real_age_writes(
    kind: str, armor: list[str], alone: bool, peer: Callable[[str], str]
) -> None:
    recipient, identity = KINDS[kind]
    value = Sensitive(bytes(range(256)) * 1000)
    recipients = [recipient] if alone else [text for text, _ in KINDS.values()]
    arguments = [word for text in recipients for word in ("-r", text)]
    out = subprocess.run(
        [peer("age"), *armor, *arguments], input=value.expose(), capture_output=True, check=True
    )
    opened = decrypt_age(out.stdout, [identity])
    assert (opened.plaintext, opened.armored) == (value, bool(armor))


def test_keys_of_age_keygen(tmp_path: Path, peer: Callable[[str], str]) -> None:
    file = tmp_path / "keys.txt"
    subprocess.run([peer("age-keygen"), "-o", str(file)], capture_output=True, check=True)
    (secret,) = parse_age_identities(file.read_bytes())
    assert isinstance(secret, AgeSecret)
    printed = subprocess.run(
        [peer("age-keygen"), "-y", str(file)], capture_output=True, check=True, text=True
    )
    assert secret.public.text == printed.stdout.strip()
    data = encrypt_age(VALUE, [secret.public.text], armor=True)
    out = subprocess.run([peer("age"), "-d", "-i", str(file)], input=data, capture_output=True, check=True)
    assert out.stdout == VALUE.expose()


def test_keys_of_ssh_keygen(tmp_path: Path, peer: Callable[[str], str]) -> None:
    file = tmp_path / "key"
    subprocess.run([peer("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    public = parse_public_key((tmp_path / "key.pub").read_text())
    private = parse_ssh_private_key(file.read_bytes())
    assert isinstance(private, SshPrivateKey)
    for form in Form:
        data = encrypt_age(VALUE, [public.recipient(form)], armor=True)
        assert decrypt_age(data, [SshIdentity(private, "key")]).plaintext == VALUE
    native = encrypt_age(VALUE, [public.text], armor=True)
    out = subprocess.run([peer("age"), "-d", "-i", str(file)], input=native, capture_output=True, check=True)
    assert out.stdout == VALUE.expose()


def test_the_published_keys(repository_root: Path) -> None:
    folder = repository_root / "testkeys"
    canaries = Sensitive((folder / "canaries.txt").read_bytes())
    (secret,) = parse_age_identities((folder / "age_x25519.txt").read_bytes())
    assert isinstance(secret, AgeSecret)
    assert f"# public key: {secret.public.text}" in (folder / "age_x25519.txt").read_text()
    data = encrypt_age(canaries, [secret.public.text, (folder / "host_ed25519.pub").read_text()], armor=True)
    host = parse_ssh_private_key((folder / "host_ed25519").read_bytes())
    assert isinstance(host, SshPrivateKey)
    for identity in (AgeIdentity(secret, "age"), SshIdentity(host, "host")):
        assert decrypt_age(data, [identity]).plaintext == canaries


def test_agenix_s_own_example_opens(repository_root: Path) -> None:
    example = repository_root.parent / "shared" / "agenix-example"
    if not example.is_dir():
        pytest.skip("agenix's example repository is not beside the checkout")
    rules = json.loads((example / "rules.json").read_text())
    key = parse_ssh_private_key((example / "keys" / "user1").read_bytes())
    assert isinstance(key, SshPrivateKey)
    files = sorted(example.glob("*.age"))
    assert len(files) == 5
    assert rules
    for file in files:
        assert len(decrypt_age(file.read_bytes(), [SshIdentity(key, "user1")]).plaintext) > 0
