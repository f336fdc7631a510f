"""Encrypted sources of all formats and a manifest for them, opened without an activation around it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyrage
from keys import SshKey, ed25519_key

from secretsmith.activation.opening.hostkeys import HostKeys, load_host_keys
from secretsmith.activation.opening.openings import Openings
from secretsmith.activation.opening.sources import Sources
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret, parse_manifest
from secretsmith.sensitive import Sensitive

KINDS = {
    Format.YAML: b"# about\nmail:\n    smtp: hunter2\n    port: 25\n    tls: true\nlist:\n    - one\n    - q: r\n",
    Format.JSON: b'{\n\t"mail": {\n\t\t"smtp": "hunter2",\n\t\t"port": 25,\n\t\t"tls": true\n\t},\n\t"list": [\n\t\t"one"\n\t]\n}\n',
    Format.DOTENV: b"# about\nSMTP=hunter2\nPORT=25\n",
    Format.INI: b"; about\n[mail]\nsmtp = hunter2\nport = 25\n",
    Format.BINARY: b"\x00\xff any bytes\n",
}
SUFFIX = {
    Format.YAML: "yaml",
    Format.JSON: "json",
    Format.DOTENV: "env",
    Format.INI: "ini",
    Format.BINARY: "bin",
}


def fingerprint(key: SshKey) -> str:
    """As ssh-keygen prints it."""
    return parse_public_key(key.public).fingerprint


def derived(key: SshKey) -> str:
    """The age1… of a key, as ssh-to-age prints it."""
    return parse_public_key(key.public).derived


def principals(**keys: SshKey) -> dict[str, dict[str, str]]:
    """What a manifest says of these keys."""
    found = {}
    for name, key in keys.items():
        public = parse_public_key(key.public)
        assert public.tag is not None
        found[public.fingerprint] = {"name": name, "ssh_tag": public.tag, "recipient": public.derived}
    return found


class Vault:
    """Sources in one folder, mostly for the key of this host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ed25519_key("root@web1")
        self.key_file = self.key.write(folder, "host_key")
        self.secrets: list[dict[str, Any]] = []
        self.members: dict[str, Any] = {"identities": [str(self.key_file)]}
        self.sources = Sources()

    def age(self, name: str, value: bytes, *keys: SshKey) -> Path:
        """Write an age file in the native form, for this host without ``keys``."""
        readers = [
            pyrage.ssh.Recipient.from_str(" ".join(key.public.split()[:2])) for key in keys or (self.key,)
        ]
        return self.write(f"{name}.age", pyrage.encrypt(value, readers))

    def document(
        self,
        name: str,
        clear: bytes,
        groups: Sequence[Sequence[str]] | None = None,
        *,
        threshold: int | None = None,
    ) -> Path:
        """Write a sops document; without ``groups`` of recipients for this host, in the derived form."""
        made = new_document(
            format_of(name), clear, groups or [[derived(self.key)]], threshold=threshold, clock=lambda: 1e9
        )
        return self.write(name, made)

    def write(self, name: str, data: bytes) -> Path:
        """Write any bytes."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def add(self, name: str, source: Path, **members: object) -> None:
        """Declare a secret; its format is by the name of the file."""
        kind = str(format_of(source.name))
        self.secrets.append({"name": name, "source": str(source), "format": kind, **members})

    def manifest(self) -> Manifest:
        """The manifest of what was declared."""
        tree = {
            "version": 1,
            "host": "web1",
            "directory": "/run/secrets",
            "generations": "/run/secrets.d",
            "secrets": self.secrets,
            **self.members,
        }
        return parse_manifest(json.dumps(tree).encode())

    def keys(self) -> HostKeys:
        """The keys of this host."""
        return load_host_keys(self.manifest().identities, frozenset({0, os.geteuid()}))

    def openings(self) -> Openings:
        """What opens the secrets."""
        self.sources = Sources()
        return Openings(self.manifest(), self.sources, self.keys())

    def secret(self, name: str) -> ManifestSecret:
        """The secret of that name."""
        return next(secret for secret in self.manifest().secrets if secret.name == name)

    def opened(self) -> dict[str, bytes | SecretsmithError]:
        """Name → value, or the error."""
        openings = self.openings()
        found: dict[str, bytes | SecretsmithError] = {}
        for secret in self.manifest().secrets:
            value = openings.value(secret)
            found[secret.name] = value.expose() if isinstance(value, Sensitive) else value
        return found

    def value(self, source: Path, **members: object) -> bytes:
        """The value of one secret, which must open."""
        found = self.one(source, **members)
        assert isinstance(found, bytes), found.message
        return found

    def failure(self, source: Path, **members: object) -> SecretsmithError:
        """The error of one secret, which must not open."""
        found = self.one(source, **members)
        assert isinstance(found, SecretsmithError)
        return found

    def one(self, source: Path, **members: object) -> bytes | SecretsmithError:
        """Value or error of one secret, whatever else was declared."""
        kept, self.secrets = self.secrets, []
        self.add("one", source, **members)
        found = self.opened()["one"]
        self.secrets = kept
        return found


def text_of(error: SecretsmithError) -> str:
    """All that is said."""
    return "\n".join((error.message, *error.hints))
