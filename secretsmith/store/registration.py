"""New files that git has to know, remembered until it does: neither a kill nor a busy index of git's loses one.

Flakes do not see files that git does not know, so a secret without this is one that no host gets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from secretsmith.errors import NotFound, SecretsmithError
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.failures import naming
from secretsmith.store.git import add, in_git, intent_to_add
from secretsmith.store.paths import relative

RECORD_FILE: Final = "unregistered.json"
_MAX_BYTES: Final = 64 * 1024 * 1024


def remember_new(root: Path, state_dir: Path, paths: Iterable[str], setting: str) -> None:
    """Record files (relative to ``root``) that are about to be made, for :func:`register_new`; the lock is held.

    ``setting`` is the registry's ``git``; with "off", or outside of git, nothing is recorded.

    Raises:
        SecretsmithError: NOSPC, ACCESS, IO.
    """
    wanted = set(paths)
    if not wanted or setting == "off" or not in_git(root):
        return
    import json  # only commands that make files

    record = sorted({*_remembered(state_dir), *wanted})
    write_atomic(state_dir / RECORD_FILE, json.dumps(record).encode(), mode=0o600)


def register_new(root: Path, state_dir: Path, setting: str) -> tuple[str, ...]:
    """Tell git of the recorded files that exist, as ``setting`` says; the lock is held.

    What git refuses stays on record for the next write: the files themselves are written, so this is no error.

    Returns:
        Sentences for the person, about files that git does not take.
    """
    waiting = [path for path in _remembered(state_dir) if os.path.lexists(root / path)]
    notes: tuple[str, ...] = ()
    if waiting and setting != "off" and in_git(root):
        try:
            hidden = (add if setting == "add" else intent_to_add)(root, waiting)
        except SecretsmithError as error:
            return (f"{error.message}; the next write tries again, or: git add --intent-to-add FILE",)
        notes = tuple(f"git ignores {path}, so no other clone gets it: mend .gitignore" for path in hidden)
    with suppress(OSError):
        os.unlink(state_dir / RECORD_FILE)
    return notes


def _remembered(state_dir: Path) -> list[str]:
    path = state_dir / RECORD_FILE
    with naming(path):
        if not os.path.lexists(path):
            return []
    import json  # only when there is something to read

    try:
        found = json.loads(read_file(path, _MAX_BYTES))
        # A damaged record costs a `git add` by hand, which `check` asks for.
        return [relative(item) for item in found if isinstance(item, str)] if isinstance(found, list) else []
    except (NotFound, ValueError, RecursionError, SecretsmithError):
        return []


__all__ = ["RECORD_FILE", "register_new", "remember_new"]
