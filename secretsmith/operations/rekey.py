"""``rekey``: encrypt the files that drift to the readers the rules want.

Only drifted files are touched. All are staged, read back from the disk and verified before the first one is renamed, and
the renames are journaled: an interrupted run is finished by the next command. Age files are encrypted anew; of sops
documents only what has to change changes: the metadata when readers are added, every sealed text when one is removed.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import CannotDecrypt, Code, Conflict, SecretsmithError
from secretsmith.operations.keygroups import (
    DocumentReaders,
    keys_of,
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
    verifier,
)
from secretsmith.operations.rekeyfiles import Job, Made, make_file, make_with_workers
from secretsmith.operations.rekeyplan import (
    PlannedFile,
    RekeyPlan,
    kept_note,
    plan_rekey,
    readers_after,
)
from secretsmith.policy.lock import LockEntry
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import record, replace


@record
class Rekeyed:
    """One file after the rekey, with the sentence that reports it."""

    path: str
    change: str


@record
class RekeyResult:
    """``rekeyed`` were written; ``blocked`` could not be opened by anybody present and are as they were.

    ``recorded`` counts files whose readers, which nothing but their number tells, are on the lock now.
    """

    rekeyed: tuple[Rekeyed, ...]
    blocked: tuple[str, ...]
    recorded: int = 0


@record
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


@record
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
    project = work.session.project
    jobs = [Job(planned, file) for planned, file in zip(plan.files, sealed, strict=True)]
    for job in jobs:
        refuse_unfit_readers(project, job.file.path, job.file.wanted)
    made_for = make_with_workers(project, jobs, keep_data_key=work.keep_data_key)
    with closing(made_for), work.session.many():
        for number, (job, given) in enumerate(zip(jobs, made_for, strict=True), start=1):
            try:
                made = given or make_file(project, job, keep_data_key=work.keep_data_key)
            except CannotDecrypt as error:
                if error.code is not Code.NO_IDENTITY:
                    raise error.at(job.file.path) from None
                blocked.append(job.file.path)
            except SecretsmithError as error:
                raise error.at(job.file.path) from None
            else:
                done.append(Rekeyed(job.file.path, _stage(work.session, job, made)))
            if progress is not None:
                progress(number, len(jobs))
    return done, blocked


def _stage(session: WriteSession, job: Job, made: Made) -> str:
    """Stage one file, its readers checked, and return what is said of it."""
    planned, file = job.planned, job.file
    change = describe_change(session.project, planned.add, planned.remove, planned.unknown)
    session.checked[file.path] = hashlib.sha256(made.data).hexdigest()
    if planned.readers is None:
        session.stage_secret(file.path, made.data, file.wanted.keys, expect=file.digest)
        return change or planned.why
    stage_document(session, file.path, made.data, planned.readers, expect=file.digest, exposed=made.exposed)
    return _document_change(planned.readers, change, planned.why, exposed=made.exposed)


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
