"""The door for python's ``keyring``: what plugins/secretsmith-keyring imports of secretsmith, and all it does.

Every pip, twine and poetry passes here, so a look whether there is anything to answer loads next to nothing, and what opens
secrets is imported when a login is asked for. Nobody is ever asked for anything: the caller is in the middle of its own work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secretsmith.store.root import REGISTRY_NAME, find_root

if TYPE_CHECKING:
    from secretsmith.operations.keyringlogins import KeyringLogins
    from secretsmith.sensitive import Sensitive

BUSY: Final = "SECRETSMITH_KEYRING_BUSY"
"""Set for the programs that we start to open a secret: SOPS_AGE_KEY_CMD may be ``keyring get …``, which comes back to us."""

_TABLE: Final = re.compile(rb"""^[ \t]*(?:\[\[[ \t]*)?["']?keyring["']?[ \t]*(?:\]\]|=)""", re.MULTILINE)


def offers(start: Path, environ: Mapping[str, str]) -> bool:
    """Say whether the repository around ``start`` has logins for programs: its registry says so, or the person does.

    Nothing is parsed; never raises. False for whoever we wait for ourselves.
    """
    if environ.get(BUSY):
        return False
    try:
        root = find_root(start, environ)
        return root is not None and _has_logins(root, environ)
    except OSError:  # a folder on the way up that cannot be looked into
        return False


def find_login(
    start: Path, environ: Mapping[str, str], service: str, username: str | None
) -> tuple[str, Sensitive] | None:
    """Return user name and password for ``service``, of any user name that is known when ``username`` is None.

    Raises:
        SecretsmithError: the repository around ``start`` has it and cannot give it; or there is none.
    """
    login = _logins(start, environ).find(service, username)
    return None if login is None else (login.username, login.password)


def store_login(
    start: Path, environ: Mapping[str, str], service: str, username: str, password: Sensitive
) -> None:
    """Store a login as a secret of its own. Raises SecretsmithError, also where the person did not allow it."""
    _logins(start, environ).store(service, username, password)


def remove_login(start: Path, environ: Mapping[str, str], service: str, username: str) -> None:
    """Remove a login that was stored. Raises NotFound, and SecretsmithError as :func:`store_login`."""
    _logins(start, environ).remove(service, username)


def _logins(start: Path, environ: Mapping[str, str]) -> KeyringLogins:
    from secretsmith.interaction import NoInteraction
    from secretsmith.operations.keyringlogins import KeyringLogins
    from secretsmith.project import open_project

    inside = {**environ, BUSY: "1"}
    return KeyringLogins(open_project(start, environ=inside, interaction=NoInteraction()))


def _has_logins(root: Path, environ: Mapping[str, str]) -> bool:
    # Here, not above: most folders are no repository.
    from secretsmith.errors import SecretsmithError
    from secretsmith.store.atomic import read_file
    from secretsmith.store.limits import MAX_REGISTRY_BYTES

    try:
        return bool(_TABLE.search(read_file(root / REGISTRY_NAME, MAX_REGISTRY_BYTES))) or _stores(
            root, environ
        )
    except SecretsmithError:
        return False


def _stores(root: Path, environ: Mapping[str, str]) -> bool:
    from secretsmith.store.approved import KEYRING_FILE, ApprovedSources

    return "store" in ApprovedSources.load(environ, root, file=KEYRING_FILE).references


__all__ = ["BUSY", "find_login", "offers", "remove_login", "store_login"]
