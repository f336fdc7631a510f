"""Storing a value: ``set``, and what ``edit``, ``cp`` and ``mv`` share with it.

A write has two halves. :func:`prepare_write` asks every question (who reads a new path, which keys to accept) without holding
the repository's lock; :func:`store_value` takes the lock, looks again, and writes. What changed in between is refused.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    read_sealed,
    refuse_injection,
    refuse_without_admin,
    remember_accepted,
    sealing_recipients,
    verifier,
    wanted_by,
)
from secretsmith.policy.drift import Drift, compare
from secretsmith.policy.edit import grant
from secretsmith.policy.lock import Debt, DebtReason
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.resolve import Wanted, unruled_readers, wanted_readers
from secretsmith.project import REGISTRY_NAME, Project, WriteSession, writing
from secretsmith.sensitive import Sensitive

_KEY_LOST: Final[frozenset[DebtReason]] = frozenset({"reinstalled", "retired", "compromised"})


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A write whose questions are answered.

    ``sealed`` is the file as it was read, None for a new one. ``to`` are the readers of a rule to write for exactly this
    path, empty when none is needed. ``wanted`` is who the value will be encrypted to, that rule included. ``accepted`` are
    the keys that were accepted for it.
    """

    path: str
    sealed: SealedFile | None
    to: tuple[str, ...]
    wanted: Wanted
    accepted: tuple[str, ...]
    drop_unknown: bool

    @property
    def digest(self) -> str | None:
        """What the file must still be when it is replaced."""
        return self.sealed.digest if self.sealed is not None else None


@dataclass(frozen=True, slots=True)
class Written:
    """One value written. ``change`` says who was added or dropped, "" when nobody; ``notes`` are for the person."""

    path: str
    created: bool
    readers: tuple[str, ...]
    change: str
    notes: tuple[str, ...] = ()


def prepare_write(
    project: Project,
    path: str,
    *,
    to: Sequence[str] = (),
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
) -> PreparedWrite:
    """Find out who reads ``path`` (relative to the root) and ask what there is to ask; writes nothing.

    ``to`` are readers for a rule with exactly this path, ``accept`` fingerprints or "all".

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, the file has a recipient that the registry never named.
        RefusedInput: KEY_ACCEPT, NO_ADMIN, or a registry that ``to`` does not fit.
    """
    if format_of(path) is not Format.AGE:
        # Now, not when the value is there: sops documents are not written by this version.
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"{path}: sops documents are not written by this version",
            hints=(f"for one value: {path}.age; the document itself: sops edit {path}",),
            path=path,
        )
    sealed = read_sealed(project, path) if os.path.lexists(project.root / path) else None
    if sealed is not None:
        refuse_injection(path, sealed.present, drop_unknown=drop_unknown)
    to = tuple(_readers_to_grant(project, path, to))
    wanted = _wanted_with(project, path, to)
    refuse_without_admin(project, path, wanted)
    accepted = accept_readers(project, wanted.keys, accept)
    return PreparedWrite(path, sealed, to, wanted, accepted, drop_unknown)


def store_value(
    project: Project,
    prepared: PreparedWrite,
    value: Sensitive,
    *,
    before: Sensitive | None = None,
    like: SealedFile | None = None,
    also: Callable[[WriteSession], None] | None = None,
) -> Written:
    """Encrypt ``value`` to the wanted readers and write it, with registry and lock, in one transaction.

    ``before`` is the present value if the caller has opened it; with it, or an identity for it, debt is paid.
    ``like`` is the file whose armor and recipient form a new one takes over. ``also`` stages more in the same transaction.

    Raises:
        Conflict: CHANGED, the file is not the one ``prepared`` was made for.
        SecretsmithError: as :func:`prepare_write`, when the registry changed in between.
    """
    path = prepared.path
    with writing(project) as session:
        refuse_changed(session.project, path, prepared.digest)
        if prepared.to:
            session.save_registry(grant(session.project.registry_text, [path], list(prepared.to)))
        fresh = session.project
        wanted = wanted_by(fresh, path)
        refuse_without_admin(fresh, path, wanted)
        # The registry may have gained a key while the user was typing.
        accepted = accept_readers(fresh, wanted.keys, prepared.accepted)
        data = _seal(path, like or prepared.sealed, wanted, value, fresh.interaction)
        session.stage_secret(path, data, tuple(wanted.keys), expect=prepared.digest)
        notes = [
            *_unruled_notes(path, wanted),
            *_pending_notes(path, wanted),
            *_pay(session, prepared, wanted, value, before),
        ]
        if also is not None:
            also(session)
        remember_accepted(fresh, accepted)
        session.commit(verifier(session))
    change = _change(prepared, wanted)
    return Written(
        path,
        prepared.sealed is None,
        wanted.names,
        describe_change(fresh, change.add, change.remove, change.unknown),
        (*notes, *session.notes),
    )


def refuse_changed(project: Project, path: str, digest: str | None) -> None:
    """Raise ``Conflict`` (CHANGED) unless ``path`` still has this digest, or, for None, still does not exist."""
    if not os.path.lexists(project.root / path):
        found = None
    else:
        found = hashlib.sha256(project.read(path)).hexdigest()
    if found != digest:
        what = "appeared" if digest is None else "was removed" if found is None else "changed"
        raise Conflict(
            Code.CHANGED,
            f"{path}: {what} since it was read; nothing was written",
            hints=(f"look at it, then try again: secretsmith show {shlex.quote(path)}",),
            path=path,
        )


def _readers_to_grant(project: Project, path: str, to: Sequence[str]) -> Sequence[str]:
    """Return the readers for a rule of exactly this path; asks when no rule names the path."""
    if to or wanted_readers(project.registry, path) is not None or not project.interaction.available:
        return to
    answer = project.interaction.ask(
        f"no rule names {path}; who may read it besides the admins (users, hosts, @groups; empty: nobody)?",
        flag="--to WHO",
    )
    return tuple(word for word in answer.replace(",", " ").split() if word)


def _wanted_with(project: Project, path: str, to: Sequence[str]) -> Wanted:
    if not to:
        return wanted_by(project, path)
    if any(mark in path for mark in "*?"):
        # There is no escape in patterns: the rule would name other paths as well.
        raise RefusedInput(
            Code.NAME,
            f"{path}: a path with * or ? cannot have a rule of its own",
            hints=("give it another name",),
            path=path,
        )
    registry = parse_registry(grant(project.registry_text, [path], list(to)), REGISTRY_NAME)
    return wanted_readers(registry, path) or unruled_readers(registry)


def _seal(
    path: str, like: SealedFile | None, wanted: Wanted, value: Sensitive, interaction: Interaction
) -> bytes:
    if like is None:
        form, armor = Form.NATIVE, wanted.armor is not False
    else:
        form, armor = like.form or Form.NATIVE, is_armored(like.data)
    try:
        recipients = sealing_recipients(wanted.keys, form)
        return seal_value(format_of(path), value, recipients, armor=armor, interaction=interaction)
    except SecretsmithError as error:
        raise error.at(path) from None


def _change(prepared: PreparedWrite, wanted: Wanted) -> Drift:
    if prepared.sealed is None:
        return Drift()
    return compare(wanted, prepared.sealed.present)


def _unruled_notes(path: str, wanted: Wanted) -> list[str]:
    if wanted.rules:
        return []
    return [
        f"no rule names {path}, so only admins can read it: secretsmith grant {shlex.quote(path)} --to WHO --rekey"
    ]


def _pending_notes(path: str, wanted: Wanted) -> list[str]:
    return [f"{name} has no key yet and cannot read {path}" for name in wanted.pending]


def _pay(
    session: WriteSession, prepared: PreparedWrite, wanted: Wanted, value: Sensitive, before: Sensitive | None
) -> list[str]:
    """Take off the lock the debt of a value that we see change (design.md §2)."""
    owed = [debt for debt in session.lock.debt if debt.path == prepared.path and debt.key is None]
    if not owed or prepared.sealed is None:
        return []
    if before is None:
        try:
            data = prepared.sealed.data
            before = open_value(prepared.sealed.format, data, session.project.ring.for_data(data))
        except CannotDecrypt:
            return [f"{prepared.path} stays on the list of values to change: you cannot open the old value"]
    if before == value:
        return [f"{prepared.path} stays on the list of values to change: the value is the same"]
    paid = {debt for debt in owed if _is_paid(debt, wanted)}
    session.lock = session.lock.without_debt(lambda debt: debt in paid)
    return [
        f"changed since {debt.principal} lost access ({debt.reason}, {debt.since})"
        for debt in owed
        if debt in paid
    ]


def _is_paid(debt: Debt, wanted: Wanted) -> bool:
    # A host that reads again does so with a new key: what was lost is the old one, which never is wanted.
    return debt.reason in _KEY_LOST or debt.principal not in wanted.names


__all__ = ["PreparedWrite", "Written", "prepare_write", "refuse_changed", "store_value"]
