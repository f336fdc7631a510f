"""Custom paths for tests: one phase's manifest, activated over and over as the engine does it, with the record on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hosts import IS_ROOT

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.places.placed import Placed, load_placed, save_placed
from secretsmith.activation.places.places import Places
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Manifest, ManifestEntry, ManifestSecret, Method, SourceFormat
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive


class Site:
    """Entries below ``folder``. What is declared stays until it is dropped."""

    def __init__(self, folder: Path, name: str = "secrets") -> None:
        self.folder = folder
        self.caller = Caller.current(owner_self=not IS_ROOT)
        self.record = str(folder / "state" / "paths.json")
        self.manifest = Manifest(
            host="web1",
            directory=str(folder / "run" / name),
            generations=str(folder / "run" / f"{name}.d"),
            identities=("/key",),
            secrets=(),
        )
        self.values: dict[str, bytes] = {}
        self.others: Placed = {}
        self.places = Places(self.manifest, self.caller, {})

    def add(self, name: str, path: Path, value: bytes = b"value", **fields: Any) -> None:
        """Declare an entry; a copy may lie on a disk unless said otherwise."""
        if fields.get("method") is Method.COPY:
            fields.setdefault("plaintext_on_disk", True)
        self.drop(name)
        secret = ManifestSecret(
            name=name, source="/source", format=SourceFormat.AGE, path=str(path), **fields
        )
        self.manifest = replace(self.manifest, secrets=(*self.manifest.secrets, secret))
        self.values[name] = value

    def copy(self, name: str, path: Path, value: bytes = b"value", **fields: Any) -> None:
        """Declare a copy."""
        self.add(name, path, value, method=Method.COPY, **fields)

    def drop(self, name: str) -> None:
        """Declare an entry no more."""
        secrets = tuple(secret for secret in self.manifest.secrets if secret.name != name)
        self.manifest = replace(self.manifest, secrets=secrets)

    def entries(self) -> Iterator[tuple[ManifestEntry, Ownership]]:
        """Every entry with its owner, given by number."""
        for entry in self.manifest.secrets:
            number = self.caller.uid if self.caller.owner_self else None
            owner, group = (0 if name == "root" else int(name) for name in (entry.owner, entry.group))
            yield entry, Ownership(number or owner, self.caller.gid if number else group)

    def files(self) -> Iterator[tuple[ManifestEntry, InstalledFile]]:
        """What is installed."""
        for entry, owner in self.entries():
            content = Sensitive(self.values[entry.name])
            yield entry, InstalledFile(entry.name, content, owner, entry.mode_bits)

    def before(self) -> Placed:
        """What the record says."""
        return load_placed(self.record, self.manifest.generations, self.caller)

    def save(self, placed: Placed) -> None:
        """Write the record."""
        save_placed(self.record, self.manifest.generations, placed, self.caller)

    def begin(self) -> dict[str, SecretsmithError]:
        """Everything up to the switch of the live link."""
        self.places = Places(self.manifest, self.caller, self.before(), self.others)
        self.save(self.places.announced())
        failures = self.places.prepare(self.files())
        self.save(self.places.intended())
        return failures

    def finish(self) -> dict[str, SecretsmithError]:
        """Everything after it."""
        failures = self.places.commit()
        self.save(self.places.left())
        return failures

    def run(self) -> dict[str, SecretsmithError]:
        """Activate once; entry name → why."""
        return {**self.begin(), **self.finish()}

    def in_place(self) -> bool:
        """Whether another run would do nothing."""
        return Places(self.manifest, self.caller, self.before(), self.others).is_in_place(self.entries())

    def forecast(self) -> dict[str, str]:
        """What another run would do, by the name at the end of the path."""
        places = Places(self.manifest, self.caller, self.before(), self.others)
        return {os.path.basename(path): verb for path, verb in places.forecast(self.files())}

    def leftovers(self) -> list[Path]:
        """Half-made copies and links anywhere."""
        return list(self.folder.rglob("*secretsmith-tmp*"))
