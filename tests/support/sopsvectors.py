"""The vectors made with the real sops, and the keys they are encrypted to."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from secretsmith.crypto.agefile import decrypt_age
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.privatekey import SshPrivateKey, parse_ssh_private_key
from secretsmith.documents.format import Format
from secretsmith.sensitive import Sensitive

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests" / "vectors" / "sops"
KEYS = ROOT / "testkeys" / "sops-vectors"
MANIFEST: Mapping[str, Any] = json.loads((VECTORS / "manifest.json").read_text())
CASES: list[dict[str, Any]] = MANIFEST["cases"]
UPDATES: list[dict[str, Any]] = MANIFEST["updates"]


def key_file(name: str) -> Path:
    """Give the place of ``keys/a.txt`` of the set."""
    return KEYS / name.removeprefix("keys/")


@functools.cache
def identities(name: str) -> tuple[Identity, ...]:
    """Give the identities of a key file of the set."""
    data = key_file(name).read_bytes()
    if b"OPENSSH" in data:
        key = parse_ssh_private_key(data)
        assert isinstance(key, SshPrivateKey)
        return (SshIdentity(key, name),)
    secrets = parse_age_identities(data)
    return tuple(AgeIdentity(secret, name) for secret in secrets if isinstance(secret, AgeSecret))


def opener(*names: str) -> Callable[[bytes], Sensitive]:
    """Give what opens a stanza with the keys of these files."""
    found = [identity for name in names for identity in identities(name)]
    return lambda stanza: decrypt_age(stanza, found).plaintext


def opener_of(case: Mapping[str, Any]) -> Callable[[bytes], Sensitive]:
    """Give what opens the stanzas of a case's document, by the identity it names."""
    return opener(*case["identity"]["env"].values())


def format_named(path: str) -> Format:
    """Give the format of a vector by its suffix."""
    suffixes = {".yaml": Format.YAML, ".json": Format.JSON, ".env": Format.DOTENV, ".ini": Format.INI}
    return suffixes.get(Path(path).suffix, Format.BINARY)


def read(path: str) -> bytes:
    """Give the bytes of a file of the set."""
    return (VECTORS / path).read_bytes()


def recipient(name: str) -> str:
    """Give the public half of one of the set's keys."""
    (found,) = identities(name)[:1]
    assert found.public is not None
    return found.public.text


__all__ = [
    "CASES",
    "KEYS",
    "UPDATES",
    "VECTORS",
    "format_named",
    "identities",
    "key_file",
    "opener",
    "opener_of",
    "read",
    "recipient",
]
