"""``sync``: fetch what changed and encrypt it anew: questions first, then one fetch at a time, then one transaction."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.operations.changes import lost_values
from secretsmith.operations.linking.approval import Pair, require_approval, unapproved
from secretsmith.operations.linking.plan import Linked, SyncPlan
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    read_sealed,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    verifier,
    wanted_by,
)
from secretsmith.operations.settle import settle_value
from secretsmith.operations.write_value import (
    Written,
    reader_notes,
    refuse_changed,
    refuse_unwritable,
    seal_file,
)
from secretsmith.plugin.api import Fetched
from secretsmith.policy.drift import Drift, compare
from secretsmith.policy.lock import Debt, DebtReason, Link
from secretsmith.policy.resolve import Wanted
from secretsmith.project import WriteSession, writing
from secretsmith.record import record
from secretsmith.store.approved import ApprovedSources


@record
class Failure:
    """A secret that could not be fetched and is as it was."""

    item: Linked
    error: SecretsmithError


@record
class Synced:
    """What was done: ``written`` anew, ``removed`` with their links, ``unlinked`` and kept; what ``failed`` is as it was.

    ``owed`` are the debt records that came with it, ``notes`` are for the person.
    """

    written: tuple[Written, ...] = ()
    removed: tuple[str, ...] = ()
    unlinked: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    owed: tuple[Debt, ...] = ()
    notes: tuple[str, ...] = ()


@record
class _Ready:
    """A secret whose questions are answered: the file as it is (None: not there), and who will read it."""

    item: Linked
    sealed: SealedFile | None
    wanted: Wanted


def unapproved_sources(plan: SyncPlan) -> dict[str, tuple[str, ...]]:
    """Return the references that ``plan`` fetches, and the names of those who would read them without an approval here."""
    pairs = [(item.source, wanted_by(plan.after, item.path).keys) for item in plan.items if item.fetched]
    if not pairs:
        return {}
    project = plan.project
    found = unapproved(ApprovedSources.load(project.environ, project.root), pairs)
    return {ref: tuple(sorted({plan.after.name_of(key) for key in keys})) for ref, keys in found.items()}


def apply_sync(
    plan: SyncPlan,
    *,
    approve: Sequence[str] = (),
    accept: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Synced:
    """Do what ``plan`` says. What cannot be fetched stays as it is and holds nothing else up.

    ``approve`` is what ``--approve`` gave, ``accept`` what ``--accept`` gave. ``progress(done, total)`` is called after each fetch.

    Raises:
        IntegrityFailure: SOURCE_APPROVAL; RECIPIENT_EXTRA, a file has a recipient that the registry never named.
        RefusedInput: KEY_ACCEPT, NO_ADMIN.
        Conflict: CHANGED, registry, links or a file are not those of the plan.
        SecretsmithError: what the source says, if nothing at all could be fetched and there is nothing else to do.
    """
    if not plan:
        return Synced()
    ready = [_ready(plan, item) for item in plan.items if item.fetched]
    pairs: list[Pair] = [(one.item.source, one.wanted.keys) for one in ready]
    approved = require_approval(plan.after, pairs, approve)
    keys = {key: public for one in ready for key, public in one.wanted.keys.items()}
    accepted = accept_readers(plan.after, keys, accept)
    approved.save()
    fetched, failed = _fetch(plan, ready, progress)
    if failed and not fetched and not any(item.to_do and not item.fetched for item in plan.items):
        raise failed[0].error.at(failed[0].item.path)
    with writing(plan.project) as session:
        done = _stage(session, plan, fetched, failed)
        remember_accepted(session.project, accepted)
        session.commit(verifier(session))
        session.project.index.learn(session.project.root, session.sealed)
    return Synced(
        done.written, done.removed, done.unlinked, tuple(failed), done.owed, (*done.notes, *session.notes)
    )


def _ready(plan: SyncPlan, item: Linked) -> _Ready:
    after, path = plan.after, item.path
    refuse_unwritable(after, path)
    sealed = read_sealed(after, path) if os.path.lexists(after.root / path) else None
    if sealed is not None:
        refuse_injection(path, sealed.present, drop_unknown=False)
    wanted = wanted_by(after, path)
    refuse_unfit_readers(after, path, wanted)
    return _Ready(item, sealed, wanted)


def _fetch(
    plan: SyncPlan, ready: Sequence[_Ready], progress: Callable[[int, int], None] | None
) -> tuple[list[tuple[_Ready, Fetched]], list[Failure]]:
    """Fetch one after the other: agents that hold keys do one thing at a time anyway."""
    fetched: list[tuple[_Ready, Fetched]] = []
    failed: list[Failure] = []
    for number, one in enumerate(ready, start=1):
        try:
            fetched.append((one, plan.sources.fetch(one.item.source)))
        except SecretsmithError as error:
            if error.code is Code.INTERRUPTED:
                raise
            failed.append(Failure(one.item, error))
        if progress is not None:
            progress(number, len(ready))
    return fetched, failed


def _stage(
    session: WriteSession,
    plan: SyncPlan,
    fetched: Sequence[tuple[_Ready, Fetched]],
    failed: Sequence[Failure],
) -> Synced:
    before = session.project
    _refuse_moved(session, plan)
    known = {*session.lock.debt}
    ended = {item.path: item.state for item in plan.items if item.state in ("undeclared", "unsourced")}
    if plan.regranted:
        # Nobody would take the rule of a file that never came to be away again.
        session.save_registry(
            plan.registry_text({one.item.path for one in failed if one.item.state == "new"})
        )
        changes = plan.grants.changes if plan.grants is not None else ()
        losing: dict[str, DebtReason] = {name: "revoked" for change in changes for name in change.remove}
        records = lost_values(before, session.project, losing)
        # Of a file that goes, nothing is left here to change, as after `rm`.
        session.lock = session.lock.with_debt(record for record in records if record.path not in ended)
    results = [_write(session, one, value) for one, value in fetched]
    removed = [path for path, state in ended.items() if state == "undeclared"]
    for path in removed:
        _remove(session, path)
    unlinked = [path for path, state in ended.items() if state == "unsourced"]
    for path in unlinked:
        session.lock = session.lock.without_link(path)
    owed = tuple(record for record in session.lock.debt if record not in known)
    gone = {record.path for record in session.lock.debt} & {*removed}
    notes = tuple(f"the value of {path} is still to be changed at its source" for path in sorted(gone))
    return Synced(tuple(results), tuple(removed), tuple(unlinked), owed=owed, notes=notes)


def _refuse_moved(session: WriteSession, plan: SyncPlan) -> None:
    """Stop when somebody changed registry or links since the questions were asked: the answers were about something else."""
    same_links = session.lock.links == plan.project.lock.links
    if not same_links or session.project.registry_text != plan.project.registry_text:
        raise Conflict(
            Code.CHANGED,
            "registry or links changed meanwhile; nothing was written",
            hints=("secretsmith sync, once more",),
        )


def _write(session: WriteSession, one: _Ready, fetched: Fetched) -> Written:
    project, path, sealed, wanted = session.project, one.item.path, one.sealed, one.wanted
    digest = sealed.digest if sealed is not None else None
    refuse_changed(project, path, digest)
    data = seal_file(path, sealed, wanted, fetched.value, project.interaction)
    session.stage_secret(path, data, tuple(wanted.keys), expect=digest)
    link = Link(one.item.source, fetched.digest or "", one.item.by)
    session.lock = session.lock.with_link(path, link)
    notes = (*reader_notes(path, wanted), *settle_value(session, sealed, wanted, fetched.value, None))
    change = Drift() if sealed is None else compare(wanted, sealed.present)
    said = describe_change(project, change.add, change.remove, change.unknown)
    return Written(path, sealed is None, wanted.names, said, notes)


def _remove(session: WriteSession, path: str) -> None:
    try:
        digest = hashlib.sha256(session.project.read(path)).hexdigest()
    except SecretsmithError as error:
        if os.path.lexists(session.project.root / path):
            raise RefusedInput(error.code, error.message, hints=error.hints, path=path) from None
        session.lock = session.lock.without_file(path)
        return
    session.remove_secret(path, expect=digest)


__all__ = ["Failure", "Synced", "apply_sync", "unapproved_sources"]
