"""``rekey``: encrypt the files that drift to the readers the rules want.

Only drifted files are touched. All are staged, read back from the disk and verified before the first one is renamed, and
the renames are journaled: an interrupted run is finished by the next command. Age files are encrypted anew; of sops
documents only what has to change changes: the metadata when readers are added, every sealed text when one is removed.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.seal import open_key, open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, Conflict, SecretsmithError
from secretsmith.operations.keygroups import (
    DocumentReaders,
    keys_of,
    refuse_left_services,
    reseal,
    service_names,
    stage_document,
)
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    read_sealed,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    sealing_recipients,
    verifier,
)
from secretsmith.operations.rekeyplan import (
    PlannedFile,
    RekeyPlan,
    kept_note,
    plan_rekey,
    readers_after,
)
from secretsmith.policy.lock import LockEntry
from secretsmith.project import Project, WriteSession, writing

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """One file after the rekey, with the sentence that reports it."""

    path: str
    change: str


@dataclass(frozen=True, slots=True)
class RekeyResult:
    """``rekeyed`` were written; ``blocked`` could not be opened by anybody present and are as they were.

    ``recorded`` counts files whose readers, which nothing but their number tells, are on the lock now.
    """

    rekeyed: tuple[Rekeyed, ...]
    blocked: tuple[str, ...]
    recorded: int = 0


@dataclass(frozen=True, slots=True)
class StagedRekey:
    """A rekey that waits for the commit of its session. ``accepted`` are keys to remember as accepted before that."""

    rekeyed: tuple[Rekeyed, ...]
    blocked: tuple[str, ...]
    accepted: tuple[str, ...]


def apply_rekey(
    project: Project,
    plan: RekeyPlan,
    *,
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
    keep_data_key: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RekeyResult:
    """Rekey the files of ``plan``, all or none of those that can be opened, and record the readers that are only assumed.

    ``keep_data_key``: a document that somebody may not read any more keeps its data key, which goes on the lock as exposed:
    with an old copy of the file he opens what is written later. ``progress(done, total)`` is called after each file.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, a recipient the registry never named (unless ``drop_unknown``).
        RefusedInput: KEY_ACCEPT, a key never accepted in this clone; UNSUPPORTED, a document that needs a new data key and
            is encrypted under key services besides age.
        Conflict: CHANGED, a file is not the one the plan was made for.
    """
    if not plan and not plan.assumed:
        return RekeyResult((), ())
    with writing(project) as session:
        plan = _fitting(session, plan, drop_unknown)
        staged = stage_rekey(
            session,
            plan,
            accept=accept,
            drop_unknown=drop_unknown,
            keep_data_key=keep_data_key,
            progress=progress,
        )
        recorded = record_assumed(session, plan.assumed)
        remember_accepted(session.project, staged.accepted)
        if staged.rekeyed or recorded:
            session.commit(verifier(session))
            finish_rekey(session, staged)
    return RekeyResult(staged.rekeyed, staged.blocked, recorded)


def stage_rekey(
    session: WriteSession,
    plan: RekeyPlan,
    *,
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
    keep_data_key: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> StagedRekey:
    """Stage the rekey of the files of ``plan``, which was made for this session's registry and lock.

    Whoever called remembers the accepted keys, commits with :func:`verifier` (the transaction refuses files that changed since
    the plan) and then calls :func:`finish_rekey`. Raises as :func:`apply_rekey`; then nothing is to be committed.
    """
    project = session.project
    sealed = [planned.sealed or read_sealed(project, planned.path) for planned in plan.files]
    for file in sealed:
        refuse_injection(file.path, file.present, drop_unknown=drop_unknown)
    accepted = accept_readers(project, _keys_after(project, plan, sealed), accept)
    work = _Work(session, drop_unknown, keep_data_key)
    done, blocked = _stage_all(work, plan, sealed, progress)
    return StagedRekey(tuple(done), tuple(blocked), accepted if done else ())


def finish_rekey(session: WriteSession, staged: StagedRekey) -> None:
    """After the commit: remember the new files, which the next command then need not read."""
    if staged.rekeyed:
        session.project.index.learn(session.project.root, session.sealed)


def record_assumed(session: WriteSession, entries: Sequence[tuple[str, LockEntry]]) -> int:
    """Put ``entries`` on the lock, of files that are still the same; returns how many."""
    fitting = {
        path: entry
        for path, entry in entries
        if hashlib.sha256(session.project.read(path)).hexdigest() == entry.sha256
    }
    session.lock = session.lock.with_files(fitting)
    return len(fitting)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all files of one run."""

    session: WriteSession
    drop_unknown: bool
    keep_data_key: bool


def _keys_after(project: Project, plan: RekeyPlan, sealed: Sequence[SealedFile]) -> Mapping[str, PublicKey]:
    """Return all keys that will read what is written."""
    found: dict[str, PublicKey] = {}
    for planned, file in zip(plan.files, sealed, strict=True):
        found |= file.wanted.keys if planned.readers is None else keys_of(project, planned.readers)
    return found


def _fitting(session: WriteSession, plan: RekeyPlan, drop_unknown: bool) -> RekeyPlan:
    """Return the plan for the repository as it is now, if that makes no difference; else Conflict CHANGED.

    What was read for the plan is good while registry and lock say the same; that the files are the same, the transaction
    sees before it replaces them.
    """
    project = session.project
    same = (project.registry_text, drop_unknown) == (plan.registry_text, plan.drop_unknown)
    files = [
        planned
        if same and planned.sealed is not None and session.lock.files.get(planned.path) == planned.entry
        else _still(project, planned, drop_unknown)
        for planned in plan.files
    ]
    return replace(plan, files=tuple(files), assumed=plan.assumed if same else ())


def _still(project: Project, planned: PlannedFile, drop_unknown: bool) -> PlannedFile:
    sealed = read_sealed(project, planned.path)
    if sealed.sops is None:
        same = (sealed.drift.add, sealed.drift.remove) == (planned.add, planned.remove)
    else:
        same = readers_after(project, sealed, planned.form, drop_unknown) == planned.readers
    if sealed.digest != planned.digest or not same:
        raise Conflict(
            Code.CHANGED,
            f"{planned.path}: changed since the plan was made",
            hints=("secretsmith rekey --plan",),
            path=planned.path,
        )
    return replace(planned, sealed=sealed)


def _stage_all(
    work: _Work,
    plan: RekeyPlan,
    sealed: Sequence[SealedFile],
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Rekeyed], list[str]]:
    done: list[Rekeyed] = []
    blocked: list[str] = []
    for number, (planned, file) in enumerate(zip(plan.files, sealed, strict=True), start=1):
        try:
            refuse_unfit_readers(work.session.project, file.path, file.wanted)
            change = _stage_one(work, planned, file)
        except CannotDecrypt as error:
            if error.code is not Code.NO_IDENTITY:
                raise error.at(file.path) from None
            blocked.append(file.path)
        except SecretsmithError as error:
            raise error.at(file.path) from None
        else:
            done.append(Rekeyed(file.path, change))
        if progress is not None:
            progress(number, len(plan.files))
    return done, blocked


def _stage_one(work: _Work, planned: PlannedFile, file: SealedFile) -> str:
    """Stage one file and return what is said of it."""
    project = work.session.project
    change = describe_change(project, planned.add, planned.remove, planned.unknown)
    if file.sops is not None and planned.readers is not None:
        exposed = _stage_document(work, planned.readers, file, file.sops)
        return _document_change(planned.readers, change, planned.why, exposed=exposed)
    value = open_value(file.format, file.data, project.ring.for_data(file.data))
    form = planned.form or file.form or Form.NATIVE
    data = seal_value(
        file.format,
        value,
        sealing_recipients(file.wanted.keys, form),
        armor=is_armored(file.data),
        interaction=project.interaction,
    )
    work.session.stage_secret(file.path, data, file.wanted.keys, expect=file.digest)
    return change or planned.why


def _stage_document(work: _Work, readers: DocumentReaders, file: SealedFile, sops: SopsFile) -> bool:
    project = work.session.project
    if readers.needs_new_key and not work.keep_data_key:
        refuse_left_services(readers)  # before anybody is asked for a passphrase
    recovered = open_key(sops, project.ring.for_data, open_pgp=project.open_pgp)
    data, exposed = reseal(
        file.format,
        file.data,
        recovered,
        readers,
        file=sops,
        keep_data_key=work.keep_data_key,
        interaction=project.interaction,
    )
    stage_document(work.session, file.path, data, readers, expect=file.digest, exposed=exposed)
    return exposed


def _document_change(readers: DocumentReaders, change: str, why: str, *, exposed: bool) -> str:
    parts = [change]
    if readers.regrouped:
        parts.append("key groups as the rules say")
    if readers.services:
        parts.append(f"not under {service_names(readers.services)} any more")
    parts = [part for part in parts if part] or [why]
    if exposed:
        parts.append(f"its data key was kept: secretsmith rotate {shlex.quote(readers.path)}")
    if readers.kept:
        parts.append("its key groups, which no rule describes, stay")
    return "; ".join(parts)


__all__ = [
    "PlannedFile",
    "RekeyPlan",
    "RekeyResult",
    "Rekeyed",
    "StagedRekey",
    "apply_rekey",
    "finish_rekey",
    "kept_note",
    "plan_rekey",
    "record_assumed",
    "stage_rekey",
]
