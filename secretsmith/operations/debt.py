"""``debt``: values that somebody who lost access could read, and that nobody has changed since (design.md §2).

The lock holds the records. They come when a principal loses access (:func:`owed_values`, one for each value of a document)
and go when we see the value change (:mod:`secretsmith.operations.settle`) or with ``debt clear``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.naming import is_list_comment
from secretsmith.documents.tree import LeafKind, format_tree_path
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.locate import SUFFIXES
from secretsmith.operations.readers import read_sealed
from secretsmith.policy.lock import LOCK_NAME, Debt, DebtReason
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.project import Project, writing
from secretsmith.record import record

MAX_KEYS: Final = 1_000
"""Of a document with more values the whole file is one record: a list that long nobody works through."""

_AGE = re.compile(r"([0-9]{1,5})([dw]?)")
_DAYS = {"": 1, "d": 1, "w": 7}


@record
class Owed:
    """One record, its age in days, and the command that pays it."""

    record: Debt
    days: int
    command: str


@record
class Debts:
    """What is owed, oldest first; ``uncounted`` records of reinstalled hosts were left out, ``younger`` ones are not due yet."""

    owed: tuple[Owed, ...]
    uncounted: int
    younger: int


@record
class Cleared:
    """``records`` were taken off the lock; ``message`` is one for the commit, and the only place that keeps the reason."""

    records: tuple[Debt, ...]
    message: str


def owed_values(project: Project, path: str, losses: Mapping[str, DebtReason]) -> list[Debt]:
    """Return what is owed for ``path`` when everybody in ``losses`` loses access: one record a value, and principal.

    Needs no key: the names of a document's values are in clear.
    """
    keys = _keys_of(project, path) if losses else ()
    return [
        Debt(path, key, name, reason, project.today)
        for name, reason in sorted(losses.items())
        for key in keys
    ]


def _keys_of(project: Project, path: str) -> tuple[str | None, ...]:
    """Return the slash paths of the sealed values of a document; (None,), the whole file, where there are none to name."""
    whole: tuple[str | None, ...] = (None,)
    if format_of(path) in (Format.AGE, Format.BINARY):
        return whole
    try:
        sops = read_sealed(project, path).sops
    except SecretsmithError:
        return whole  # damaged now, but perhaps sound in an earlier commit
    if sops is None:
        return whole
    found: dict[str, None] = {}
    for index, (named, leaf) in enumerate(zip(sops.named, sops.document.leaves, strict=True)):
        if leaf.kind is LeafKind.COMMENT or is_list_comment(leaf) or not sops.is_sealed(index):
            continue
        key = format_tree_path(named)
        if len(found) >= MAX_KEYS or not key or not key.isprintable():
            return whole
        found[key] = None
    return tuple(found) or whole


def list_debt(project: Project, *, reinstalled: bool = False, older_than: int | None = None) -> Debts:
    """Return what is owed. ``reinstalled``: also for what old keys of reinstalled hosts could read.

    ``older_than`` leaves out what is owed for so many days or less.
    """
    counted = [record for record in project.lock.debt if reinstalled or record.reason != "reinstalled"]
    owed = [Owed(record, days_since(record.since, project.today), "") for record in counted]
    due = [item for item in owed if older_than is None or item.days > older_than]
    known: dict[str, frozenset[str] | None] = {}
    listed = tuple(
        Owed(item.record, item.days, _payment(project, item.record, known))
        for item in sorted(due, key=lambda item: (-item.days, item.record.order))
    )
    return Debts(listed, len(project.lock.debt) - len(counted), len(owed) - len(due))


def parse_days(text: str) -> int:
    """Return the days of ``30d``, ``4w`` or ``30``. Raises ``RefusedInput``: USAGE."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise RefusedInput(Code.USAGE, f"--max-age {shown(text)}: is no age", hints=("an age is 30d, or 4w",))
    return int(found[1]) * _DAYS[found[2]]


def days_since(since: str, today: str) -> int:
    """Return the days from one ISO date to another, 0 when it lies ahead or is none."""
    import datetime  # only here dates are counted

    try:
        return max(0, (datetime.date.fromisoformat(today) - datetime.date.fromisoformat(since)).days)
    except ValueError:
        return 0  # the lock accepts 2026-02-31, which is still worth a line


def _payment(project: Project, record: Debt, known: dict[str, frozenset[str] | None]) -> str:
    """Return the command that pays: a new value; where the value is gone, only a person knows whether it is still in use."""
    if record.path not in known:
        keys = _keys_of(project, record.path) if (project.root / record.path).is_file() else ()
        known[record.path] = frozenset(key for key in keys if key is not None) if keys else None
    keys_now, path = known[record.path], quote(record.path)
    if keys_now is None or (record.key is not None and keys_now and record.key not in keys_now):
        return f"{clear_command(record)} (it is gone from here; if it is in use elsewhere, change it there first)"
    if record.key is not None:
        return f"secretsmith set {path} {quote(record.key)}"
    verb = "set" if format_of(record.path) in (Format.AGE, Format.BINARY) else "edit"
    return f"secretsmith {verb} {path}"


def clear_command(record: Debt) -> str:
    """Return the command that takes ``record`` off the list without a new value."""
    key = f" --key {quote(record.key)}" if record.key is not None else ""
    return f"secretsmith debt clear {quote(record.path)}{key} --because …"


def clear_debt(
    project: Project,
    words: Sequence[str],
    *,
    because: str,
    cwd: Path,
    key: str | None = None,
    principal: str | None = None,
) -> Cleared:
    """Take records off the lock although no value was seen to change.

    ``words`` are paths of files with debt (they may be gone) or of folders; ``key`` and ``principal`` limit what goes. The
    lock has no place for the reason, which is history's: it goes into the message that the person commits the lock with.

    Raises:
        NotFound: nothing is owed there.
        RefusedInput: USAGE, an empty reason.
    """
    reason = " ".join(because.split())
    if not reason:
        raise RefusedInput(
            Code.USAGE, "--because is empty", hints=("say why nobody has to change the value any more",)
        )
    with writing(project) as session:
        paths = {path for word in words for path in _owing(session.project, word, cwd)}
        gone = tuple(
            record
            for record in session.lock.debt
            if record.path in paths
            and (key is None or _is_below(record.key, key))
            and principal in (None, record.principal)
        )
        if not gone:
            raise NotFound(
                Code.NOT_FOUND,
                f"nothing is owed there for {_limits(key, principal)}",
                hints=("secretsmith debt --all",),
            )
        session.lock = session.lock.without_debt(lambda record: record in gone)
        session.commit()
    values = "1 value" if len(gone) == 1 else f"{len(gone)} values"
    return Cleared(gone, f"clear the debt of {values} in {', '.join(sorted(paths)[:3])}: {reason}")


def commit_command(cleared: Cleared) -> str:
    """Return the command that keeps the reason."""
    return f"git commit -m {quote(cleared.message)} -- {LOCK_NAME}"


def _limits(key: str | None, principal: str | None) -> str:
    said = [f"key {key}"] if key is not None else []
    return " and ".join([*said, *([principal] if principal is not None else [])])


def _is_below(key: str | None, limit: str) -> bool:
    return key is not None and (key == limit or key.startswith(f"{limit}/"))


def _owing(project: Project, word: str, cwd: Path) -> list[str]:
    """Return the paths with debt that ``word`` means: as other commands read it, but the files may be gone."""
    paths = sorted({record.path for record in project.lock.debt})
    root, folder = os.path.realpath(project.root), project.registry.secrets
    here = os.path.relpath(os.path.join(os.path.realpath(cwd), word), root)
    names = [os.path.normpath(name) for name in (here, word, f"{folder}/{word}")]
    names += [f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    found = [
        path
        for path in paths
        if any(path == n or n == "." or path.startswith(f"{n}/") for n in names if word)
    ]
    if not found:
        raise NotFound(
            Code.NOT_FOUND,
            f"{word}: nothing is owed there",
            hints=(*did_you_mean(word, paths), "secretsmith debt --all"),
        )
    return found


__all__ = [
    "MAX_KEYS",
    "Cleared",
    "Debts",
    "Owed",
    "clear_command",
    "clear_debt",
    "commit_command",
    "days_since",
    "list_debt",
    "owed_values",
    "parse_days",
]
