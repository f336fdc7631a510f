"""The keys that somebody accepted as readers in this clone (design: a new key never gains access without a question)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from secretsmith.errors import NotFound
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.lockfile import repository_lock

ACCEPTED_FILE: Final = "accepted.json"
_MAX_BYTES: Final = 16 * 1024 * 1024


class AcceptedKeys:
    """A set of fingerprints (``SHA256:…``), kept as a JSON list in the state folder."""

    def __init__(self, state_dir: Path, fingerprints: Iterable[str] = ()) -> None:
        self._path = state_dir / ACCEPTED_FILE
        self._known = set(fingerprints)
        self._new: set[str] = set()

    @classmethod
    def load(cls, state_dir: Path) -> AcceptedKeys:
        """Read the set; a missing or damaged file is an empty set, which costs a question and gives nobody access.

        Raises:
            SecretsmithError: the file cannot be read (ACCESS, IO, NOT_REGULAR).
        """
        return cls(state_dir, _read(state_dir / ACCEPTED_FILE))

    def contains(self, fingerprint: str) -> bool:
        """Say whether the key was accepted."""
        return fingerprint in self._known

    __contains__ = contains

    def add(self, *fingerprints: str) -> None:
        """Accept keys; :meth:`save` makes it last."""
        self._new.update(set(fingerprints) - self._known)
        self._known.update(fingerprints)

    def save(self) -> None:
        """Write the set, mode 0600, with what another process accepted since; nothing is written when nothing is new.

        Raises:
            SecretsmithError: NOSPC, ACCESS, IO, or LOCKED as repository_lock.
        """
        if not self._new:
            return
        import json  # only when there is something to write

        with repository_lock(self._path.parent):
            merged = sorted(_read(self._path) | self._new)
            write_atomic(self._path, (json.dumps(merged, indent=0) + "\n").encode(), mode=0o600)
        self._new.clear()


def _read(path: Path) -> set[str]:
    try:
        data = read_file(path, _MAX_BYTES)
    except NotFound:
        return set()
    import json  # only when there is something to read

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return set()
    return {item for item in found if isinstance(item, str)} if isinstance(found, list) else set()


__all__ = ["ACCEPTED_FILE", "AcceptedKeys"]
