"""``secretsmith.lock``: what is known of each file without a key, and what is owed (design.md §2).

The text is JSON that Nix's ``builtins.fromJSON`` reads, laid out for git: each key on its own line, its value on the next,
then an empty line, then the comma. Changes of neighbouring entries then always have an unchanged line between them,
which is what git's line merge needs. Nothing in the file is derived from plaintext.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, NoReturn, TypeVar, cast, get_args

from secretsmith.errors import Code, Conflict, RefusedInput
from secretsmith.record import field, record, replace

LOCK_NAME: Final = "secretsmith.lock"
LOCK_VERSION: Final = 1

# How the recipients of an entry became known: we encrypted the file, we opened it, or nobody can say.
Basis = Literal["wrote", "opened", "assumed"]
DebtReason = Literal["retired", "compromised", "removed", "revoked", "left-group", "reinstalled"]

# Who made a link that a host's configuration asked for; no name of a user begins like it.
BY_BUILD: Final = "@build"

# A digest that no file has: the entry stands, and says nothing about any content.
NO_DIGEST: Final = "0" * 64

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
# Halves of surrogate pairs, which JSON can name and no UTF-8 can hold: the lock could not be written any more.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# Git's markers. A bare ======= is no proof, and no line of ours can begin like the others.
_MARKER = re.compile(r"^(<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)( |\r?$)", re.MULTILINE)

_BASES: Final = get_args(Basis)

_T = TypeVar("_T")


@record
class LockEntry:
    """What is known of one file.

    ``sha256`` is the hex digest of the encrypted file; ``recipients`` are fingerprints, sorted. A digest that does not
    fit the file voids the recipients and nothing else. ``key_exposed``: somebody who lost access knew the data key.
    """

    sha256: str
    recipients: tuple[str, ...] = ()
    basis: Basis = "assumed"
    key_exposed: bool = False


@record
class Debt:
    """A value that ``principal`` could read and that has not changed since the loss.

    ``key`` is the slash path into a document, None for the whole file; ``since`` is an ISO date, ``YYYY-MM-DD``.
    """

    path: str
    key: str | None
    principal: str
    reason: DebtReason
    since: str

    @property
    def order(self) -> tuple[str, str, str, str, str]:
        """The place of this record in the file."""
        return (self.path, self.key or "", self.principal, self.since, self.reason)


@record
class Link:
    """A file whose value comes from elsewhere.

    ``source`` is ``SCHEME:NAME``; ``store_digest`` is the hex digest of the *encrypted* entry there ("" when unknown);
    ``by`` is the user who made the link, BY_BUILD when it follows what hosts declare.
    """

    source: str
    store_digest: str
    by: str


@record
class Lock:
    """The whole file; immutable, every change is a new Lock."""

    files: Mapping[str, LockEntry] = field(default_factory=dict)
    debt: tuple[Debt, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)

    def entry_for(self, path: str, sha256: str) -> LockEntry | None:
        """Return what is known of the file ``path`` whose content has this digest; None when the lock cannot say."""
        entry = self.files.get(path)
        if entry is None or entry.sha256 != sha256 or not entry.recipients:
            return None
        return entry

    def with_file(self, path: str, entry: LockEntry) -> Lock:
        """Return a lock that knows ``path`` as ``entry``."""
        return self.with_files({path: entry})

    def with_files(self, entries: Mapping[str, LockEntry]) -> Lock:
        """Return a lock with all of ``entries`` added or replaced."""
        return replace(self, files={**self.files, **entries})

    def without_file(self, path: str) -> Lock:
        """Return a lock without the file and its link. Its debt stays: who read the value still knows it."""
        return replace(
            self,
            files={name: entry for name, entry in self.files.items() if name != path},
            links={name: link for name, link in self.links.items() if name != path},
        )

    def renamed(self, old: str, new: str) -> Lock:
        """Return a lock in which everything known and owed of ``old`` is known and owed of ``new``."""
        moved = self.without_file(new)
        return Lock(
            files={new if name == old else name: entry for name, entry in moved.files.items()},
            debt=_in_order(replace(d, path=new) if d.path == old else d for d in self.debt),
            links={new if name == old else name: link for name, link in moved.links.items()},
        )

    def with_debt(self, records: Iterable[Debt]) -> Lock:
        """Return a lock that owes ``records`` too; who loses the same access again owes from the later date."""
        return replace(self, debt=_in_order((*self.debt, *records)))

    def without_debt(self, paid: Callable[[Debt], bool]) -> Lock:
        """Return a lock without the records for which ``paid`` is true."""
        return replace(self, debt=tuple(record for record in self.debt if not paid(record)))

    def with_link(self, path: str, link: Link) -> Lock:
        """Return a lock in which ``path`` is linked."""
        return replace(self, links={**self.links, path: link})

    def without_link(self, path: str) -> Lock:
        """Return a lock in which ``path`` is not linked."""
        return replace(self, links={name: link for name, link in self.links.items() if name != path})


def _in_order(records: Iterable[Debt]) -> tuple[Debt, ...]:
    # The same loss on two dates is one debt, and only a change after the later date pays it.
    latest: dict[tuple[str, str | None, str, str], Debt] = {}
    for owed in records:
        loss = (owed.path, owed.key, owed.principal, owed.reason)
        if loss not in latest or latest[loss].since < owed.since:
            latest[loss] = owed
    return tuple(sorted(latest.values(), key=lambda record: record.order))


def dump_lock(lock: Lock) -> str:
    """Return the text of ``lock``: UTF-8 JSON with a final newline; equal locks give equal texts."""
    sections = [
        _dump_object("files", {path: _entry_value(entry) for path, entry in lock.files.items()}),
        _dump_list("debt", [_debt_value(record) for record in _in_order(lock.debt)]),
        _dump_object("links", {path: _link_value(link) for path, link in lock.links.items()}),
    ]
    return "\n".join(["{", f'"version": {LOCK_VERSION},', ",\n".join(sections), "}", ""])


def _dump_object(name: str, entries: Mapping[str, object]) -> str:
    body = "\n,\n".join(f"{_compact(key)}:\n{_compact(entries[key])}\n" for key in sorted(entries))
    return f'"{name}": {{\n\n{body}\n}}' if body else f'"{name}": {{\n\n}}'


def _dump_list(name: str, records: list[object]) -> str:
    body = "\n,\n".join(f"{_compact(record)}\n" for record in records)
    return f'"{name}": [\n\n{body}\n]' if body else f'"{name}": [\n\n]'


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _entry_value(entry: LockEntry) -> object:
    return {
        "sha256": entry.sha256,
        "recipients": sorted(set(entry.recipients)),
        "basis": entry.basis,
        "key_exposed": entry.key_exposed,
    }


def _debt_value(record: Debt) -> object:
    return {
        "path": record.path,
        "key": record.key,
        "principal": record.principal,
        "reason": record.reason,
        "since": record.since,
    }


def _link_value(link: Link) -> object:
    return {"source": link.source, "store_digest": link.store_digest, "by": link.by}


def has_conflict_markers(text: str) -> bool:
    """Say whether git left conflict markers in ``text``; no line of a lock or registry of ours begins like one."""
    return _MARKER.search(text) is not None


def parse_lock(text: str, name: str = LOCK_NAME) -> Lock:
    """Read a lock; ``name`` is what messages call it.

    Raises:
        Conflict: CONFLICT, git's conflict markers are in it.
        RefusedInput: LOCK_SCHEMA, it is no lock of this version.
    """
    if has_conflict_markers(text):
        raise Conflict(
            Code.CONFLICT,
            f"{name}: has unresolved conflict markers from git",
            hints=("secretsmith lock --merge",),
            path=name,
        )
    try:
        raw = json.loads(
            text, object_pairs_hook=_no_duplicates, parse_float=_no_number, parse_constant=_no_number
        )
    except RecursionError:
        raise _schema(name, "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _schema(f"{name}:{error.lineno}:{error.colno}", "is not JSON") from None
    except ValueError as error:
        raise _schema(name, str(error) if isinstance(error, _Refused) else "is not JSON") from None
    try:
        return _lock_of(raw)
    except _Refused as error:
        raise _schema(name, str(error)) from None


class _Refused(ValueError):
    """What is wrong, for the one place that knows the file's name."""


def _schema(where: str, what: str) -> RefusedInput:
    return RefusedInput(
        Code.LOCK_SCHEMA,
        f"{where}: {what}",
        hints=(
            "after a merge: secretsmith lock --merge",
            f"else take it back from git: git checkout -- {LOCK_NAME}",
        ),
        path=where.split(":", 1)[0],
    )


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # A reader that takes the first and one that takes the last of two equal keys would see two different locks.
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _Refused(f"key {key!a} appears twice")
        found[key] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise _Refused(f"the number {text[:20]!a} has no place in a lock")


def _lock_of(raw: object) -> Lock:
    if isinstance(raw, dict) and raw.get("version") not in (None, LOCK_VERSION):
        raise _Refused(
            f"version {str(raw['version'])[:20]!a} is not known here; a newer secretsmith wrote it"
        )
    top = _fields(raw, "the file", required=("version", "files", "debt", "links"))
    if type(top["version"]) is not int:
        raise _Refused("version must be 1")
    debt = top["debt"]
    if not isinstance(debt, list):
        raise _Refused("debt must be a list")
    return Lock(
        files=_entries(top["files"], "files", _entry_of),
        debt=_in_order(_debt_of(record, f"debt[{index}]") for index, record in enumerate(debt)),
        links=_entries(top["links"], "links", _link_of),
    )


def _entries(raw: object, section: str, make: Callable[[object, str], _T]) -> dict[str, _T]:
    if not isinstance(raw, dict):
        raise _Refused(f"{section} must be an object")
    return {_path(path, section): make(value, f"{section}[{path!a}]") for path, value in raw.items()}


def _fields(raw: object, where: str, *, required: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise _Refused(f"{where} must be an object")
    for name in required:
        if name not in raw:
            raise _Refused(f"{where} lacks {name}")
    if unknown := [name for name in raw if name not in required]:
        raise _Refused(f"{where} has an unknown field {unknown[0]!a}")
    return raw


def _text(raw: object, where: str, shape: re.Pattern[str] | None = None) -> str:
    # None of the shapes has room for a control character.
    if not isinstance(raw, str) or not (shape.fullmatch(raw) if shape else not _CONTROL.search(raw)):
        raise _Refused(f"{where} is not what belongs there")
    return raw


def _path(raw: object, where: str) -> str:
    path = _text(raw, f"a path in {where}")
    # A lock comes with a repository: a path that leaves it must not reach the code that opens files.
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise _Refused(f"{where} names a path outside the repository: {path!a}")
    return path


def _entry_of(raw: object, where: str) -> LockEntry:
    found = _fields(raw, where, required=("sha256", "recipients", "basis", "key_exposed"))
    recipients, exposed, basis = found["recipients"], found["key_exposed"], found["basis"]
    if not isinstance(recipients, list) or not isinstance(exposed, bool) or basis not in _BASES:
        raise _Refused(f"{where} is malformed")
    try:
        keys = _recipients(tuple(recipients))
    except TypeError:  # a list or an object among them
        keys = None
    if keys is None:
        raise _Refused(f"{where}.recipients is not what belongs there")
    digest = _text(found["sha256"], f"{where}.sha256", _DIGEST)
    return LockEntry(digest, keys, cast("Basis", basis), exposed)


# The files of one rule have the same readers: one tuple for all of them, looked at once.
@lru_cache(maxsize=256)
def _recipients(raw: tuple[object, ...]) -> tuple[str, ...] | None:
    keys = {item for item in raw if isinstance(item, str) and _FINGERPRINT.fullmatch(item)}
    return tuple(sorted(keys)) if all(item in keys for item in raw) else None


def _debt_of(raw: object, where: str) -> Debt:
    found = _fields(raw, where, required=("path", "key", "principal", "reason", "since"))
    key, reason = found["key"], found["reason"]
    if reason not in get_args(DebtReason):
        raise _Refused(f"{where}.reason is not known")
    return Debt(
        _path(found["path"], where),
        None if key is None else _text(key, f"{where}.key"),
        _text(found["principal"], f"{where}.principal"),
        cast("DebtReason", reason),
        _text(found["since"], f"{where}.since", _DATE),
    )


def _link_of(raw: object, where: str) -> Link:
    found = _fields(raw, where, required=("source", "store_digest", "by"))
    return Link(*(_text(found[name], f"{where}.{name}") for name in ("source", "store_digest", "by")))


__all__ = [
    "BY_BUILD",
    "LOCK_NAME",
    "LOCK_VERSION",
    "NO_DIGEST",
    "Basis",
    "Debt",
    "DebtReason",
    "Link",
    "Lock",
    "LockEntry",
    "dump_lock",
    "has_conflict_markers",
    "parse_lock",
]
