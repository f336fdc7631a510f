"""Places and keys of a ring, and what became of each: the words that people read when nothing opens a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from secretsmith.identities.sources import Source, SourceKind
from secretsmith.record import field, record

if TYPE_CHECKING:
    from secretsmith.crypto.header import Header
    from secretsmith.crypto.identity import Identity
    from secretsmith.crypto.publickey import PublicKey
    from secretsmith.identities.locked import LockedKey
    from secretsmith.identities.parse import FoundKeys

ABSENT = "absent"
NOT_NEEDED = "not needed"
FOUND = "found"
DOES_NOT_FIT = "does not open it"
USED = "used"
LOCKED = "locked"
LOCKED_ASKED = "locked: passphrase asked"
LOCKED_NO_TERMINAL = "locked: no terminal to ask for its passphrase"
WRONG_PASSPHRASE = "locked: wrong passphrase"
UNLOCKED = "unlocked"


@record
class Tried:
    """What became of one key, or of one place that gave none.

    ``source`` is the variable or the path as people know it, ``path`` the file (None for text and commands),
    ``fingerprint`` the public half ("SHA256:…", None when unknown), ``recipient`` that half as a line. ``entry`` is the name
    under which keyrings keep what unlocks it, None for what needs no passphrase (any more).
    """

    source: str
    path: str | None
    outcome: str
    fingerprint: str | None = None
    recipient: str | None = None
    entry: str | None = None


@record(frozen=False)
class Key:
    """One identity, or one locked key until it is unlocked."""

    identity: Identity | None
    locked: LockedKey | None
    outcome: str
    remark: str = ""

    @property
    def public(self) -> PublicKey | None:
        """The public half, None when it is not known."""
        if self.identity is not None:
            return self.identity.public
        return self.locked.public if self.locked is not None else None


@record(frozen=False)
class Place:
    """One place that keys may be in, and what was found there once it was looked at."""

    source: Source
    keys: list[Key] = field(default_factory=list)
    outcome: str = NOT_NEEDED
    remark: str = ""
    looked: bool = False


def keys_of(found: FoundKeys, remark: str | None = None) -> list[Key]:
    """Return what was found as keys of a ring, each with ``remark``, by default that of the find."""
    said = found.remark if remark is None else remark
    unlocked = [Key(identity, None, FOUND, said) for identity in found.identities]
    return [*unlocked, *(Key(None, locked, LOCKED, said) for locked in found.locked)]


def fits(key: Key, header: Header) -> bool:
    """Say whether the key, locked or not, may open a file with this header."""
    if key.identity is not None:
        return key.identity.may_open(header)
    return key.locked is not None and key.locked.rank(header) is not None


def fill(place: Place, key: Key, identities: tuple[Identity, ...], outcome: str) -> tuple[Identity, ...]:
    """Put what a locked key held in its place."""
    if not identities:
        key.outcome, key.locked = "locked: holds no key", None
        return ()
    first, *others = identities
    key.identity, key.locked, key.outcome = first, None, outcome
    place.keys += [Key(identity, None, outcome, key.remark) for identity in others]
    return identities


def shown(source: Source) -> str:
    """Name the key that a passphrase is for: a variable may list several files."""
    if source.kind is SourceKind.FILE and "/" not in source.name:
        return f"{source.location} ({source.name})"
    return source.name


def file_of(source: Source) -> str:
    """Name the file of a key as a command takes it."""
    return source.name if "/" in source.name else source.location


def settle(key: Key, outcome: str) -> None:
    """Record that a key was tried in vain."""
    # A key that opened an earlier file of this run stays "used".
    if key.outcome in (FOUND, LOCKED, UNLOCKED):
        key.outcome = outcome


def records(place: Place) -> Iterator[Tried]:
    """Yield what became of a place, one record a key."""
    source = place.source
    path = source.location if source.kind in (SourceKind.FILE, SourceKind.HOST_KEY) else None
    remark = f"; {place.remark}" if place.remark else ""
    if not place.keys:
        yield Tried(source.name, path, place.outcome + remark)
    for key in place.keys:
        public = key.public
        yield Tried(
            source.name,
            path,
            key.outcome + (f"; {key.remark}" if key.remark else "") + remark,
            public.fingerprint if public else None,
            public.text if public else None,
            key.locked.entry if key.locked else None,
        )


__all__ = [
    "ABSENT",
    "DOES_NOT_FIT",
    "FOUND",
    "LOCKED",
    "LOCKED_ASKED",
    "LOCKED_NO_TERMINAL",
    "NOT_NEEDED",
    "UNLOCKED",
    "USED",
    "WRONG_PASSPHRASE",
    "Key",
    "Place",
    "Tried",
    "file_of",
    "fill",
    "fits",
    "keys_of",
    "records",
    "settle",
    "shown",
]
