"""``debt --history``: files that only git remembers, and that a key without access still opens.

What is in it: a file that is not in the tree any more, of which any version in any commit is encrypted to a key that is
retired, compromised or removed now. Its value has no place left to be changed in, but the same password may be in use
elsewhere, which only a person knows. What is not in it: old versions of files that are still here. As long as their value is
the one that was known, the lock owes it; once it has changed, the old one is worth nothing. Anonymous recipients do not say
whose they are, and are passed over. Nothing of it is debt: it does not change the exit code.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from secretsmith.documents.format import format_of
from secretsmith.documents.seal import evidence
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.policy.drift import present_readers
from secretsmith.policy.principals import KeyState, RetireReason
from secretsmith.policy.registry import Registry
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.record import record
from secretsmith.store.git import in_git
from secretsmith.store.history import Objects, Touch, is_secret_name, is_shallow, touches


@record
class Remembered:
    """A file that is gone from the tree: ``principal``, whose key is ``state`` now, opens the version in ``commit``.

    It is the newest such version; ``date`` is that commit's, ``YYYY-MM-DD``.
    """

    path: str
    principal: str
    state: KeyState
    commit: str
    date: str


@record
class History:
    """What git holds; ``shallow``: this clone has only a part of the history."""

    remembered: tuple[Remembered, ...]
    shallow: bool


def remembered_values(project: Project, *, reinstalled: bool = False) -> History:
    """Look through all commits; needs no key. ``reinstalled``: also for the old keys of reinstalled hosts.

    Raises:
        RefusedInput: USAGE, this is no git repository.
        SecretsmithError: ERROR, git is missing or failed.
    """
    if not in_git(project.root):
        raise RefusedInput(Code.USAGE, "--history reads the commits of git, and this is no git repository")
    lost = _lost_keys(project.registry, reinstalled=reinstalled)
    owed = {(record.path, record.principal) for record in project.lock.debt}
    found: dict[tuple[str, str], Remembered] = {}
    seen: set[tuple[str, str]] = set()
    with Objects(project.root) as objects:
        for touch in touches(project.root, []) if lost else ():
            if not _is_gone_secret(project, touch.path):
                continue
            for commit, blob in _versions(touch):
                if (touch.path, blob) in seen:
                    continue
                seen.add((touch.path, blob))
                _, data = objects.read(blob, MAX_SECRET_BYTES)
                for key in _keys_in(project, touch.path, data) & lost.keys():
                    who, state = lost[key]
                    if (touch.path, who) not in owed:
                        date = _date(objects.commit_time(commit) or touch.time)
                        found.setdefault((touch.path, who), Remembered(touch.path, who, state, commit, date))
    return History(tuple(found[key] for key in sorted(found)), is_shallow(project.root))


def _lost_keys(registry: Registry, *, reinstalled: bool) -> dict[str, tuple[str, KeyState]]:
    """Return the keys that read nothing any more: fingerprint → whose, and what became of it."""
    lost: dict[str, tuple[str, KeyState]] = {}
    for principal in registry.everyone():
        forgiven = {
            old.key.fingerprint
            for old in principal.retired
            if old.reason is RetireReason.REINSTALLED and not reinstalled
        }
        for key in [*principal.keys, *(old.key for old in principal.retired)]:
            use = registry.key_owner(key.fingerprint)[0]  # active ones come first
            if use.state is not KeyState.ACTIVE and key.fingerprint not in forgiven:
                lost[key.fingerprint] = (principal.name, use.state)
    return lost


def _is_gone_secret(project: Project, path: str) -> bool:
    folder = "" if project.registry.secrets == "." else f"{project.registry.secrets}/"
    inside = path.startswith(folder) and is_secret_name(path.removeprefix(folder))
    return (inside or path.endswith(".age")) and not (project.root / path).is_file()


def _versions(touch: Touch) -> Iterator[tuple[str, str]]:
    """Yield the versions on both sides of a change, each with a commit that has it."""
    if touch.after:
        yield touch.commit, touch.after
    for parent, blob in zip(touch.parents, touch.before, strict=False):
        if blob and parent:
            yield parent, blob


def _keys_in(project: Project, path: str, data: bytes | None) -> frozenset[str]:
    try:
        found = () if data is None else evidence(format_of(path), data)
    except SecretsmithError:
        return frozenset()  # a README, or a value that was committed in clear, which is check's to say
    return present_readers(project.registry, found, None).keys


def _date(seconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "1970-01-01"  # a commit may claim any time


__all__ = ["History", "Remembered", "remembered_values"]
