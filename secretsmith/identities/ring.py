"""The private keys of one run: found lazily, in order, each place recorded with its outcome.

Places are looked at one by one and only as far as needed: a command is not run and a passphrase is not asked for when an
earlier key opens the file. Locked keys come last, whatever their place, because a question costs more than a try; and of
them those that a keyring unlocks come before those that a person is asked for. Plugins stand between our own places and the
person (:mod:`secretsmith.identities.provided`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import dearmor, is_armored
from secretsmith.crypto.header import Header, parse_header
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.identities.places import (
    ABSENT,
    DOES_NOT_FIT,
    FOUND,
    LOCKED,
    LOCKED_ASKED,
    LOCKED_NO_TERMINAL,
    NOT_NEEDED,
    UNLOCKED,
    USED,
    WRONG_PASSPHRASE,
    Key,
    Place,
    Tried,
    file_of,
    fill,
    fits,
    keys_of,
    records,
    settle,
    shown,
)
from secretsmith.identities.sources import Source, SourceKind, declared_sources
from secretsmith.interaction import Interaction

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity
    from secretsmith.crypto.publickey import PublicKey
    from secretsmith.identities.keepers import Keepers
    from secretsmith.identities.locked import LockedKey
    from secretsmith.identities.provided import Offers, Provider

UNLOCK_FLAG = "SECRETSMITH_IDENTITY or an unencrypted key"


class IdentityRing:
    """All private keys that this user has here.

    Nothing is read when the ring is made. ``environ`` is the environment to look into, ``interaction`` asks for
    passphrases and serves plugins, ``cwd`` is where relative paths in variables start. ``personal``: keyrings may be asked.
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
        self.personal = not root

    @classmethod
    def of_files(
        cls, paths: Iterable[Path], interaction: Interaction, *, strict: bool = False
    ) -> IdentityRing:
        """Return a ring of exactly these files, without a look at any variable, default place or keyring.

        ``strict`` refuses files that others can read or replace, as for the host key.
        """
        kind = SourceKind.HOST_KEY if strict else SourceKind.FILE
        ring = cls.__new__(cls)
        ring._setup((Source(str(path), kind, os.path.abspath(path)) for path in paths), {}, interaction)
        return ring

    def _setup(self, sources: Iterable[Source], environ: Mapping[str, str], interaction: Interaction) -> None:
        self._environ = environ
        self._interaction = interaction
        self._places = [Place(source) for source in sources]
        # Keyrings belong to a person: never root's, whose processes are the whole machine, nor those of given files.
        self.personal = False
        self._keepers: Keepers | None = None
        self._providers: Callable[[], Iterable[Provider]] | None = None
        self._offers: list[tuple[Place, Offers]] = []

    def provided_by(self, providers: Callable[[], Iterable[Provider]]) -> None:
        """Ask these as well, after every place of our own; ``providers`` is called when that comes. Never as root."""
        self._providers = providers

    def for_data(self, data: bytes) -> Iterator[Identity]:
        """Yield the identities that may open this age file (binary or armored); as :meth:`for_header`.

        Raises:
            RefusedInput: it is no age file.
        """
        yield from self.for_header(_header(data))

    def may_open(self, data: bytes) -> bool:
        """Say whether any key here, locked or not, may open this age file. Commands are run, nothing is asked.

        Where none of our own places has one, plugins are asked for theirs.

        Raises:
            RefusedInput: it is no age file.
        """
        return self.may_open_header(_header(data))

    def may_open_header(self, header: Header) -> bool:
        """Say the same of a file whose header was parsed."""
        if any(fits(key, header) for key in self._all_keys()):
            return True
        return any(fits(key, header) for _, keys in self._from_plugins() for key in keys)

    def ready(self) -> tuple[Identity, ...]:
        """Return the keys found so far that ask nobody and start nothing: unlocked ones that we use ourselves."""
        known = (key.identity for place in self._places for key in place.keys)
        return tuple(identity for identity in known if identity is not None and identity.public is not None)

    def for_header(self, header: Header) -> Iterator[Identity]:
        """Yield, lazily and in order, the identities that may open a file with this header.

        Unlocked ones first; then locked ones, most certain first: those that the kernel's keyring holds unlocked, those
        whose passphrase the desktop's keyring knows, or a plugin; then keys of plugins; then locked ones that a person is
        asked for. Each is asked at most once a run. A reader that does not come back for the next one has opened the file: that
        key is recorded as used.

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
                settle(key, DOES_NOT_FIT)
        for unlock in (self._from_kernel, self._from_desktop, self._with_plugins):
            yield from self._unlocked(header, unlock)
        for _, keys in self._from_plugins():
            for key in keys:
                if key.identity is not None and key.identity.may_open(header):
                    yield from self._offer(key, key.identity)
        yield from self._unlocked(header, self._by_asking)

    def _unlocked(
        self, header: Header, unlock: Callable[[Place, Key], tuple[Identity, ...]]
    ) -> Iterator[Identity]:
        for place, key in self._locked_for(header):
            for identity in unlock(place, key):
                if identity.may_open(header):
                    yield from self._offer(key, identity)

    def _offer(self, key: Key, identity: Identity) -> Iterator[Identity]:
        try:
            yield identity
        except GeneratorExit:
            key.outcome = USED
            raise
        settle(key, DOES_NOT_FIT)

    def trace(self) -> tuple[Tried, ...]:
        """Return every place in order with what became of it, one record a key."""
        return tuple(record for place in self._places for record in records(place))

    def survey(self) -> tuple[Tried, ...]:
        """Look at every place (commands are run, nothing is unlocked or asked), then return the trace."""
        for _ in self._all_keys():
            pass
        return self.trace()

    def locked_keys(self) -> tuple[tuple[str, LockedKey], ...]:
        """Return every key that needs a passphrase with its file, or the variable it is from, in order; asks nothing."""
        for _ in self._all_keys():
            pass
        return tuple(
            (
                place.source.name if place.source.kind is not SourceKind.FILE else file_of(place.source),
                key.locked,
            )
            for place in self._places
            for key in place.keys
            if key.locked is not None
        )

    def own_keys(self) -> tuple[PublicKey, ...]:
        """Return the public halves of all keys here, locked ones too; asks nothing."""
        found: dict[str, PublicKey] = {}
        for key in self._all_keys():
            if key.public is not None:
                found.setdefault(key.public.fingerprint, key.public)
        return tuple(found.values())

    def _all_keys(self) -> Iterator[Key]:
        for place in self._places:
            self._look(place)
            yield from place.keys

    def _look(self, place: Place) -> None:
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
        place.keys = keys_of(found, remark="")

    def _locked_for(self, header: Header) -> list[tuple[Place, Key]]:
        fitting: list[tuple[int, Place, Key]] = []
        for place in self._places:
            for key in place.keys:
                if key.identity is not None or key.locked is None or key.outcome == WRONG_PASSPHRASE:
                    continue
                rank = key.locked.rank(header)
                if rank is None:
                    settle(key, DOES_NOT_FIT)
                else:
                    fitting.append((rank, place, key))
        return [(place, key) for _, place, key in sorted(fitting, key=lambda item: item[0])]

    def _from_kernel(self, place: Place, key: Key) -> tuple[Identity, ...]:
        return self._from_keeper(place, key, "kernel")

    def _from_desktop(self, place: Place, key: Key) -> tuple[Identity, ...]:
        return self._from_keeper(place, key, "desktop")

    def _from_keeper(self, place: Place, key: Key, which: str) -> tuple[Identity, ...]:
        if not self.personal or key.locked is None:
            return ()
        if self._keepers is None:
            from secretsmith.identities.keepers import Keepers  # for those alone who have a locked key

            self._keepers = Keepers(self._environ, self._interaction)
        ask = self._keepers.from_kernel if which == "kernel" else self._keepers.from_desktop
        identities, remark = ask(key.locked, shown(place.source))
        key.remark = remark or key.remark
        return fill(place, key, identities, UNLOCKED) if identities else ()

    def _with_plugins(self, place: Place, key: Key) -> tuple[Identity, ...]:
        """Unlock a key with a passphrase that a plugin knows."""
        from secretsmith.identities.locked import unlock

        for _, offers in self._asked_plugins():
            if key.locked is None:
                break
            passphrase = offers.passphrase(key.locked.entry)
            if passphrase is not None:
                try:
                    identities = unlock(key.locked, passphrase)
                except SecretsmithError as error:
                    offers.wrong[key.locked.entry] = (
                        f"{offers.provider.name} gave a passphrase: {error.message}"
                    )
                else:
                    key.remark = f"passphrase from {offers.provider.name}"
                    return fill(place, key, identities, UNLOCKED)
            if why := offers.wrong.get(key.locked.entry):
                key.remark = f"{key.remark}; {why}" if key.remark else why
        return ()

    def _from_plugins(self) -> Iterator[tuple[Place, list[Key]]]:
        """Yield what plugins offer that was not seen before, one offer at a time; it stays among the keys of this ring."""
        for place, offers in self._asked_plugins():
            while (found := offers.next()) is not None:
                keys = keys_of(found)
                place.keys += keys
                yield place, keys
            place.outcome = f"skipped: {offers.remark or 'offers no key'}"

    def _asked_plugins(self) -> tuple[tuple[Place, Offers], ...]:
        if self._providers is not None and self.personal:
            from secretsmith.identities.provided import Offers

            providers, self._providers = self._providers, None
            for provider in providers():
                place = Place(Source(provider.name, SourceKind.PLUGIN, ""), looked=True)
                self._places.append(place)
                self._offers.append((place, Offers(provider, self._interaction)))
        return tuple(self._offers)

    def _by_asking(self, place: Place, key: Key) -> tuple[Identity, ...]:
        """Ask for the passphrase of one key and put what it holds in the key's place."""
        if key.locked is None:
            return ()
        if not self._interaction.available:
            key.outcome = LOCKED_NO_TERMINAL
            return ()
        from secretsmith.identities.locked import unlock

        key.remark = ""  # why no keyring did it matters to those alone whom nobody asks
        passphrase = self._interaction.passphrase(f"passphrase of {shown(place.source)}", flag=UNLOCK_FLAG)
        try:
            identities = unlock(key.locked, passphrase)
        except CannotDecrypt as error:
            key.outcome = WRONG_PASSPHRASE
            raise CannotDecrypt(
                Code.PASSPHRASE, f"wrong passphrase for {shown(place.source)}", hints=error.hints
            ) from None
        return fill(place, key, identities, LOCKED_ASKED)


def _header(data: bytes) -> Header:
    return parse_header(dearmor(data) if is_armored(data) else data)


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
    "IdentityRing",
    "Tried",
]
