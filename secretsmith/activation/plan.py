"""What becomes of each secret: a new value, the same one, the last good one, or none. Nothing is written here."""

from __future__ import annotations

import stat
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from secretsmith.activation.accounts import Ownership
from secretsmith.activation.generations import InstalledFile, Reader
from secretsmith.activation.state import Installed, Moment, Record
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret
from secretsmith.sensitive import Sensitive


class State(StrEnum):
    """What a secret is after activation, as status.json says it."""

    FRESH = "fresh"
    UNCHANGED = "unchanged"
    STALE = "stale"
    MISSING = "missing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """The fate of one secret. ``file`` is what goes into the generation; ``known`` whether the live one has the name."""

    secret: ManifestSecret
    state: State
    file: InstalledFile | None = None
    failure: SecretsmithError | None = None
    stale_since: Moment | None = None
    known: bool = False
    same: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What is live: the generation's files and what was recorded of them."""

    reader: Reader
    record: Record | None

    def last_good(
        self, secret: ManifestSecret, owner: Ownership, ours: int
    ) -> tuple[Sensitive, Installed] | None:
        """Return the live value of the same source and key, whatever its name was, if it may go to ``owner``.

        Who owns a file can change it, so another owner gets it only as it was written. ``ours`` is activation's own uid.
        """
        for name, installed in self.record.files.items() if self.record else ():
            if (installed.id, installed.key) == (secret.id, secret.key):
                file = self.reader.file(name)
                if file is not None and (
                    file.ownership == owner or self._is_as_written(file, installed, ours)
                ):
                    return file.content, installed
        return None

    def _is_as_written(self, file: InstalledFile, installed: Installed, ours: int) -> bool:
        # A file that others could open for writing proves nothing: a tmpfs does not stamp what mmap(2) changes.
        writers = stat.S_IWGRP if file.ownership.uid == ours else stat.S_IWGRP | stat.S_IWUSR
        return not file.mode & writers and self.reader.stamp(file.name) == installed.stamp


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides one secret at a time. ``fingerprints`` are this host's; ``nobody`` owns what has no known owner."""

    manifest: Manifest
    past: Past | None
    fingerprints: Collection[str]
    nobody: Ownership
    now: Moment

    def decide(
        self,
        secret: ManifestSecret,
        opened: Sensitive | SecretsmithError,
        owner: Ownership | SecretsmithError,
    ) -> Decision:
        """Decide from the opened value (or why there is none) and the owner (or why there is none)."""
        live = self.past.reader.file(secret.name) if self.past else None
        # An unknown owner is named first: it is what the administrator of this host can mend.
        failure = next((item for item in (owner, opened) if isinstance(item, SecretsmithError)), None)
        if isinstance(opened, Sensitive) and isinstance(owner, Ownership):
            file = InstalledFile(secret.name, opened, owner, secret.mode_bits)
            state = State.UNCHANGED if file == live else State.FRESH
            return Decision(secret, state, file, known=live is not None, same=file == live)
        return self._carry(secret, failure, owner, live)

    def _carry(
        self,
        secret: ManifestSecret,
        failure: SecretsmithError | None,
        owner: Ownership | SecretsmithError,
        live: InstalledFile | None,
    ) -> Decision:
        if self._left_out(secret):
            # Access was taken away on purpose: the old value must go, even if nothing takes its place.
            return Decision(secret, State.REFUSED, failure=failure, known=live is not None)
        # A file whose owner is not known here is for root alone.
        holder, mode = (owner, secret.mode_bits) if isinstance(owner, Ownership) else (self.nobody, 0o400)
        found = self.past.last_good(secret, holder, self.nobody.uid) if self.past else None
        refused = failure is not None and failure.code in (Code.OWNER, Code.UNSUPPORTED)
        gone = Decision(
            secret, State.REFUSED if refused else State.MISSING, failure=failure, known=live is not None
        )
        if found is None:
            return gone
        content, installed = found
        since = installed.stale_since or self.now
        if secret.max_stale_seconds is not None and self.now.boot - since.boot > secret.max_stale_seconds:
            return gone
        file = InstalledFile(secret.name, content, holder, mode)
        return Decision(secret, State.STALE, file, failure, since, known=live is not None, same=file == live)

    def _left_out(self, secret: ManifestSecret) -> bool:
        ours = {self.manifest.host_key} if self.manifest.host_key else set(self.fingerprints)
        return secret.readers is not None and bool(ours) and ours.isdisjoint(secret.readers)


__all__ = ["Decision", "Judge", "Past", "State"]
