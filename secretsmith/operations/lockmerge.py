"""``lock --merge``: make one lock of two, in place or as git's merge driver; as that, one registry of two as well."""

from __future__ import annotations

import hashlib
from pathlib import Path

from secretsmith.errors import Code, Conflict, NotFound
from secretsmith.policy.lock import LOCK_NAME, Lock, dump_lock, parse_lock
from secretsmith.policy.lockmerge import merge_conflicted, merge_locks
from secretsmith.policy.registrymerge import with_both_additions
from secretsmith.project import MAX_LOCK_BYTES, REGISTRY_NAME
from secretsmith.record import record
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.clone import state_dir
from secretsmith.store.git import merged_text
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.transaction import Transaction


@record
class LockMerged:
    """What a merge did.

    ``written`` is False when there was nothing to resolve. ``doubtful`` are files that both sides changed: the lock claims
    nothing of them now.
    """

    path: Path
    written: bool
    doubtful: tuple[str, ...]


def merge_in_place(root: Path) -> LockMerged:
    """Resolve what git left in ``secretsmith.lock`` below ``root``; reads no registry, which may be in conflict as well.

    Raises:
        NotFound: there is no lock. Conflict: the markers are incomplete; LOCKED, CHANGED.
    """
    state = state_dir(root)
    with repository_lock(state), Transaction(root, state) as transaction:
        data = read_file(root / LOCK_NAME, MAX_LOCK_BYTES)
        text = data.decode("utf-8", "replace")
        merged = merge_conflicted(text)
        if merged != text:
            transaction.stage(LOCK_NAME, merged.encode(), expect=hashlib.sha256(data).hexdigest())
            transaction.commit()
    return LockMerged(root / LOCK_NAME, merged != text, _doubtful(parse_lock(merged)))


def merge_files(base: Path, ours: Path, theirs: Path) -> LockMerged:
    """Merge three locks and write the result to ``ours``, as a merge driver does (gitattributes(5), ``%O %A %B``).

    An empty or missing ``base`` is what git gives when both sides added the file.

    Raises:
        NotFound, Conflict, RefusedInput: one of them is no lock; ``ours`` is as it was.
    """
    merged = merge_locks(_read(base), _needed(ours), _needed(theirs))
    write_atomic(ours, dump_lock(merged).encode())
    return LockMerged(ours, True, _doubtful(merged))


def is_registry(path: Path) -> bool:
    """Say whether a file that git hands to its merge driver is a registry: a lock is JSON, or still empty."""
    text = read_file(path, MAX_LOCK_BYTES).lstrip()
    return bool(text) and not text.startswith(b"{")


def merge_registry_files(base: Path, ours: Path, theirs: Path) -> None:
    """Merge three registries and write the result to ``ours``, as :func:`merge_files` does locks.

    Raises:
        Conflict: CONFLICT, more is to decide than whose addition comes first; ``ours`` has git's conflict markers then.
    """
    data, clean = merged_text(base, ours, theirs)
    merged = None if clean else with_both_additions(data.decode("utf-8", "surrogateescape"))
    write_atomic(ours, data if merged is None else merged.encode("utf-8", "surrogateescape"))
    if not clean and merged is None:
        raise Conflict(
            Code.CONFLICT,
            f"{REGISTRY_NAME}: both sides changed the same lines",
            hints=(f"edit it, then: git add {REGISTRY_NAME} and secretsmith check",),
        )


def _read(path: Path) -> Lock | None:
    try:
        text = read_file(path, MAX_LOCK_BYTES).decode("utf-8", "replace")
    except NotFound:
        return None
    return parse_lock(text, str(path)) if text.strip() else None


def _needed(path: Path) -> Lock:
    lock = _read(path)
    if lock is None:
        raise NotFound(Code.NOT_FOUND, f"{path}: no lock to merge", path=str(path))
    return lock


def _doubtful(lock: Lock) -> tuple[str, ...]:
    return tuple(path for path, entry in lock.files.items() if not entry.recipients)


__all__ = ["LockMerged", "is_registry", "merge_files", "merge_in_place", "merge_registry_files"]
