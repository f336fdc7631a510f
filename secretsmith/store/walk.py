"""Which files lie below the secrets folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secretsmith.store.atomic import is_temp_name
from secretsmith.store.failures import translated
from secretsmith.store.paths import RepoPath, missing_folders, relative

_SKIPPED: Final = frozenset({".git", ".gitignore", ".gitkeep", ".gitattributes", ".secretsmith"})
_SKIPPED_SUFFIXES: Final = (".md", ".pub")


def list_secret_files(root: Path, folder: str) -> Iterator[str]:
    """Yield the regular files below ``root/folder`` as paths relative to ``root``, each folder's names in order.

    No link is followed. Left out: what is no regular file, ``.git``, ``README*``, ``*.md``, ``*.pub``, ``.gitignore``,
    ``.gitkeep``, ``.gitattributes``, our temporary files, and names that do not print (no command could write them, and
    they could play tricks on a terminal). A missing folder yields nothing.

    Raises:
        RefusedInput: NAME, ``folder`` is no path inside the repository.
        SecretsmithError: ACCESS, IO.
    """
    top = "" if folder in ("", ".") else relative(folder)
    if top and missing_folders(root, RepoPath(f"{top}/file")):
        return
    waiting = [top]
    while waiting:
        current = waiting.pop()
        folders, files = _entries(root, current)
        yield from files
        # A stack: the last pushed is read next, so the first in order is pushed last.
        waiting.extend(reversed(folders))


def _entries(root: Path, current: str) -> tuple[list[str], list[str]]:
    base = f"{current}/" if current else ""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(root / current) as entries:
            for entry in entries:
                if is_skipped(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(base + entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(base + entry.name)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise translated(error, current or ".") from error
    return sorted(folders), sorted(files)


def is_skipped(name: str) -> bool:
    """Say whether a file or folder of this name is never a secret: a README, one of git, a temporary file."""
    return (
        name in _SKIPPED
        or name.startswith("README")
        or name.endswith(_SKIPPED_SUFFIXES)
        or not name.isprintable()
        or is_temp_name(name)
    )


__all__ = ["is_skipped", "list_secret_files"]
