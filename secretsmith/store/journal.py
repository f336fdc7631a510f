"""The two records that make a change of many files survive a kill; docs/decisions/0002-writing-files.md tells the story.

``staging.json`` names the temporary files and folders that are about to be made: whoever finds it removes them.
``journal.json`` exists from the moment when all of them are whole on the disk: whoever finds it finishes the renames.
Both are written by :func:`write_atomic`, so a record that is there is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.store.accepted import ACCEPTED_FILE
from secretsmith.store.atomic import is_temp_name, read_file, write_atomic
from secretsmith.store.failures import naming
from secretsmith.store.paths import RepoPath, relative
from secretsmith.store.registration import RECORD_FILE

VERSION: Final = 1
JOURNAL_FILE: Final = "journal.json"
STAGING_FILE: Final = "staging.json"
_MAX_BYTES: Final = 256 * 1024 * 1024
# What is written with the lock held only: a temporary file of theirs that another holder finds has no writer any more.
_UNDER_LOCK: Final = tuple(f".{name}." for name in (JOURNAL_FILE, STAGING_FILE, ACCEPTED_FILE, RECORD_FILE))


class Staging(NamedTuple):
    """What a transaction is about to make: temporary files, and folders outermost first."""

    temps: tuple[RepoPath, ...]
    folders: tuple[RepoPath, ...]


class Entry(NamedTuple):
    """One step of a committed change.

    With ``temp`` (a name beside ``path``) and ``new`` (its sha256) the temporary file takes the place of ``path``; without
    them ``path`` is removed. ``old`` is the sha256 that ``path`` had at the commit, None when it did not exist. ``prune``
    is the folder below which folders that a removal leaves empty go too.
    """

    path: RepoPath
    temp: str | None
    new: str | None
    old: str | None
    prune: RepoPath | None = None


def write_staging(state_dir: Path, staging: Staging) -> None:
    """Record what is about to be made, on the disk when this returns."""
    _write(state_dir / STAGING_FILE, {"temps": staging.temps, "folders": staging.folders})


def write_journal(state_dir: Path, entries: Iterable[Entry]) -> None:
    """Record a change that is whole on the disk and from now on only goes forward."""
    _write(state_dir / JOURNAL_FILE, {"entries": [entry._asdict() for entry in entries]})


def read_staging(state_dir: Path) -> Staging | None:
    """Return the record of temporary files, None when there is none; STATE when it is damaged."""
    path = state_dir / STAGING_FILE
    record = _read(path)
    if record is None:
        return None
    try:
        temps = tuple(_temp_path(item) for item in _strings(record["temps"]))
        return Staging(temps, tuple(relative(item) for item in _strings(record["folders"])))
    except (KeyError, TypeError, ValueError, SecretsmithError) as error:
        raise _damaged(path) from error


def read_journal(state_dir: Path) -> tuple[Entry, ...] | None:
    """Return the steps of a committed change that may be unfinished, None when there is none; STATE when it is damaged."""
    path = state_dir / JOURNAL_FILE
    record = _read(path)
    if record is None:
        return None
    try:
        entries = record["entries"]
        if not isinstance(entries, list):
            raise TypeError("entries")
        return tuple(_entry(item) for item in entries)
    except (KeyError, TypeError, ValueError, SecretsmithError) as error:
        raise _damaged(path) from error


def drop_records(state_dir: Path) -> None:
    """Remove both records, the journal first: a staging record alone can only clean up, never change a file."""
    with naming(state_dir):
        for name in (JOURNAL_FILE, STAGING_FILE):
            with suppress(FileNotFoundError):
                os.unlink(state_dir / name)
        _sync(state_dir)


def drop_journal(state_dir: Path) -> None:
    """Remove the journal of a change that is taken back, durably, before its temporary files go.

    Were the journal to come back after a power cut without them, the rest of the change would be finished by halves.
    """
    with naming(state_dir):
        try:
            os.unlink(state_dir / JOURNAL_FILE)
        except FileNotFoundError:
            return
        _sync(state_dir)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def records_exist(state_dir: Path) -> bool:
    """Say whether some run left a record, or half of one, by listing the state folder."""
    with naming(state_dir):
        return any(
            name in (JOURNAL_FILE, STAGING_FILE) or is_record_temp(name) for name in os.listdir(state_dir)
        )


def is_record_temp(name: str) -> bool:
    """Say whether ``name`` is a record that a kill left half written; only ever there while the lock is held."""
    return name.startswith(_UNDER_LOCK) and is_temp_name(name)


def _write(path: Path, content: Mapping[str, object]) -> None:
    import json  # only commands that write

    write_atomic(path, json.dumps({"version": VERSION, **content}).encode(), mode=0o600)


def _read(path: Path) -> dict[str, object] | None:
    try:
        data = read_file(path, _MAX_BYTES)
    except NotFound:
        return None
    import json  # only when an interrupted run left something

    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise _damaged(path)
    return record


def _entry(item: object) -> Entry:
    if not isinstance(item, dict):
        raise TypeError("entry")
    temp, new, prune = _optional(item["temp"]), _optional(item["new"]), _optional(item["prune"])
    if (temp is None) != (new is None):
        raise ValueError("temp without digest")
    if temp is not None and ("/" in temp or not is_temp_name(temp)):
        raise ValueError("temp")
    path = relative(_string(item["path"]))
    return Entry(path, temp, new, _optional(item["old"]), None if prune is None else relative(prune))


def _temp_path(text: str) -> RepoPath:
    # Nothing but a name of our own form is ever unlinked on the word of a record.
    if not is_temp_name(text.rpartition("/")[2]):
        raise ValueError("temp")
    return relative(text)


def _strings(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("list")
    return [_string(item) for item in value]


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("string")
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _string(value)


def _damaged(path: Path) -> SecretsmithError:
    return SecretsmithError(
        Code.STATE,
        f"{path}: damaged, or written by another version of secretsmith",
        hints=("every file is whole, old or new: look at git status, then remove this record",),
        path=str(path),
    )


__all__ = [
    "Entry",
    "Staging",
    "drop_journal",
    "drop_records",
    "is_record_temp",
    "read_journal",
    "read_staging",
    "records_exist",
    "write_journal",
    "write_staging",
]
