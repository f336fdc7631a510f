"""A repository with many secrets, written directly with the product's own modules, so that 10,000 files take seconds."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.measure import Command
from benchmarks.programs import SECRETSMITH
from benchmarks.workshop import Key, Workshop
from secretsmith.policy.lock import LOCK_NAME, Lock, LockEntry, dump_lock
from secretsmith.project import REGISTRY_NAME
from secretsmith.store.accepted import AcceptedKeys
from secretsmith.store.clone import state_dir
from secretsmith.store.index import StatIndex

_A_FOLDER: Final = 100
REPLACED: Final = 2
"""The reader whose key is replaced: the first host, after two admins."""


class Fleet:
    """``count`` secrets for ``readers`` keys: alice and bob, the admins, and hosts; one rule; in git, committed, accepted, indexed."""

    def __init__(self, shop: Workshop, count: int, readers: int = 5, suffix: str = "age") -> None:
        self.shop, self.readers, self.suffix = shop, readers, suffix
        self.folder = shop.fresh()
        self.root = self.folder / "fleet"
        self.root.mkdir()
        self.paths = [f"secrets/{n // _A_FOLDER:03}/{n:05}.{suffix}" for n in range(count)]
        self._spare = shop.keys[-1]
        self._current = shop.keys[REPLACED]
        self._write(shop.sealed(suffix, readers, count))

    @property
    def admin(self) -> Key:
        """The key that opens everything."""
        return self.shop.keys[0]

    @property
    def env(self) -> dict[str, str]:
        """The environment of alice: her ssh key for age files, the derived key, which sops needs, for documents."""
        key = self.admin.native if self.suffix == "age" else self.admin.derived
        return {
            **self.shop.env,
            "SECRETSMITH_IDENTITY": str(key),
            "SOPS_AGE_KEY_FILE": str(self.admin.derived),
        }

    def command(self, *words: str, cores: int = 0) -> Command:
        """Run secretsmith in the repository."""
        return Command([*SECRETSMITH, *words], self.env, self.root, cores=cores)

    def current(self, joined: int = 0) -> list[Key]:
        """Give the keys of the readers now, and of ``joined`` more."""
        keys = list(self.shop.keys[: self.readers])
        if self.readers > REPLACED:
            keys[REPLACED] = self._current
        return [*keys, *self.shop.keys[-2 : -2 + joined or None]][: self.readers + joined]

    def replace_host(self) -> None:
        """Give a host another key, or give it back its first one: every file drifts, each time this is called."""
        self._current, self._spare = self._spare, self._current
        self.write_registry()

    def write_registry(self, joined: int = 0) -> None:
        """Write the registry as it is now; ``joined`` is 1 for one more host in the rule."""
        keys = self.current(joined)
        lines = ["[secretsmith]\nversion = 1\n"]
        # Two admins, as `check` warns of a single one.
        for name, key in zip(("alice", "bob"), keys[:REPLACED], strict=False):
            lines.append(f'[users.{name}]\nkeys = ["{key.public.line}"]\nadmin = true\n')
        hosts = [f"host{number}" for number in range(len(keys[REPLACED:]))]
        for name, key in zip(hosts, keys[REPLACED:], strict=True):
            lines.append(f'[hosts.{name}]\nkeys = ["{key.public.line}"]\n')
            if key is self._current:
                lines.append(
                    f'[[hosts.{name}.retired]]\nkey = "{self._spare.public.line}"\nuntil = "2026-01-02"\n'
                    'reason = "reinstalled"\n'
                )
        listed = ", ".join(f'"{name}"' for name in hosts or ["alice"])
        lines.append(f'[[rules]]\npath = "secrets/**"\nreaders = [{listed}]\n')
        (self.root / REGISTRY_NAME).write_text("\n".join(lines))

    def learn(self) -> None:
        """Let the clone know its files, as after a command that wrote them."""
        StatIndex(state_dir(self.root)).learn(self.root, self.paths)

    def data(self) -> list[bytes]:
        """Give what is in the files."""
        return [(self.root / path).read_bytes() for path in self.paths]

    def _write(self, files: Sequence[bytes]) -> None:
        fingerprints = tuple(sorted(key.public.fingerprint for key in self.current()))
        entries = {}
        for path, data in zip(self.paths, files, strict=True):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(data)
            entries[path] = LockEntry(hashlib.sha256(data).hexdigest(), fingerprints, "wrote")
        (self.root / LOCK_NAME).write_text(dump_lock(Lock(files=entries)))
        self.write_registry()
        who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org", "-c", "gc.auto=0"]
        for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "fleet"]):
            subprocess.run(["git", *words], cwd=self.root, env=self.shop.env, check=True, capture_output=True)
        accepted = AcceptedKeys(state_dir(self.root))
        accepted.add(*(key.public.fingerprint for key in self.shop.keys))
        accepted.save()
        self.learn()


class Kept:
    """Files as they are now, to be had back: for work that cannot be undone by doing it again."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self._files = {root / path: (root / path).read_bytes() for path in paths}

    def restore(self) -> None:
        """Write them back."""
        for path, data in self._files.items():
            path.write_bytes(data)

    def require_changed(self) -> None:
        """Raise AssertionError when one of them is as it was: then the work was not done."""
        for path, data in self._files.items():
            assert path.read_bytes() != data, f"{path.name} was not changed"


__all__ = ["REPLACED", "Fleet", "Kept"]
