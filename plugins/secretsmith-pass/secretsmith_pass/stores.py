"""Where stores lie, and the file of an entry in one.

A repository names entries; where a store lies is for the person to say: the variables of pass, passage and gopass, and
``~/.config/secretsmith/stores.toml`` for those that ``?store=NAME`` names. No path ever comes from a reference.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith_pass.reference import Reference, escaped

MAX_ENTRY_BYTES: Final = 16 * 1024 * 1024
_MAX_RULES: Final = 1024 * 1024
_SHOWN_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class Store:
    """A folder with entries. ``root`` is its real path, ``shown`` the one that people know; ``suffix`` ends its entries."""

    scheme: str
    root: Path
    shown: str
    suffix: str

    def path_of(self, name: str) -> Path:
        """The path of the entry ``name``, which need not exist."""
        return self.root / f"{name}{self.suffix}"

    def find(self, name: str) -> Path | None:
        """Return the real path of an entry's file; None when there is no such file.

        A symbolic link is followed as pass does, but not out of the store.

        Raises:
            RefusedInput: SYMLINK, it leads out of the store; NOT_REGULAR, it is no file.
        """
        path = self.path_of(name)
        real = Path(os.path.realpath(path))
        if real != path and not real.is_relative_to(self.root):
            raise RefusedInput(
                Code.SYMLINK,
                f"{self.scheme}:{escaped(name)}: a symbolic link leads out of the store {self.shown}",
            )
        try:
            status = os.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise _unreadable(self.scheme, name, error) from None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise RefusedInput(Code.NOT_REGULAR, f"{self.scheme}:{escaped(name)}: is no regular file")
        return real

    def read(self, name: str) -> bytes | None:
        """Return the encrypted bytes of an entry, None when there is none. Raises as :meth:`find`, and TOO_BIG."""
        path = self.find(name)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(MAX_ENTRY_BYTES + 1)
        except OSError as error:
            raise _unreadable(self.scheme, name, error) from None
        if len(data) > MAX_ENTRY_BYTES:
            raise RefusedInput(
                Code.TOO_BIG,
                f"{self.scheme}:{escaped(name)}: larger than {MAX_ENTRY_BYTES >> 20} MiB",
            )
        return data

    def nearest(self, name: str, rules: str) -> tuple[str, bytes] | None:
        """Return the file called ``rules`` that holds for ``name``: beside it, else in the nearest folder above.

        Gives its path for messages and its bytes; None when there is none up to the store's root.

        Raises:
            SecretsmithError: ACCESS, it cannot be read.
            RefusedInput: NOT_REGULAR, TOO_BIG: a store that others write to is not to hold us up.
        """
        folders = name.split("/")[:-1]
        for depth in range(len(folders), -1, -1):
            below = "/".join((*folders[:depth], rules))
            try:
                data = _rules_of(self.root / below)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                raise _unreadable(self.scheme, below, error) from None
            if data is None:
                raise RefusedInput(Code.NOT_REGULAR, f"{self.shown}/{below}: is no regular file")
            if len(data) > _MAX_RULES:
                raise RefusedInput(Code.TOO_BIG, f"{self.shown}/{below}: larger than {_MAX_RULES >> 20} MiB")
            return f"{self.shown}/{below}", data
        return None

    def names(self) -> tuple[str, ...]:
        """Return the names of all entries, sorted. What lies behind a link to a folder has its own name in the store."""
        return tuple(sorted(self._walk("")))

    def _walk(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self.root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            return  # a folder of somebody else's: what is in it cannot be read anyway
        for entry in entries:
            if entry.name.startswith("."):
                continue  # .git, .extensions, .gpg-id
            name = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(f"{name}/")
            elif entry.name.endswith(self.suffix) and self._is_entry(name.removesuffix(self.suffix)):
                yield name.removesuffix(self.suffix)

    def _is_entry(self, name: str) -> bool:
        try:
            return not name.endswith("/") and name != "" and self.find(name) is not None
        except SecretsmithError:
            return False

    def missing(self, reference: Reference) -> NotFound:
        """Make the error for an entry that is not there; it names what is, never a value."""
        if not self.root.is_dir():
            return NotFound(
                Code.NOT_FOUND,
                f"{reference.shown}: there is no store {self.shown}",
                hints=(_where(reference.scheme),),
            )
        names = self.names()
        inside = [name for name in names if name.startswith(f"{reference.name}/")]
        if inside:
            return NotFound(
                Code.NOT_FOUND,
                f"{reference.shown}: is a folder of the store, and no entry",
                hints=(f"entries in it: {_listed(inside)}",),
            )
        if self.suffix == ".age" and (self.root / f"{reference.name}.gpg").is_file():
            return NotFound(
                Code.NOT_FOUND,
                f"{reference.shown}: is an entry for gpg, and only those for age are read here",
                hints=(
                    f"name the store for pass in ~/.config/secretsmith/stores.toml: pass:{reference.name}?store=NAME",
                ),
            )
        near = difflib.get_close_matches(reference.name, names, n=3)
        near += [name for name in names if name.endswith(f"/{reference.name}") and name not in near]
        hint = f"did you mean {_listed(near)}?" if near else f"{reference.scheme} ls"
        return NotFound(Code.NOT_FOUND, f"{reference.shown}: no such entry in {self.shown}", hints=(hint,))


def digest_of(data: bytes) -> str:
    """Return the token of an entry: the SHA256 of its encrypted bytes."""
    return hashlib.sha256(data).hexdigest()


def store_at(scheme: str, folder: str, suffix: str, environ: Mapping[str, str]) -> Store:
    """Return the store in ``folder``, a path that the person named; it may be a link, and need not exist.

    Raises:
        RefusedInput: USAGE, the path is not absolute: a repository must not become the store because somebody stands in it.
    """
    home = environ.get("HOME", "")
    path = f"{home}{folder[1:]}" if home and (folder == "~" or folder.startswith("~/")) else folder
    if not os.path.isabs(path):
        raise RefusedInput(
            Code.USAGE, f"{scheme}: the store {folder!a} is no absolute path", hints=(_where(scheme),)
        )
    path = os.path.normpath(path)
    shown = f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path
    return Store(scheme, Path(os.path.realpath(path)), shown, suffix)


def _rules_of(path: Path) -> bytes | None:
    """Return the bytes of a file, at most one more than there may be; None for a pipe or a device."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        if path.is_dir():
            raise IsADirectoryError
        return None
    with path.open("rb") as file:
        return file.read(_MAX_RULES + 1)


def _where(scheme: str) -> str:
    variable = {"pass": "PASSWORD_STORE_DIR", "passage": "PASSAGE_DIR"}.get(scheme)
    return (
        f"{variable} names the folder of the store"
        if variable
        else "~/.config/gopass/config names the stores"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(escaped(name) for name in names[:_SHOWN_NAMES]) + more


def _unreadable(scheme: str, name: str, error: OSError) -> SecretsmithError:
    reason = (error.strerror or "cannot be read").lower()
    return SecretsmithError(Code.ACCESS, f"{scheme}:{escaped(name)}: {reason}")


__all__ = ["MAX_ENTRY_BYTES", "Store", "digest_of", "store_at"]
