"""Which private key a command about passphrases means, and who may keep something in a keyring at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.identities.locked import LockedKey
from secretsmith.identities.read import read_source
from secretsmith.identities.ring import IdentityRing
from secretsmith.identities.sources import Source, SourceKind, declared_sources
from secretsmith.interaction import Interaction
from secretsmith.record import record
from secretsmith.sensitive import Sensitive


@record
class Person:
    """Who runs the command: the environment, how to ask, where relative paths start, whether it is root."""

    environ: Mapping[str, str]
    interaction: Interaction
    cwd: Path
    as_root: bool

    @classmethod
    def here(cls, environ: Mapping[str, str], interaction: Interaction, cwd: Path) -> Person:
        """Return whoever runs this process."""
        return cls(environ, interaction, cwd, os.geteuid() == 0)

    def ring(self) -> IdentityRing:
        """Return this person's private keys."""
        return IdentityRing(self.environ, self.interaction, cwd=self.cwd, as_root=self.as_root)


@record
class ChosenKey:
    """A key with a passphrase. ``shown`` is what people call it; ``declared``: commands look for keys in this place."""

    shown: str
    key: LockedKey
    declared: bool


def choose_key(path: str | None, person: Person, command: str) -> ChosenKey:
    """Return the key at ``path``, or the only one with a passphrase among the declared places.

    ``command`` is what hints repeat (``secretsmith identity remember``).

    Raises:
        NotFound: NOT_FOUND, nothing is there, or no key here has a passphrase.
        RefusedInput: the file holds no key that we read, or one without a passphrase; AMBIGUOUS, several keys have one.
    """
    if path is not None:
        return _key_at(path, person)
    found: dict[str, ChosenKey] = {}
    for shown, key in person.ring().locked_keys():
        found.setdefault(key.entry, ChosenKey(shown, key, declared=True))
    if not found:
        raise NotFound(
            Code.NOT_FOUND,
            "no private key here has a passphrase",
            hints=("see where keys are looked for: secretsmith identity list", f"{command} PATH"),
        )
    if len(found) > 1:
        names = [chosen.shown for chosen in found.values()]
        raise RefusedInput(
            Code.AMBIGUOUS,
            f"{len(names)} keys have a passphrase: {', '.join(names)}",
            hints=tuple(f"{command} {name}" for name in names if name.startswith(("/", "~"))),
        )
    return next(iter(found.values()))


def _key_at(path: str, person: Person) -> ChosenKey:
    location = os.path.normpath(person.cwd / path)
    try:
        found = read_source(Source(path, SourceKind.FILE, location), person.environ, person.interaction)
    except SecretsmithError as error:
        raise error.at(path) from None
    if found is None:
        raise NotFound(Code.NOT_FOUND, f"{path}: no such file", path=path)
    if not found.locked:
        raise RefusedInput(
            Code.USAGE,
            f"{path}: the key has no passphrase",
            hints=("nothing is to be unlocked; ssh-keygen -p -f KEY gives an ssh key one",),
            path=path,
        )
    places = declared_sources(person.environ, cwd=person.cwd, as_root=person.as_root)
    declared = any(place.kind is SourceKind.FILE and place.location == location for place in places)
    return ChosenKey(path, found.locked[0], declared)


def refuse_root(person: Person, why: str) -> None:
    """Refuse what is for people's own keys; ``why`` says what would be wrong about it for root.

    Raises:
        RefusedInput: ACCESS.
    """
    if person.as_root:
        raise RefusedInput(
            Code.ACCESS,
            f"not as root: {why}",
            hints=("run it as yourself; what runs as root uses the host's key, which has no passphrase",),
        )


def ask_passphrase(chosen: ChosenKey, person: Person) -> Sensitive:
    """Ask for the key's passphrase.

    Raises:
        RefusedInput: NOT_INTERACTIVE, there is no terminal.
    """
    if not person.interaction.available:
        raise RefusedInput(
            Code.NOT_INTERACTIVE,
            f"cannot ask for the passphrase of {chosen.shown} without a terminal",
            hints=("run it on a terminal: a passphrase is never an argument or input from a pipe",),
        )
    return person.interaction.passphrase(f"passphrase of {chosen.shown}", flag="a terminal")


__all__ = ["ChosenKey", "Person", "ask_passphrase", "choose_key", "refuse_root"]
