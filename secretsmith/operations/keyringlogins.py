"""Logins of services out of a repository, for programs that ask python's ``keyring``: pip, twine and others.

A login is either one that the registry's ``[[keyring]]`` maps to a secret, or one that a program stored here itself. Both are
given only as far as the person allowed it on this computer, for this repository: whoever may push writes the table, and could map
a service of their own to a secret that they cannot read, or to a file copied from another repository that only we can
open; the next ``pip install`` would send them its value.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from secretsmith.errors import Code, IntegrityFailure, NotFound, RefusedInput
from secretsmith.operations.remove import remove_secrets
from secretsmith.operations.show import show_secret
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy.keyringmap import KeyringEntry
from secretsmith.policy.words import shown
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.approved import KEYRING_FILE, ApprovedSources
from secretsmith.store.paths import safe_relative

FOLDER: Final = "keyring"
_STORE: Final = "store"
_ALLOWED: Final = ("yes",)
_HASH: Final = 32  # hex digits: 128 bits, so that nobody makes two services meet
_VERSION: Final = 1

State = Literal["approved", "not approved", "no such file"]


@record
class Login:
    """A user name and its password."""

    username: str
    password: Sensitive


@record
class Mapped:
    """One ``[[keyring]]`` and what it is worth on this computer."""

    entry: KeyringEntry
    state: State


class KeyringLogins:
    """The logins of one repository, as far as its person allows."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._approved = ApprovedSources.load(project.environ, project.root, file=KEYRING_FILE)

    @property
    def writable(self) -> bool:
        """Whether programs may store logins here, and get back what they stored."""
        return not self._approved.missing(_STORE, _ALLOWED)

    def mappings(self) -> tuple[Mapped, ...]:
        """Return every ``[[keyring]]`` in the order of the registry. Opens nothing."""
        return tuple(Mapped(entry, self._state(entry)) for entry in self._project.registry.keyring)

    def find(self, service: str, username: str | None) -> Login | None:
        """Return the login of ``service``, of any user name that is known for it when ``username`` is None.

        Raises:
            IntegrityFailure: SOURCE_APPROVAL, the registry has one that nobody approved on this computer.
            SecretsmithError: what opening the secret raises; RefusedInput, its value is no text.
        """
        entry = self._mapped(service, username)
        if entry is not None:
            self._refuse_unapproved(entry)
            return Login(entry.username or username or "", self._value(entry))
        if not self.writable:
            return None
        if username is not None:
            return self._stored(service, username)
        return next(self._all_stored(service), None)

    def store(self, service: str, username: str, password: Sensitive) -> None:
        """Keep a login as a secret of its own, for the readers whom the rules name.

        Raises:
            RefusedInput: EXISTS, the registry maps this login to a secret; ACCESS, storing was not allowed here.
            SecretsmithError: as writing a secret does; nobody is asked.
        """
        self._refuse_reading_only(service, username)
        path = self._path(service, username)
        value = {
            "version": _VERSION,
            "service": service,
            "username": username,
            "password": password.expose().decode(),
        }
        prepared = prepare_write(self._project, path)
        store_value(self._project, prepared, Sensitive(json.dumps(value).encode()))

    def remove(self, service: str, username: str) -> None:
        """Remove a login that was stored. Raises NotFound, and as :meth:`store`."""
        self._refuse_reading_only(service, username)
        path = self._path(service, username)
        if not os.path.lexists(self._project.root / path):
            raise NotFound(Code.NOT_FOUND, f"no login of {shown(service)} for {shown(username)} is stored")
        remove_secrets(self._project, [path], force=True)

    def approve(self, mappings: Iterable[Mapped], *, writable: bool | None = None) -> None:
        """Let programs have what ``mappings`` say, and store logins or not; lasts on this computer."""
        for mapped in mappings:
            self._approved.add(*_pair(mapped.entry))
        if writable:
            self._approved.add(_STORE, _ALLOWED)
        elif writable is not None:
            self._approved.withdraw(_STORE)
        self._approved.save()

    def withdraw(self) -> int:
        """Take back everything that was allowed for this repository; return how much it was."""
        known = self._approved.references
        for reference in known:
            self._approved.withdraw(reference)
        self._approved.save()
        return len(known)

    def _state(self, entry: KeyringEntry) -> State:
        reference, meant = _pair(entry)
        if not os.path.lexists(self._project.root / entry.secret):
            return "no such file"
        return "not approved" if self._approved.missing(reference, meant) else "approved"

    def _mapped(self, service: str, username: str | None) -> KeyringEntry | None:
        """Return the entry for this user name, else the one for any; for None one that has a name to give."""
        fitting = [entry for entry in self._project.registry.keyring if entry.service == service]
        if username is None:
            return next((entry for entry in fitting if entry.username is not None), None)
        by_name = {entry.username: entry for entry in fitting}
        return by_name.get(username) or by_name.get(None)

    def _refuse_unapproved(self, entry: KeyringEntry) -> None:
        reference, meant = _pair(entry)
        if self._approved.missing(reference, meant):
            raise IntegrityFailure(
                Code.SOURCE_APPROVAL,
                f"nobody approved on this computer that programs get {entry.secret} for {shown(entry.service)}",
                hints=("if that is meant: secretsmith keyring approve",),
                path=entry.secret,
            )

    def _value(self, entry: KeyringEntry) -> Sensitive:
        path = safe_relative(self._project.root, entry.secret)
        value = show_secret(self._project, path, entry.key).expose()
        # One line that was stored with its newline: no password can be typed with one, and an HTTP header has no room for it.
        if value.endswith(b"\n") and value.count(b"\n") == 1:
            value = value[:-1]
        try:
            value.decode()
        except UnicodeDecodeError:
            raise RefusedInput(
                Code.ENCODING, f"{path}: no UTF-8 text, which passwords are", path=path
            ) from None
        return Sensitive(value)

    def _refuse_reading_only(self, service: str, username: str) -> None:
        mapped = self._mapped(service, username)
        if mapped is not None:
            raise RefusedInput(
                Code.EXISTS,
                f"the registry maps {shown(service)} to {mapped.secret}",
                hints=(f"secretsmith set {mapped.secret}",),
                path=mapped.secret,
            )
        if not self.writable:
            raise RefusedInput(
                Code.ACCESS,
                "this repository is not for storing logins",
                hints=("to have it so: secretsmith keyring approve --store",),
            )

    def _folder(self, service: str) -> str:
        # Services and user names hold any character, of any length; a path does not.
        base = self._project.registry.secrets
        inside = f"{FOLDER}/{hashlib.sha256(_bytes(service)).hexdigest()[:_HASH]}"
        return inside if base == "." else f"{base}/{inside}"

    def _path(self, service: str, username: str) -> str:
        name = hashlib.sha256(_bytes(json.dumps([service, username]))).hexdigest()[:_HASH]
        return safe_relative(self._project.root, f"{self._folder(service)}/{name}.age")

    def _stored(self, service: str, username: str) -> Login | None:
        path = self._path(service, username)
        return self._opened(path, service) if os.path.lexists(self._project.root / path) else None

    def _all_stored(self, service: str) -> Iterator[Login]:
        folder = self._folder(service)
        safe_relative(self._project.root, f"{folder}/x")
        try:
            names = sorted(os.listdir(self._project.root / folder))
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith(".age"):
                yield self._opened(f"{folder}/{name}", service)

    def _opened(self, path: str, service: str) -> Login:
        data = show_secret(self._project, path).expose()
        try:
            found = json.loads(data)
            login = Login(str(found["username"]), Sensitive(str(found["password"]).encode()))
            fits = found["service"] == service and self._path(service, login.username) == path
        except (ValueError, KeyError, TypeError, RecursionError):
            fits, login = False, Login("", Sensitive(b""))
        if not fits:
            # Else whoever may push could put another secret, copied, where a service's login is looked for.
            raise IntegrityFailure(
                Code.FORMAT, f"{path}: is not the login of {shown(service)} that belongs there", path=path
            )
        return login


def choose(mappings: tuple[Mapped, ...], services: tuple[str, ...]) -> list[Mapped]:
    """Return the mappings of these services. Raises NotFound for one that the registry does not name."""
    known = {mapping.entry.service for mapping in mappings}
    for service in services:
        if service not in known:
            raise NotFound(
                Code.NOT_FOUND,
                f"no [[keyring]] in secretsmith.toml names the service {shown(service)}",
                hints=("secretsmith keyring list",),
            )
    return [mapping for mapping in mappings if mapping.entry.service in services]


def _pair(entry: KeyringEntry) -> tuple[str, tuple[str, ...]]:
    """Return what an approval is of: another user name, secret or key for the service is another question."""
    meant = json.dumps([entry.username, entry.secret, entry.key], ensure_ascii=False)
    return f"service {entry.service}", (meant,)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


__all__ = ["FOLDER", "KeyringLogins", "Login", "Mapped", "State", "choose"]
