"""The private keys of one run: found lazily, in order, each place recorded with its outcome.

Places are looked at one by one and only as far as needed: a command is not run and a passphrase is not asked for when an
earlier key opens the file. Locked keys come last, whatever their place, because a question costs more than a try.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.header import Header, parse_header
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.identities.sources import Source, SourceKind, declared_sources
from secretsmith.interaction import Interaction

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity
    from secretsmith.crypto.publickey import PublicKey
    from secretsmith.identities.locked import LockedKey

ABSENT = "absent"
NOT_NEEDED = "not needed"
FOUND = "found"
DOES_NOT_FIT = "does not open it"
USED = "used"
LOCKED = "locked"
LOCKED_ASKED = "locked: passphrase asked"
LOCKED_NO_TERMINAL = "locked: no terminal to ask for its passphrase"
WRONG_PASSPHRASE = "locked: wrong passphrase"

UNLOCK_FLAG = "SECRETSMITH_IDENTITY or an unencrypted key"


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one key, or of one place that gave none.

    ``source`` is the variable or the path as people know it, ``path`` the file (None for text and commands),
    ``fingerprint`` the public half ("SHA256:…", None when unknown), ``recipient`` that half as a line.
    """

    source: str
    path: str | None
    outcome: str
    fingerprint: str | None = None
    recipient: str | None = None


@dataclass(slots=True)
class _Key:
    """One identity, or one locked key until it is unlocked."""

    identity: Identity | None
    locked: LockedKey | None
    outcome: str

    @property
    def public(self) -> PublicKey | None:
        if self.identity is not None:
            return self.identity.public
        return self.locked.public if self.locked is not None else None


@dataclass(slots=True)
class _Place:
    source: Source
    keys: list[_Key] = field(default_factory=list)
    outcome: str = NOT_NEEDED
    remark: str = ""
    looked: bool = False


class IdentityRing:
    """All private keys that this user has here.

    Nothing is read when the ring is made. ``environ`` is the environment to look into, ``interaction`` asks for
    passphrases and serves plugins, ``cwd`` is where relative paths in variables start.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        interaction: Interaction,
        *,
        cwd: Path | None = None,
        as_root: bool | None = None,
    ) -> None:
        root = os.geteuid() == 0 if as_root is None else as_root
        sources = declared_sources(environ, cwd=cwd or Path.cwd(), as_root=root)
        self._setup(sources, environ, interaction)

    @classmethod
    def of_files(
        cls, paths: Iterable[Path], interaction: Interaction, *, strict: bool = False
    ) -> IdentityRing:
        """Return a ring of exactly these files, without a look at any variable or default place.

        ``strict`` refuses files that others can read or replace, as for the host key.
        """
        kind = SourceKind.HOST_KEY if strict else SourceKind.FILE
        ring = cls.__new__(cls)
        ring._setup((Source(str(path), kind, os.path.abspath(path)) for path in paths), {}, interaction)
        return ring

    def _setup(self, sources: Iterable[Source], environ: Mapping[str, str], interaction: Interaction) -> None:
        self._environ = environ
        self._interaction = interaction
        self._places = [_Place(source) for source in sources]

    def for_data(self, data: bytes) -> Iterator[Identity]:
        """Yield the identities that may open this age file (binary or armored); as :meth:`for_header`.

        Raises:
            RefusedInput: it is no age file.
        """
        yield from self.for_header(_header(data))

    def may_open(self, data: bytes) -> bool:
        """Say whether any key here, locked or not, may open this age file. Commands are run, nothing is asked.

        Raises:
            RefusedInput: it is no age file.
        """
        header = _header(data)
        for key in self._all_keys():
            if key.identity is not None:
                if key.identity.may_open(header):
                    return True
            elif key.locked is not None and key.locked.rank(header) is not None:
                return True
        return False

    def for_header(self, header: Header) -> Iterator[Identity]:
        """Yield, lazily and in order, the identities that may open a file with this header.

        Unlocked ones first; then locked ones, most certain first, each asked for at most once a run. A reader that does
        not come back for the next one has opened the file: that key is recorded as used.

        Raises:
            CannotDecrypt: PASSPHRASE, a wrong passphrase was given.
        """
        seen: set[str] = set()
        for key in self._all_keys():
            if key.identity is not None and key.identity.may_open(header):
                if key.identity.fingerprint not in seen:
                    seen.add(key.identity.fingerprint)
                    yield from self._offer(key, key.identity)
            elif key.identity is not None:
                _settle(key, DOES_NOT_FIT)
        for place, key in self._locked_for(header):
            for identity in self._unlock(place, key):
                if identity.may_open(header):
                    yield from self._offer(key, identity)

    def _offer(self, key: _Key, identity: Identity) -> Iterator[Identity]:
        try:
            yield identity
        except GeneratorExit:
            key.outcome = USED
            raise
        _settle(key, DOES_NOT_FIT)

    def trace(self) -> tuple[Tried, ...]:
        """Return every place in order with what became of it, one record a key."""
        return tuple(record for place in self._places for record in _records(place))

    def survey(self) -> tuple[Tried, ...]:
        """Look at every place (commands are run, nothing is unlocked or asked), then return the trace."""
        for _ in self._all_keys():
            pass
        return self.trace()

    def own_keys(self) -> tuple[PublicKey, ...]:
        """Return the public halves of all keys here, locked ones too; asks nothing."""
        found: dict[str, PublicKey] = {}
        for key in self._all_keys():
            if key.public is not None:
                found.setdefault(key.public.fingerprint, key.public)
        return tuple(found.values())

    def _all_keys(self) -> Iterator[_Key]:
        for place in self._places:
            self._look(place)
            yield from place.keys

    def _look(self, place: _Place) -> None:
        if place.looked:
            return
        place.looked = True
        # Here, not above: every project has a ring, and commands that open nothing must not pay for what reads keys.
        from secretsmith.identities.read import read_source

        try:
            found = read_source(place.source, self._environ, self._interaction)
        except SecretsmithError as error:
            place.outcome = f"skipped: {error.message}"
            return
        if found is None:
            place.outcome = ABSENT
            return
        place.outcome = FOUND if found.identities or found.locked else "skipped: holds no key"
        place.remark = found.remark
        place.keys = [_Key(identity, None, FOUND) for identity in found.identities]
        place.keys += [_Key(None, locked, LOCKED) for locked in found.locked]

    def _locked_for(self, header: Header) -> list[tuple[_Place, _Key]]:
        fitting: list[tuple[int, _Place, _Key]] = []
        for place in self._places:
            for key in place.keys:
                if key.identity is not None or key.locked is None or key.outcome == WRONG_PASSPHRASE:
                    continue
                rank = key.locked.rank(header)
                if rank is None:
                    _settle(key, DOES_NOT_FIT)
                else:
                    fitting.append((rank, place, key))
        return [(place, key) for _, place, key in sorted(fitting, key=lambda item: item[0])]

    def _unlock(self, place: _Place, key: _Key) -> tuple[Identity, ...]:
        """Ask for the passphrase of one key and put what it holds in the key's place."""
        if key.locked is None:
            return ()
        if not self._interaction.available:
            key.outcome = LOCKED_NO_TERMINAL
            return ()
        passphrase = self._interaction.passphrase(f"passphrase of {_shown(place.source)}", flag=UNLOCK_FLAG)
        try:
            identities = key.locked.unlock(passphrase)
        except CannotDecrypt as error:
            key.outcome = WRONG_PASSPHRASE
            raise CannotDecrypt(
                Code.PASSPHRASE, f"wrong passphrase for {_shown(place.source)}", hints=error.hints
            ) from None
        if not identities:
            key.outcome, key.locked = "locked: holds no key", None
            return ()
        first, *others = identities
        key.identity, key.locked, key.outcome = first, None, LOCKED_ASKED
        place.keys += [_Key(identity, None, LOCKED_ASKED) for identity in others]
        return identities


def _header(data: bytes) -> Header:
    return parse_header(dearmor(data) if is_armored(data) else data)


def _shown(source: Source) -> str:
    """Name the key that a passphrase is for: a variable may list several files."""
    if source.kind is SourceKind.FILE and "/" not in source.name:
        return f"{source.location} ({source.name})"
    return source.name


def _settle(key: _Key, outcome: str) -> None:
    # A key that opened an earlier file of this run stays "used".
    if key.outcome in (FOUND, LOCKED):
        key.outcome = outcome


def _records(place: _Place) -> Iterator[Tried]:
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
            key.outcome + remark,
            public.fingerprint if public else None,
            public.text if public else None,
        )


__all__ = [
    "ABSENT",
    "DOES_NOT_FIT",
    "FOUND",
    "LOCKED",
    "LOCKED_ASKED",
    "LOCKED_NO_TERMINAL",
    "NOT_NEEDED",
    "USED",
    "WRONG_PASSPHRASE",
    "IdentityRing",
    "Tried",
]
