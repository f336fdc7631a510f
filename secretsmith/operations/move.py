"""``mv``: a new path, and with it perhaps other rules. The bytes stay, unless the move rekeys."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

from secretsmith.errors import SecretsmithError
from secretsmith.operations.carry import moving, place_document, refuse_format
from secretsmith.operations.keygroups import document_readers
from secretsmith.operations.readers import (
    describe_change,
    found_entry,
    read_sealed,
    refuse_injection,
    wanted_by,
)
from secretsmith.operations.show import open_sealed
from secretsmith.operations.write_value import prepare_write, refuse_changed, store_value
from secretsmith.policy.drift import Drift, compare
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import record


@record
class Move:
    """A planned move. ``drift`` is how the readers differ from those that the rules of ``target`` want.

    ``change`` says it in names, "" when nothing differs; ``ruled`` is whether any rule names ``target``; ``regrouped``
    whether its rule wants other key groups.
    """

    source: str
    target: str
    digest: str
    drift: Drift
    change: str
    ruled: bool
    regrouped: bool = False

    @property
    def drifts(self) -> bool:
        """Whether a rekey at the new path would change anything."""
        return bool(self.drift) or self.regrouped


@record
class Moved:
    """A move that was made. ``outcome``: "same" readers, "rekeyed", or "drifts" from the rules of the new path."""

    source: str
    target: str
    outcome: Literal["same", "rekeyed", "drifts"]
    change: str
    notes: tuple[str, ...] = ()


def plan_move(project: Project, source: str, target: str) -> Move:
    """Say what moving ``source`` to ``target`` (relative to the root, ``target`` is free) means for its readers.

    Raises:
        RefusedInput: FORMAT, the target would be read as another format; key groups of its rule that cannot be.
    """
    refuse_format(source, target)
    sealed = read_sealed(project, source)
    wanted = wanted_by(project, target)
    drift, regrouped = compare(wanted, sealed.present), False
    if sealed.sops is not None:
        try:
            readers = document_readers(project, sealed, wanted=wanted)
        except SecretsmithError as error:
            raise error.at(target) from None
        drift, regrouped = readers.drift, readers.regrouped
    change = describe_change(project, drift.add, drift.remove, drift.unknown)
    if regrouped:
        change = "; ".join(part for part in (change, "other key groups") if part)
    return Move(source, target, sealed.digest, drift, change, bool(wanted.rules), regrouped)


def move_secret(project: Project, move: Move, *, rekey: bool, accept: Sequence[str] = ()) -> Moved:
    """Move; with ``rekey`` the value is encrypted to the readers that the new path wants.

    What the lock knows and what is owed moves along.

    Raises:
        Conflict: CHANGED, the source changed or the target appeared.
        SecretsmithError: with ``rekey``, whatever keeps the value from being opened or written.
    """
    if rekey and move.drifts:
        return _move_rekeyed(project, move, accept)
    with writing(project) as session:
        refuse_changed(session.project, move.source, move.digest)
        session.transaction.stage(move.target, session.project.read(move.source), expect=None)
        if move.source not in session.lock.files:
            # Else no rule may name it at its new place, and then no rekey would find it.
            session.lock = session.lock.with_file(move.source, found_entry(session.project, move.source))
        _leave(session, move)
        session.created.append(move.target)
        session.commit()
    outcome: Literal["same", "drifts"] = "drifts" if move.drifts else "same"
    notes = (*_notes(project, move, rekeyed=False), *session.notes)
    return Moved(move.source, move.target, outcome, move.change, notes)


def _move_rekeyed(project: Project, move: Move, accept: Sequence[str]) -> Moved:
    sealed = read_sealed(project, move.source)
    refuse_injection(move.source, sealed.present, drop_unknown=False)
    prepared = prepare_write(project, move.target, accept=accept)

    def leave(session: WriteSession) -> None:
        refuse_changed(session.project, move.source, move.digest)
        entry = session.lock.files[move.target]
        _leave(session, move)
        session.lock = session.lock.with_file(move.target, entry)

    if sealed.sops is None:
        value = open_sealed(project, sealed)
        written = store_value(project, prepared, value, like=sealed, also=leave)
    else:
        make = moving(project, sealed)
        written = place_document(project, prepared, sealed, make, new_key=False, accept=accept, also=leave)
    return Moved(
        move.source,
        move.target,
        "rekeyed",
        move.change,
        (*written.notes, *_notes(project, move, rekeyed=True)),
    )


def _leave(session: WriteSession, move: Move) -> None:
    session.transaction.remove(move.source, expect=move.digest)
    session.lock = session.lock.renamed(move.source, move.target)


def _notes(project: Project, move: Move, *, rekeyed: bool) -> tuple[str, ...]:
    notes = []
    if not move.ruled and not rekeyed:
        notes.append(f"no rule names {move.target}: secretsmith grant {shlex.quote(move.target)} --to WHO")
    if any(rule.pattern == move.source for rule in project.registry.rules):
        readers = next(rule.readers for rule in project.registry.rules if rule.pattern == move.source)
        revoke = f"secretsmith revoke {shlex.quote(move.source)} --from {','.join(readers)}"
        notes.append(f"the rule of {move.source} names only the old path: {revoke}")
    return tuple(notes)


__all__ = ["Move", "Moved", "move_secret", "plan_move"]
