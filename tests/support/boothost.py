"""A host on a machine that boots: its key, encrypted files, the manifest, secretsmith's units, and services that read secrets.

Everything is written into the machine's root folder, before it boots or while it runs.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyrage
from bootmachine import Machine
from hosts import fingerprint, recipient, ssh_tag
from keys import SshKey, ed25519_key

MANIFEST = "/etc/secretsmith/web1.json"
FILES = "/etc/secretsmith/files"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
UNITS = "/etc/systemd/system"
PROGRAM = "/usr/local/bin/secretsmith-activate"
ACTIVATE, USERS = "secretsmith-activate.service", "secretsmith-users.service"
_ACCOUNTS = """\
u app - "the application" /home/app
u other - "somebody else" /
g readers -
"""


class BootHost:
    """What web1 has; the values are random, so that they can be searched for on its disk."""

    def __init__(self, machine: Machine, *, has_key: bool = True) -> None:
        self.machine = machine
        self.key = ed25519_key("root@web1")
        self.values: dict[str, bytes] = {}
        self.manifest: dict[str, Any] = {
            "version": 1,
            "host": "web1",
            "directory": "/run/secrets",
            "generations": "/run/secrets.d",
            "identities": [HOST_KEY],
            "secrets": [],
        }
        if has_key:
            self.install_key(self.key)
        self.write("/etc/sysusers.d/test.conf", _ACCOUNTS)
        # journals stay, so that they can be read after the end and one boot compared with another
        self.path("/var/log/journal").mkdir(exist_ok=True)
        self.write("/etc/systemd/journald.conf.d/test.conf", "[Journal]\nCompress=no\n")

    def path(self, inside: str) -> Path:
        """Where a path of the host's disk lies outside."""
        return self.machine.root / inside.lstrip("/")

    def write(self, inside: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file with the folders that it needs."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)

    def install_key(self, key: SshKey) -> None:
        """Make this the host's key; the manifest still names the old one."""
        self.key = key
        key.write(self.path(HOST_KEY).parent, Path(HOST_KEY).name)

    def value(self, name: str) -> bytes:
        """Make a new random value for a secret."""
        self.values[name] = f"value-{secrets.token_hex(16)}".encode()
        return self.values[name]

    def digest(self, name: str) -> str:
        """What sha256sum says of the value."""
        return sha256(self.values[name]).hexdigest()

    def add(self, name: str, *keys: SshKey, value: bytes | None = None, **fields: object) -> None:
        """Declare a secret with a new value, encrypted for ``keys`` (this host's without any)."""
        source = f"{FILES}/{name.replace('/', '_')}.age"
        self.drop(name)
        self.manifest["secrets"].append({"name": name, "source": source, "format": "age", **fields})
        if value is None:
            value = self.value(name)
        self.values[name] = value
        self.write(source, pyrage.encrypt(value, [recipient(key) for key in keys or (self.key,)]))

    def change(self, name: str) -> None:
        """Give a declared secret another value."""
        (fields,) = [dict(found) for found in self.manifest["secrets"] if found["name"] == name]
        for given in ("name", "source", "format"):
            del fields[given]
        self.add(name, **fields)

    def rekey(self) -> None:
        """Encrypt all values again for the host's key of now, and name it in the manifest, as a deploy after a rekey does."""
        for secret in self.manifest["secrets"]:
            self.write(secret["source"], pyrage.encrypt(self.values[secret["name"]], [recipient(self.key)]))
        self.deploy()

    def drop(self, name: str) -> None:
        """Declare a secret no more."""
        self.manifest["secrets"] = [found for found in self.manifest["secrets"] if found["name"] != name]

    def template(
        self, name: str, content: str, placeholders: dict[str, tuple[str, str]], **fields: object
    ) -> None:
        """Declare a template; placeholder → (secret, filter)."""
        wanted = {
            text: {"secret": secret, "filter": filtered} for text, (secret, filtered) in placeholders.items()
        }
        self.manifest.setdefault("templates", []).append(
            {"name": name, "content": content, "placeholders": wanted, **fields}
        )

    def deploy(self) -> None:
        """Write the manifest, as a deploy does; nothing runs yet."""
        self.manifest["host_key"] = fingerprint(self.key)
        self.manifest["principals"] = {fingerprint(self.key): {"name": "web1", "ssh_tag": ssh_tag(self.key)}}
        self.write(MANIFEST, json.dumps(self.manifest, indent=1))

    def install(self) -> list[str]:
        """Deploy to a machine that is off, with secretsmith's units for this manifest; return the units that were enabled."""
        self.deploy()
        root = str(self.machine.root)
        made = subprocess.run(
            ["chroot", root, PROGRAM, "--write-units", UNITS, MANIFEST],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        # The units that it says are to be enabled, and no others.
        enabled = made.stdout.partition(" enable --now ")[2].split()
        subprocess.run(
            ["systemctl", f"--root={root}", "--quiet", "enable", *enabled], check=True, capture_output=True
        )
        return enabled

    def service(self, name: str, *lines: str, start: str, unit: str = "", stays: bool = True) -> None:
        """An enabled service: ``start`` is a shell script; ``lines`` are more of its settings, ``unit`` of its [Unit]."""
        script = f"{start}; exec sleep infinity" if stays else start
        kind = "exec" if stays else "oneshot"
        text = f"[Unit]\n{unit}\n[Service]\nType={kind}\nExecStart=/bin/sh -c '{script}'\n" + "\n".join(lines)
        self.write(f"{UNITS}/{name}", text + "\n[Install]\nWantedBy=multi-user.target\n")
        subprocess.run(
            ["systemctl", f"--root={self.machine.root}", "--quiet", "enable", name],
            check=True,
            capture_output=True,
        )

    def activate(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run activation by hand, in the running machine."""
        return self.machine.run(PROGRAM, MANIFEST, check=check)

    def said(self, unit: str) -> str:
        """What a unit wrote to the journal in this boot."""
        return "\n".join(self.machine.journal(unit))

    def assert_nothing_on_disk(self, *but: str) -> None:
        """No value lies in any file of the host's disk, journals and state included; for a machine that is off."""
        for folder in ("etc", "var", "srv", "home", "root", "run", "tmp"):
            for path in (self.machine.root / folder).rglob("*"):
                if (
                    path.is_symlink()
                    or not path.is_file()
                    or f"/{path.relative_to(self.machine.root)}" in but
                ):
                    continue
                data = path.read_bytes()
                found = [name for name, value in self.values.items() if value in data]
                assert not found, f"the plaintext of {found} lies in {path}"


__all__ = ["ACTIVATE", "FILES", "HOST_KEY", "MANIFEST", "PROGRAM", "UNITS", "USERS", "BootHost"]
