"""A small repository for tests: alice (admin) and hosts, with keys made at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import keys

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.operations.readers import remember_accepted
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.project import Project, open_project
from secretsmith.sensitive import Sensitive


@dataclass
class Fleet:
    """A registry as data; :meth:`write` makes it a file, :meth:`project` opens it."""

    root: Path
    home: Path
    users: dict[str, keys.SshKey] = field(default_factory=dict)
    hosts: dict[str, keys.SshKey] = field(default_factory=dict)
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    extra: str = ""

    def key(self, name: str) -> PublicKey:
        """The public key of a user or host."""
        return parse_public_key({**self.users, **self.hosts}[name].public)

    def identity(self, name: str) -> Path:
        """A file with the private key of a user or host."""
        path = self.home / f"{name}.key"
        if not path.exists():
            {**self.users, **self.hosts}[name].write(self.home, f"{name}.key")
        return path

    def write(self) -> None:
        """Write secretsmith.toml."""
        lines = ["[secretsmith]", "version = 1"]
        for name, pair in self.users.items():
            lines += [
                f"[users.{name}]",
                f'keys = ["{pair.public}"]',
                f"admin = {str(name == 'alice').lower()}",
            ]
        for name, pair in self.hosts.items():
            lines += [f"[hosts.{name}]", f'keys = ["{pair.public}"]']
        for pattern, readers in self.rules.items():
            listed = ", ".join(f'"{reader}"' for reader in readers)
            lines += ["[[rules]]", f'path = "{pattern}"', f"readers = [{listed}]"]
        (self.root / "secretsmith.toml").write_text("\n".join(lines) + "\n" + self.extra)

    def project(self, who: str = "alice", interaction: Interaction | None = None) -> Project:
        """Open the repository with the private key of ``who``."""
        environ = {"HOME": str(self.home), "SECRETSMITH_IDENTITY": str(self.identity(who))}
        return open_project(self.root, environ=environ, interaction=interaction or NoInteraction())

    def accept_all(self) -> None:
        """Accept every registered key in this clone, as `host add` does."""
        project = self.project()
        everyone = [key.fingerprint for one in project.registry.everyone() for key in one.keys]
        remember_accepted(project, everyone)

    def put(self, path: str, value: bytes) -> None:
        """Store a value as alice."""
        project = self.project()
        store_value(project, prepare_write(project, path, accept=("all",)), Sensitive(value))


def make_fleet(folder: Path, hosts: tuple[str, ...] = ("web1", "web2")) -> Fleet:
    """Make a fleet whose hosts all read ``secrets/web/**``."""
    root, home = folder / "fleet", folder / "keys"
    root.mkdir()
    home.mkdir()
    fleet = Fleet(root, home)
    fleet.users["alice"] = keys.ed25519_key("alice@laptop")
    for name in hosts:
        fleet.hosts[name] = keys.ed25519_key(f"root@{name}")
    fleet.rules["secrets/web/**"] = hosts
    fleet.write()
    return fleet
