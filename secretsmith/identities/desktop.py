"""Passphrases of private keys in the desktop's keyring (Secret Service, KWallet, macOS …), through ``keyring``.

``keyring`` is imported when a locked key is needed and not before. Everything it does runs in a thread that is waited for
five seconds: a desktop that never answers (no display for its prompt, a hanging bus) must not hang us, and is asked once a
run. We go to one backend, the one that writes go to, and not down a chain: that could lead to a file in clear, or to
secretsmith's own backend and so to ourselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.identities.bounded import Work, someone_waits
from secretsmith.interaction import Interaction
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "secretsmith"
TIMEOUT_SECONDS: Final = 5.0
SWITCH: Final = "SECRETSMITH_KEYRING"
_USERNAME: Final = "identity:"
_SAY_AFTER: Final = 1.0  # seconds; an unlocked keyring answers in milliseconds
# Backends below 1 are not recommended by keyring itself (plaintext files, none at all); these ask on a terminal or keep a
# file that a weak passphrase protects, and say so of themselves or not.
_MIN_PRIORITY: Final = 1
_REFUSED: Final = ("keyrings.alt", "keyrings.cryptfile")
_SECRET_SERVICE: Final = "keyring.backends.SecretService"

_SAID: Final = {
    "KeyringLocked": "is locked",
    "InitError": "is not set up: nobody made or unlocked its collection",
    "NoKeyringError": "is not there",
}

_T = TypeVar("_T")


@record
class DesktopState:
    """What a look at the keyring showed, without a prompt.

    ``name`` is the backend's, ``locked`` None when it cannot be told, ``remembered`` says of each entry asked for whether
    its passphrase is there; an entry is missing where only a prompt would tell.
    """

    name: str
    locked: bool | None
    remembered: Mapping[str, bool] = field(default_factory=dict)


class DesktopKeyring:
    """The desktop's keyring for one run.

    ``environ`` may turn it off (SECRETSMITH_KEYRING=off); ``interaction`` tells a person what is waited for. Each method
    raises ``SecretsmithError`` (KEYRING) when the keyring cannot be used; once it did not answer, every later call does so
    at once.
    """

    def __init__(
        self, environ: Mapping[str, str], interaction: Interaction, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._off = environ.get(SWITCH) == "off"
        self._interaction = interaction
        self._timeout = timeout
        self._dead = ""

    def name(self) -> str:
        """Return the backend's name; raises when passphrases cannot be kept there."""
        return self._within(lambda: str(_backend().name))

    def passphrase(self, entry: str) -> Sensitive | None:
        """Return the passphrase kept for ``entry``, None when there is none. May make the desktop ask to be unlocked."""
        found = self._within(lambda: _backend().get_password(SERVICE, _USERNAME + entry))
        # Other programs that wrote it from a pipe left the newline (secret-tool store); none can be typed.
        return Sensitive(found.removesuffix("\n").encode()) if found else None

    def remember(self, entry: str, passphrase: Sensitive) -> None:
        """Keep the passphrase, and read it back.

        Raises:
            RefusedInput: KEYRING, the passphrase is not UTF-8.
        """
        try:
            text = passphrase.expose().decode()
        except UnicodeDecodeError:
            raise RefusedInput(
                Code.KEYRING, "the passphrase is not valid UTF-8; keyrings keep text"
            ) from None

        def store() -> bool:
            backend = _backend()
            backend.set_password(SERVICE, _USERNAME + entry, text)
            return backend.get_password(SERVICE, _USERNAME + entry) == text

        if not self._within(store):
            raise _problem("did not keep the passphrase")

    def forget(self, entries: Iterable[str], *, everything: bool = False) -> tuple[str, ...]:
        """Take the passphrases of ``entries`` out; with ``everything`` those of all keys, where the backend can list them.

        Returns the entries that were there.
        """
        wanted = tuple(entries)
        return self._within(lambda: tuple(_forget(_backend(), wanted, everything=everything)))

    def look(self, entries: Iterable[str]) -> DesktopState:
        """Say what is there for ``entries``; never makes the desktop ask."""
        wanted = tuple(entries)
        return self._within(lambda: _look(_backend(), wanted))

    def _within(self, job: Callable[[], _T]) -> _T:
        if self._off:
            raise _problem(f"is turned off by {SWITCH}=off")
        if not self._dead and someone_waits():
            # Every look of a program at its logins comes with a DesktopKeyring of its own.
            self._dead = "has not answered this program before"
        if self._dead:
            raise _problem(self._dead)
        work = Work(job)
        self._dead = self._waited(work)
        if self._dead:
            raise _problem(self._dead)
        if work.error is None:
            return work.value
        if isinstance(work.error, SecretsmithError):
            raise work.error
        raise _translated(work.error) from None

    def _waited(self, work: Work[Any]) -> str:
        """Wait for an answer; return why there is none, or an empty text."""
        if work.wait(min(_SAY_AFTER, self._timeout)):
            return ""
        try:
            self._interaction.notice("waiting for the desktop's keyring (Ctrl-C skips it)")
            if work.wait(self._timeout - _SAY_AFTER):
                return ""
            why = f"did not answer within {self._timeout:g} seconds"
        except KeyboardInterrupt:
            if not self._interaction.available:
                raise  # nobody was told that it would only skip this
            why = "was skipped"
        work.leave()
        return why


def _translated(error: BaseException) -> SecretsmithError:
    # By name: a keyring that cannot even be imported has no error classes to compare with.
    for kind in type(error).__mro__:
        if kind.__module__ == "keyring.errors" and kind.__name__ in _SAID:
            return _problem(_SAID[kind.__name__])
    # Not its text: a backend may put into it what it was given.
    return _problem(f"failed ({type(error).__name__})")


def _problem(why: str) -> SecretsmithError:
    hint = "a key can be unlocked for a while without it: secretsmith identity unlock"
    return SecretsmithError(Code.KEYRING, f"the desktop's keyring {why}", hints=(hint,))


def _backend() -> KeyringBackend:
    """Return the backend that passphrases may be kept in; raises KEYRING with the reason when there is none."""
    import keyring  # 70 ms and a connection to the session bus
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    chain = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    others = [backend for backend in chain if not _module(backend).startswith("secretsmith")]
    if not others:
        raise _problem(
            "is not asked: python's keyring is set to secretsmith's own backend (keyring diagnose tells where)"
        )
    if _module(others[0]) == "keyring.backends.fail":
        raise _problem("is not there (no Secret Service on this session's bus)")
    first = others[0]
    if _module(first) == "keyring.backends.null":
        raise _problem("is turned off: python's keyring is disabled (keyring diagnose tells where)")
    if any(base.__module__.startswith(_REFUSED) for base in type(first).__mro__):
        raise _problem(f"is {_shown(first)}, which keeps passphrases in the open or asks for one itself")
    if first.priority < _MIN_PRIORITY:
        raise _problem(f"is {_shown(first)}, which python's keyring does not recommend")
    return first


def _module(backend: KeyringBackend) -> str:
    return type(backend).__module__


def _shown(backend: KeyringBackend) -> str:
    return f"{_module(backend)}.{type(backend).__name__}"


def _look(backend: KeyringBackend, entries: tuple[str, ...]) -> DesktopState:
    if _module(backend) != _SECRET_SERVICE:
        return DesktopState(str(backend.name), None)  # the others tell by a prompt only
    service: Any = backend
    storage = _storage()
    bus = storage.dbus_init()
    try:
        collection = storage.get_collection_by_alias(bus, "default")
        locked = bool(collection.is_locked())
        found = {
            entry: any(True for _ in collection.search_items(service._query(SERVICE, _USERNAME + entry)))
            for entry in entries
        }
    except storage.ItemNotFoundException:
        return DesktopState(str(backend.name), None, dict.fromkeys(entries, False))
    finally:
        bus.close()
    return DesktopState(str(backend.name), locked, found)


def _forget(backend: KeyringBackend, entries: tuple[str, ...], *, everything: bool) -> Iterable[str]:
    from keyring.errors import PasswordDeleteError

    names = list(entries)
    if everything and _module(backend) == _SECRET_SERVICE:
        names += [entry for entry in _all_entries(backend) if entry not in entries]
    for entry in names:
        if backend.get_password(SERVICE, _USERNAME + entry) is None:
            continue
        try:
            backend.delete_password(SERVICE, _USERNAME + entry)
        except PasswordDeleteError:
            raise _problem("does not let go of a passphrase") from None
        yield entry


def _all_entries(backend: Any) -> list[str]:
    collection = backend.get_preferred_collection()
    names = backend.schemes[backend.scheme]
    try:
        found = [
            item.get_attributes().get(names["username"], "")
            for item in collection.search_items({names["service"]: SERVICE})
        ]
    finally:
        collection.connection.close()
    return sorted({name.removeprefix(_USERNAME) for name in found if name.startswith(_USERNAME)})


def _storage() -> Any:
    """Return the secretstorage module that keyring itself uses: another version beside it would be of no help."""
    from keyring.backends import SecretService

    return vars(SecretService)["secretstorage"]


__all__ = ["SERVICE", "SWITCH", "TIMEOUT_SECONDS", "DesktopKeyring", "DesktopState"]
