"""What lies at a custom path, and whether activation put it there."""

from __future__ import annotations

import os
import stat
from shlex import quote

from secretsmith.activation.places.placed import PlacedPath, stamp_of
from secretsmith.errors import Code, SecretsmithError
from secretsmith.record import record


@record
class Occupant:
    """Something at a path: its status, and where it points if it is a symlink."""

    status: os.stat_result
    text: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is a regular file with one name; a second name could be of anybody's file, or keep a value alive."""
        return stat.S_ISREG(self.status.st_mode) and self.status.st_nlink == 1

    def among(self, item: PlacedPath | None) -> PlacedPath | None:
        """Return the one of ``item``'s variants that this still is, untouched; None if it is none of them."""
        for variant in () if item is None else item.variants():
            if self.text is not None:
                if self.text == variant.text:
                    return variant
            elif self.is_plain and stamp_of(self.status) == variant.stamp:
                return variant
        return None

    def was_copy(self, item: PlacedPath | None) -> bool:
        """Whether a file lies where a copy was put: perhaps that copy, changed by its reader."""
        copied = item is not None and any(variant.stamp is not None for variant in item.variants())
        return copied and stat.S_ISREG(self.status.st_mode)


def look(name: str, folder: int | None = None) -> Occupant | None:
    """Look at ``name`` in the open ``folder`` (or at a whole path), not through a symlink; None if nothing is there.

    Raises:
        OSError: as the system says.
    """
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        text = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(status.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Occupant(status, text)


def occupied(path: str, found: Occupant | None, item: PlacedPath | None) -> SecretsmithError:
    """Return why nothing can be put at ``path``, where ``found`` lies and ``item`` is what activation left there."""
    away = f"mv {quote(path)} {quote(path + '.old')}"
    hint = f"look at it, then move it away (it is never deleted here): {away}"
    what = "a file or folder that activation did not make"
    if found is not None and found.text is not None:
        what = "a link to somewhere else"
    elif found is not None and stat.S_ISREG(found.status.st_mode) and found.status.st_nlink > 1:
        what = "a file with a second name (a hard link)"
    elif found is not None and found.was_copy(item):
        what = "a copy that was changed since activation put it there"
    return SecretsmithError(Code.PATH_OCCUPIED, f"{path} is taken by {what}", hints=(hint,), path=path)


def changed(path: str) -> SecretsmithError:
    """Return why a copy that is no longer wanted stays at ``path``."""
    text = f"{path} was changed since activation copied a secret there, so it is not removed"
    hint = f"look at it, then remove it: rm {quote(path)} (or move it away, activate once, and move it back)"
    return SecretsmithError(Code.CHANGED, text, hints=(hint,), path=path)


__all__ = ["Occupant", "changed", "look", "occupied"]
