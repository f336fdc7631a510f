"""What an identity says of a file before any private operation."""

from __future__ import annotations

import keys
from agemaker import SHARE, age_file, x25519_stanza

from secretsmith.crypto import bech32
from secretsmith.crypto.agefile import inspect_age
from secretsmith.crypto.agesecret import AgeSecret, PluginSecret, parse_age_identities
from secretsmith.crypto.header import Header
from secretsmith.crypto.identity import AgeIdentity, PluginIdentity, SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.interaction import NoInteraction

BODY = b"A" * 43 + b"\n"


def header(*stanzas: bytes) -> Header:
    """The header of a file with these stanzas."""
    return inspect_age(age_file(*stanzas))[0]


def ssh_stanza(tag: str | None) -> bytes:
    """A native ed25519 stanza."""
    return f"-> ssh-ed25519 {tag} {SHARE}\n".encode() + BODY


def rsa_stanza(tag: str | None) -> bytes:
    """A native RSA stanza."""
    return f"-> ssh-rsa {tag}\n".encode() + b"\n".join([b"A" * 64] * 5 + [b"A" * 22, b""])


def ssh_identity(key: keys.SshKey) -> SshIdentity:
    """An identity from a key without a passphrase."""
    private = parse_ssh_private_key(key.private)
    assert isinstance(private, SshPrivateKey)
    return SshIdentity(private, "test")


def test_ed25519_by_its_tag_or_an_anonymous_stanza() -> None:
    identity = ssh_identity(keys.ed25519_key())
    assert identity.may_open(header(ssh_stanza("AAAAAA"), ssh_stanza(identity.public.tag)))
    assert identity.may_open(header(ssh_stanza("AAAAAA"), x25519_stanza()))
    assert not identity.may_open(header(ssh_stanza("AAAAAA")))
    assert not identity.may_open(header(rsa_stanza(identity.public.tag)))
    assert not identity.may_open(header(b"-> 9-grease\n\n"))


def test_rsa_by_its_tag_only() -> None:
    identity = ssh_identity(keys.rsa_key())
    assert identity.may_open(header(rsa_stanza(identity.public.tag)))
    assert not identity.may_open(header(rsa_stanza("AAAAAA"), x25519_stanza()))
    assert not identity.may_open(header(ssh_stanza(identity.public.tag)))


def test_age_keys_by_any_anonymous_stanza() -> None:
    (secret,) = parse_age_identities(bech32.encode("AGE-SECRET-KEY-", bytes(range(32))).encode())
    assert isinstance(secret, AgeSecret)
    identity = AgeIdentity(secret, "test")
    assert identity.may_open(header(ssh_stanza("AAAAAA"), x25519_stanza()))
    assert not identity.may_open(header(ssh_stanza("AAAAAA"), b"-> piv-p256 a b\n" + BODY))


def test_plugins_by_everything_that_is_not_bound_to_ssh() -> None:
    (secret,) = parse_age_identities(bech32.encode("AGE-PLUGIN-YUBIKEY-", bytes(8)).encode())
    assert isinstance(secret, PluginSecret)
    identity = PluginIdentity(secret, "test", NoInteraction())
    assert identity.may_open(header(ssh_stanza("AAAAAA"), b"-> piv-p256 a b\n" + BODY))
    assert identity.may_open(header(x25519_stanza()))
    assert not identity.may_open(header(ssh_stanza("AAAAAA"), b"-> 9-grease\n\n"))


def test_fingerprints_and_names_do_not_show_private_keys() -> None:
    key = keys.ed25519_key()
    ssh = ssh_identity(key)
    text = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
    (secret,) = parse_age_identities(text.encode())
    assert isinstance(secret, AgeSecret)
    age = AgeIdentity(secret, "keys.txt")
    assert ssh.fingerprint == parse_public_key(key.public).fingerprint
    assert age.fingerprint == parse_public_key(age.public.text).fingerprint
    shown = repr([ssh, age, ssh._key, secret])
    assert text[16:40] not in shown
    assert key.private.decode().splitlines()[2] not in shown
    assert "keys.txt" in shown
