"""A backend of python's ``keyring``: programs that ask it for a login get those of the secretsmith repository around them.

Whatever is asked, reading raises nothing and asks nobody: one error here would take every other keyring of the person with it
(a chain of backends ends at the first exception), and pip or twine would wait for an answer that nobody knows of.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.credentials import SimpleCredential
from keyring.errors import PasswordDeleteError, PasswordSetError

from secretsmith.keyringdoor import find_login, offers, remove_login, store_login

if TYPE_CHECKING:
    from secretsmith.sensitive import Sensitive

__version__ = "0.1.0"

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
# Below every desktop's keyring: what is there wins, and new passwords go there.
_PRIORITY = 0.5


class NotStored(PasswordSetError, NotImplementedError):
    """A password that this keyring does not take; as a NotImplementedError it lets a chain go on to its next keyring."""


class NotRemoved(PasswordDeleteError, NotImplementedError):
    """A password that this keyring does not remove; a chain goes on as for :class:`NotStored`."""


class Keyring(KeyringBackend):
    """The logins of the repository that SECRETSMITH_ROOT names, or that the current folder lies in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805
        """0.5, below a desktop's keyring. Raises RuntimeError where no repository has logins."""
        try:
            here = offers(Path.cwd(), os.environ)
        except OSError:  # a current folder that is gone
            here = False
        if not here:
            raise RuntimeError("no secretsmith repository with logins here")
        return _PRIORITY

    def get_password(self, service: str, username: str) -> str | None:
        """Return the password, None when there is none or when it cannot be had; then a warning says why."""
        found = _quietly(lambda: _find(service, username))
        return None if found is None else found[1].expose().decode()

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        """Return user name and password, of any user name that is known when it is None; as :meth:`get_password`."""
        found = _quietly(lambda: _find(service, username))
        if found is None:
            return None
        return SimpleCredential(found[0], found[1].expose().decode())

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store a login as a secret of its own. Raises NotStored unless the person allowed it for this repository."""
        from secretsmith.sensitive import Sensitive

        try:
            store_login(Path.cwd(), os.environ, service, username, Sensitive(password.encode()))
        except Exception as error:
            # Of any kind, and without it: a UnicodeEncodeError for instance holds the password.
            raise NotStored(_reason(error)) from None

    def delete_password(self, service: str, username: str) -> None:
        """Remove a login that was stored. Raises PasswordDeleteError; NotRemoved where it is not ours to remove."""
        from secretsmith.errors import NotFound

        try:
            remove_login(Path.cwd(), os.environ, service, username)
        except NotFound as error:
            raise PasswordDeleteError(error.message) from None
        except Exception as error:
            raise NotRemoved(_reason(error)) from None


def _find(service: str, username: str | None) -> tuple[str, Sensitive] | None:
    try:
        here = Path.cwd()
    except OSError:  # gone: no repository
        return None
    if not offers(here, os.environ):  # a process may have changed its folder since it made its keyrings
        return None
    return find_login(here, os.environ, service, username)


def _quietly(job: Callable[[], _T]) -> _T | None:
    try:
        return job()
    except Exception as error:
        _log.warning("%s", _reason(error))
        return None


def _reason(error: Exception) -> str:
    """Say in one line what went wrong and what to do about it. Of errors that are not ours only the kind: a text may hold a value."""
    from secretsmith.errors import SecretsmithError

    if not isinstance(error, SecretsmithError):
        return f"secretsmith: failed ({type(error).__name__})"
    # One of several, and rather what to do than who else could.
    hint = next((hint for hint in error.hints if "secretsmith " in hint), "".join(error.hints[:1]))
    return "; ".join(filter(None, (f"secretsmith: {error.message}", hint)))


__all__ = ["Keyring", "NotRemoved", "NotStored"]
