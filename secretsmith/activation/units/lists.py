"""The lists that NixOS's switch-to-configuration reads after activation scripts have run: units to restart, to reload."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from secretsmith.activation.folders import failed, safe_folder, write_whole
from secretsmith.activation.units.changes import UnitChanges
from secretsmith.errors import Code, SecretsmithError

_FOLDER = "/run/nixos"  # made by switch-to-configuration, of nixpkgs, before it runs the activation script
_TRUSTED = frozenset({0})
_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_BYTES = 16 * 1024 * 1024  # of a list that others wrote before us


def append_lists(changes: UnitChanges, *, dry_run: bool) -> None:
    """Add units to the lists, or to those of a dry activation; what is there already is not added again.

    Raises:
        SecretsmithError: UNITS, switch-to-configuration does not run; PATH_UNSAFE, ACCESS …
    """
    kind = "dry-activation" if dry_run else "activation"
    lists = ((f"{kind}-restart-list", changes.restart), (f"{kind}-reload-list", changes.reload))
    try:
        with safe_folder(_FOLDER, _TRUSTED) as folder:
            for name, units in lists:
                if units:
                    _append(folder.fd, name, units)
    except OSError as error:
        raise failed(error, _FOLDER) from None
    except SecretsmithError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        why = f"{_FOLDER} does not exist, so no switch-to-configuration runs that would restart units"
        raise SecretsmithError(Code.UNITS, why, hints=("leave out --units nixos",)) from None


def _append(folder: int, name: str, units: Iterable[str]) -> None:
    fd = os.open(name, _OPEN, 0o600, dir_fd=folder)
    try:
        found = os.fstat(fd)
        # Root will act on what it says, so nobody else may have a hand in it.
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_uid != 0
            or found.st_nlink != 1
            or found.st_mode & 0o022
        ):
            path = f"{_FOLDER}/{name}"
            raise SecretsmithError(Code.PATH_UNSAFE, f"{path} is not a file of root alone", path=path)
        before = os.pread(fd, _MAX_BYTES, 0)
        known = set(before.decode("utf-8", "replace").split("\n"))
        start = "\n" if before and not before.endswith(b"\n") else ""
        lines = "".join(f"{unit}\n" for unit in sorted(units) if unit not in known)
        write_whole(fd, (start + lines).encode() if lines else b"")
    finally:
        os.close(fd)


__all__ = ["append_lists"]
