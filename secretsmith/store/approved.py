"""What a person lets a repository have from their own stores: kept in the person's state folder, never in a repository.

A repository names entries of password stores. Whoever may push to it could name any other, or give one more reader to a file that
is linked already, and the next sync would hand the value over. So each pair of a reference and a reader's key is used only if
somebody approved it on this computer, for this repository: for the folder where it lies, since what a repository says of
itself another one could say as well.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.failures import naming
from secretsmith.store.lockfile import repository_lock

SOURCES_FILE: Final = "sources.json"
KEYRING_FILE: Final = "keyring.json"
_FOLDER: Final = "secretsmith"
_VERSION: Final = 1
_MAX_BYTES: Final = 16 * 1024 * 1024

_Known = dict[str, dict[str, set[str]]]


class ApprovedSources:
    """reference → fingerprints of readers, of one repository; ``sources.json`` holds those of all (0600, folder 0700).

    ``keyring.json`` beside it holds in the same way what a repository may answer to programs that ask python's keyring.
    """

    def __init__(
        self, folder: Path, repository: str, known: Mapping[str, Iterable[str]], file: str = SOURCES_FILE
    ) -> None:
        self._folder = folder
        self._file = file
        self._repository = repository
        self._known = {reference: set(keys) for reference, keys in known.items()}
        self._new: dict[str, set[str]] = {}
        self._gone: set[str] = set()

    @classmethod
    def load(cls, environ: Mapping[str, str], root: Path, *, file: str = SOURCES_FILE) -> ApprovedSources:
        """Read what was approved for the repository at ``root``; a damaged file is an empty one, which costs a question.

        Raises:
            RefusedInput: SYMLINK, NOT_REGULAR; ACCESS, folder or file belong to somebody else or may be changed by others.
            SecretsmithError: ACCESS, IO.
        """
        folder = _state_home(environ) / _FOLDER
        repository = os.path.realpath(root)
        return cls(folder, repository, _read(folder, file).get(repository, {}), file)

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self._folder / self._file

    @property
    def references(self) -> tuple[str, ...]:
        """What was approved for this repository, sorted."""
        return tuple(sorted(self._known))

    def missing(self, reference: str, keys: Iterable[str]) -> tuple[str, ...]:
        """Return those of ``keys`` that may not have ``reference`` yet, sorted."""
        return tuple(sorted(set(keys) - self._known.get(reference, set())))

    def add(self, reference: str, keys: Iterable[str]) -> None:
        """Approve a pair; :meth:`save` makes it last."""
        new = set(self.missing(reference, keys))
        if new:
            self._new.setdefault(reference, set()).update(new)
            self._known.setdefault(reference, set()).update(new)

    def withdraw(self, reference: str) -> None:
        """Approve a reference for nobody any more; :meth:`save` makes it last."""
        self._known.pop(reference, None)
        self._new.pop(reference, None)
        self._gone.add(reference)

    def save(self) -> None:
        """Write what is new or withdrawn, with what another process approved since.

        Raises:
            SecretsmithError: as :meth:`load`; NOSPC, LOCKED.
        """
        if not (self._new or self._gone):
            return
        import json  # only when there is something to write

        with naming(self._folder):
            os.makedirs(self._folder, 0o700, exist_ok=True)
        _refuse_foreign(self._folder, folder=True)
        with repository_lock(self._folder):
            known = _read(self._folder, self._file)
            mine = known.setdefault(self._repository, {})
            for reference in self._gone:
                mine.pop(reference, None)
            for reference, keys in self._new.items():
                mine.setdefault(reference, set()).update(keys)
            tree = {
                repository: {reference: sorted(keys) for reference, keys in sorted(references.items())}
                for repository, references in sorted(known.items())
            }
            text = json.dumps({"version": _VERSION, "repositories": tree}, indent=1, ensure_ascii=False)
            write_atomic(self.path, f"{text}\n".encode("utf-8", "surrogateescape"), mode=0o600)
        self._new.clear()
        self._gone.clear()


def _state_home(environ: Mapping[str, str]) -> Path:
    """Return $XDG_STATE_HOME or its default; a relative one is no place (XDG Base Directory Specification 0.8)."""
    if (given := environ.get("XDG_STATE_HOME", "")).startswith("/"):
        return Path(given)
    home = environ.get("HOME", "")
    if not home.startswith("/"):
        raise RefusedInput(
            Code.NOT_FOUND,
            "neither HOME nor XDG_STATE_HOME says where your approvals are kept",
            hints=("set HOME to your home folder",),
        )
    return Path(home) / ".local" / "state"


def _read(folder: Path, file: str) -> _Known:
    path = folder / file
    try:
        _refuse_foreign(folder, folder=True)
        _refuse_foreign(path, folder=False)
        data = read_file(path, _MAX_BYTES)
    except NotFound:
        return {}
    import json  # only when there is something to read

    try:
        # As it is written: the path of a repository may be no UTF-8.
        found = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        return {}
    return {
        repository: {
            reference: {key for key in keys if isinstance(key, str)}
            for reference, keys in references.items()
            if isinstance(keys, list)
        }
        for repository, references in _items(found.get("repositories"))
        if isinstance(references, dict)
    }


def _items(found: object) -> Iterable[tuple[str, object]]:
    return found.items() if isinstance(found, dict) else ()


def _refuse_foreign(path: Path, *, folder: bool) -> None:
    """Stop unless ``path`` is a folder where it has to be, the caller's own, and for nobody else to change.

    Else whoever can write there approves for somebody else. Raises NotFound when there is nothing.
    """
    with naming(path):
        status = os.lstat(path)
    shown = str(path)
    if stat.S_ISLNK(status.st_mode):
        raise RefusedInput(
            Code.SYMLINK, f"{path}: a symbolic link, and your approvals are kept there", path=shown
        )
    if folder and not stat.S_ISDIR(status.st_mode):
        raise RefusedInput(Code.NOT_REGULAR, f"{path}: not a folder", path=shown)
    if status.st_uid != os.geteuid():
        raise SecretsmithError(
            Code.ACCESS, f"{path}: belongs to somebody else (uid {status.st_uid})", path=shown
        )
    if status.st_mode & 0o022:
        raise SecretsmithError(
            Code.ACCESS,
            f"{path}: others may change it, and with it what you approved",
            hints=(f"chmod go-w {path}, after a look at what it says",),
            path=shown,
        )


__all__ = ["KEYRING_FILE", "SOURCES_FILE", "ApprovedSources"]
