"""What becomes of each secret and template: a new value, the same one, the last good one, or none. Nothing is written here."""

from __future__ import annotations

import stat
from collections.abc import Collection
from enum import StrEnum
from functools import cached_property
from hashlib import sha256

from secretsmith.activation.accounts import Ownership
from secretsmith.activation.generations import InstalledFile, Reader
from secretsmith.activation.state import Installed, Moment, Record
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import ManifestEntry, ManifestSecret, ManifestTemplate, Output
from secretsmith.record import record
from secretsmith.sensitive import Sensitive

# No text of a manifest has this character, so nothing that is made with it can be mistaken for one.
_APART = "\x1f"


class State(StrEnum):
    """What a secret is after activation, as status.json says it."""

    FRESH = "fresh"
    UNCHANGED = "unchanged"
    STALE = "stale"
    MISSING = "missing"
    REFUSED = "refused"


@record
class Subject:
    """One secret or template: ``id`` and ``key`` say whether an earlier value is one of the same.

    ``left_out``: the manifest's readers do not have this host. ``max_stale`` is in seconds.
    """

    entry: ManifestEntry
    id: str
    key: str | None
    left_out: bool = False
    max_stale: int | None = None


@record
class Decision:
    """The fate of one entry. ``file`` is what goes into the generation; ``known`` whether the live one has the name.

    ``ours``: the bytes are activation's own, and not what the owner of a last good value may have made of them.
    """

    subject: Subject
    state: State
    file: InstalledFile | None = None
    failure: SecretsmithError | None = None
    stale_since: Moment | None = None
    known: bool = False
    same: bool = False
    ours: bool = True

    @property
    def entry(self) -> ManifestEntry:
        """The secret or template."""
        return self.subject.entry


@record
class Kept:
    """A last good value, since when it is stale, and whether it is known to be as activation wrote it."""

    content: Sensitive
    since: Moment
    ours: bool


@record(slots=False)
class Past:
    """What is live: the generation's files and what was recorded of them."""

    reader: Reader
    record: Record | None

    @cached_property
    def _names(self) -> dict[tuple[str, str | None], list[str]]:
        found: dict[tuple[str, str | None], list[str]] = {}
        for name, installed in self.record.files.items() if self.record else ():
            found.setdefault((installed.id, installed.key), []).append(name)
        return found

    def last_good(self, subject: Subject, owner: Ownership, judge: Judge) -> Kept | None:
        """Return the live value of the same source and key, whatever its name was, if it may go to ``owner``.

        Who owns a file can change it, so another owner gets it only as it was written.
        """
        for name in self._names.get((subject.id, subject.key), ()):
            file = self.reader.file(name)
            installed = self.installed(name)
            if file is None or installed is None:
                continue
            ours = self._is_as_written(file, judge.nobody.uid)
            if ours or file.ownership == owner:
                return Kept(file.content, installed.stale_since or judge.now, ours)
        return None

    def is_untouched(self, name: str) -> bool:
        """Whether a file of the live generation is the one that was written; who touched it may still have it open."""
        installed = self.installed(name)
        return installed is not None and installed.ours and self.reader.stamp(name) == installed.stamp

    def installed(self, name: str) -> Installed | None:
        """Return what was recorded of a file of the live generation."""
        return self.record.files.get(name) if self.record else None

    def _is_as_written(self, file: InstalledFile, ours: int) -> bool:
        # A file that others could open for writing proves nothing: a tmpfs does not stamp what mmap(2) changes.
        writers = stat.S_IWGRP if file.ownership.uid == ours else stat.S_IWGRP | stat.S_IWUSR
        return not file.mode & writers and self.is_untouched(file.name)


def subject_of_secret(secret: ManifestSecret, ours: Collection[str]) -> Subject:
    """Describe a secret; ``ours`` are the fingerprints that this host is known by."""
    key = secret.key
    if secret.output is not Output.VALUE:
        key = f"{key or ''}{_APART}{secret.output}"  # the same value written otherwise is another value
    left_out = secret.readers is not None and bool(ours) and set(ours).isdisjoint(secret.readers)
    return Subject(secret, secret.id, key, left_out, secret.max_stale_seconds)


def subject_of_template(template: ManifestTemplate, uses: Collection[Subject]) -> Subject:
    """Describe a template that takes values of ``uses``."""
    # Its last good file holds the values of these, and must not outlive the manifest's wish to have them in it.
    used = sha256("".join(sorted(f"{use.id}{_APART}{use.key or ''}\n" for use in uses)).encode()).hexdigest()
    limits = [use.max_stale for use in uses if use.max_stale is not None]
    return Subject(
        template,
        f"{_APART}template",
        f"{template.name}{_APART}{used}",
        any(use.left_out for use in uses),
        min(limits, default=None),
    )


@record
class Judge:
    """Decides one entry at a time. ``nobody`` owns what has no known owner."""

    past: Past | None
    nobody: Ownership
    now: Moment

    def decide(
        self,
        subject: Subject,
        value: Sensitive | SecretsmithError,
        owner: Ownership | SecretsmithError,
    ) -> Decision:
        """Decide from the value (or why there is none) and the owner (or why there is none)."""
        entry = subject.entry
        live = self.past.reader.file(entry.name) if self.past else None
        # An unknown owner is named first: it is what the administrator of this host can mend.
        failure = next((item for item in (owner, value) if isinstance(item, SecretsmithError)), None)
        if isinstance(value, Sensitive) and isinstance(owner, Ownership):
            file = InstalledFile(entry.name, value, owner, entry.mode_bits)
            state = State.UNCHANGED if file == live else State.FRESH
            return Decision(subject, state, file, known=live is not None, same=file == live)
        return self._carry(subject, failure, owner, live)

    def stand_in(self, subject: Subject, owner: Ownership) -> Kept | None:
        """Return the last good value of a secret for a file of ``owner``, if it may be used."""
        found = self.past.last_good(subject, owner, self) if self.past else None
        if found is None or subject.left_out:
            return None
        if subject.max_stale is not None and self.now.boot - found.since.boot > subject.max_stale:
            return None
        return found

    def _carry(
        self,
        subject: Subject,
        failure: SecretsmithError | None,
        owner: Ownership | SecretsmithError,
        live: InstalledFile | None,
    ) -> Decision:
        entry, known = subject.entry, live is not None
        if subject.left_out:
            # Access was taken away on purpose: the old value must go, even if nothing takes its place.
            return Decision(subject, State.REFUSED, failure=failure, known=known)
        # A file whose owner is not known here is for root alone.
        holder, mode = (owner, entry.mode_bits) if isinstance(owner, Ownership) else (self.nobody, 0o400)
        found = self.stand_in(subject, holder)
        if found is None:
            refused = failure is not None and failure.code in (Code.OWNER, Code.UNSUPPORTED, Code.TEMPLATE)
            state = State.REFUSED if refused else State.MISSING
            return Decision(subject, state, failure=failure, known=known)
        file = InstalledFile(entry.name, found.content, holder, mode)
        same = file == live
        return Decision(
            subject, State.STALE, file, failure, found.since, known=known, same=same, ours=found.ours
        )


__all__ = [
    "Decision",
    "Judge",
    "Kept",
    "Past",
    "State",
    "Subject",
    "subject_of_secret",
    "subject_of_template",
]
