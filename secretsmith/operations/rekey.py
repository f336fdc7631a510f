"""``rekey``: encrypt the files that drift to the readers the rules want. Plan, then apply.

Only drifted files are touched. All are staged, read back from the disk and verified before the first one is renamed, and
the renames are journaled: an interrupted run is finished by the next command. Age files are encrypted anew; of sops
documents only what has to change changes: the metadata when readers are added, every sealed text when one is removed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import open_key, open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, Conflict, SecretsmithError
from secretsmith.operations.keygroups import (
    DocumentReaders,
    document_readers,
    keys_of,
    may_open,
    refuse_left_services,
    reseal,
    service_names,
    stage_document,
)
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    names_of,
    quick_drift,
    read_sealed,
    refuse_grouped_age,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    sealing_recipients,
    verifier,
)
from secretsmith.policy.drift import Drift
from secretsmith.project import Project, WriteSession, writing

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file to rekey. ``add`` and ``remove`` are fingerprints; ``unknown`` are readers the registry never named.

    ``blocked``: no identity of whoever runs this can open it. ``rules`` are the patterns that decide; ``why`` is a sentence.
    ``readers`` are those that a document is to have, None for an age file.
    """

    path: str
    digest: str
    add: tuple[str, ...]
    remove: tuple[str, ...]
    keep: tuple[str, ...]
    unknown: tuple[str, ...]
    rules: tuple[str, ...]
    why: str
    blocked: bool
    form: Form | None
    readers: DocumentReaders | None = None


@dataclass(frozen=True, slots=True)
class RekeyPlan:
    """What a rekey would do; empty when nothing drifts.

    ``notes`` name documents whose key groups no rule describes, so that a rekey does not give them all readers;
    ``unread`` says of each file that could not be judged why: it is damaged, or not encrypted at all.
    """

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...] = ()
    unread: tuple[SecretsmithError, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """One file after the rekey, with the sentence that reports it."""

    path: str
    change: str


@dataclass(frozen=True, slots=True)
class RekeyResult:
    """``rekeyed`` were written; ``blocked`` could not be opened by anybody present and are as they were."""

    rekeyed: tuple[Rekeyed, ...]
    blocked: tuple[str, ...]


def plan_rekey(
    project: Project, paths: Sequence[str] = (), *, form: Form | None = None, drop_unknown: bool = False
) -> RekeyPlan:
    """Say what drifts and what a rekey would do about it; needs no key and asks for no passphrase.

    ``form`` asks for another recipient form of the keys in the files, too; ``drop_unknown`` for documents that are sealed
    to age keys alone, so that PGP keys and the like go. A file that cannot be judged keeps none of the others waiting.
    """
    files: list[PlannedFile] = []
    notes: list[str] = []
    unread: list[SecretsmithError] = []
    for path in managed_files(project, paths):
        try:
            files.extend(_planned(project, path, form, drop_unknown, notes))
        except SecretsmithError as error:
            unread.append(error.at(path))
    project.index.save()
    return RekeyPlan(tuple(files), tuple(notes), tuple(unread))


def _planned(
    project: Project, path: str, form: Form | None, drop_unknown: bool, notes: list[str]
) -> Iterator[PlannedFile]:
    document = format_of(path) is not Format.AGE
    # The lock says nothing of recipient forms, nor of keys that are not age's.
    asked = form is not None or (document and drop_unknown)
    judged = None if asked else quick_drift(project, path)
    if judged is not None and judged.readers is not None:
        notes.extend(kept_note(project, judged.readers))
    if judged is not None and not judged.drifts:
        return
    sealed = (judged and judged.sealed) or read_sealed(project, path)
    refuse_grouped_age(path, sealed.wanted)
    if document:
        yield from _planned_document(project, sealed, form, drop_unknown)
    elif sealed.drift or (form is not None and sealed.form not in (None, form)):
        why = _why(project, sealed, sealed.drift, form)
        blocked = not project.ring.may_open(sealed.data)
        yield _plan_file(sealed, sealed.drift, why, form, blocked=blocked)


def _planned_document(
    project: Project, sealed: SealedFile, form: Form | None, drop_unknown: bool
) -> Iterator[PlannedFile]:
    readers = _readers_of(project, sealed, form, drop_unknown)
    if not readers or sealed.sops is None:
        return
    parts = [_why(project, sealed, readers.drift, form if readers.reformed else None)]
    if readers.regrouped:
        parts.append("its key groups are not those of the rules")
    if readers.services:
        parts.append(f"nobody reads it by {service_names(readers.services)} any more")
    if readers.kept:
        parts.append("its key groups, which no rule describes, stay")
    why = "; ".join(part for part in parts if part)
    blocked = not may_open(project, sealed.sops)
    yield _plan_file(sealed, readers.drift, why, form, blocked=blocked, readers=readers)


def _readers_of(
    project: Project, sealed: SealedFile, form: Form | None, drop_unknown: bool
) -> DocumentReaders:
    try:
        return document_readers(project, sealed, form=form, drop_unknown=drop_unknown)
    except SecretsmithError as error:
        raise error.at(sealed.path) from None


def _plan_file(
    sealed: SealedFile,
    change: Drift,
    why: str,
    form: Form | None,
    *,
    blocked: bool,
    readers: DocumentReaders | None = None,
) -> PlannedFile:
    after = frozenset(sealed.wanted.keys) if readers is None else readers.keys
    return PlannedFile(
        path=sealed.path,
        digest=sealed.digest,
        add=change.add,
        remove=change.remove,
        keep=tuple(sorted(after & sealed.present.keys)),
        unknown=change.unknown,
        rules=tuple(rule.pattern for rule in sealed.wanted.rules),
        why=why,
        blocked=blocked,
        form=form,
        readers=readers,
    )


def _why(project: Project, sealed: SealedFile, change: Drift, form: Form | None) -> str:
    reasons = []
    if change.add:
        for name in names_of(project, change.add):
            because = ", ".join(sealed.wanted.why.get(name, ()))
            reasons.append(f"{name} is wanted ({because})" if because else f"{name} is wanted")
    for key in change.remove:
        uses = project.registry.key_owner(key)
        state = f"the key is {uses[0].state}" if uses and uses[0].state != "active" else "no rule names it"
        reasons.append(f"{project.name_of(key)} is not wanted ({state})")
    reasons.extend(f"{unknown} is in no registry" for unknown in change.unknown)
    if not reasons and form is not None:
        reasons.append(f"the recipients get the {form} form")
    return "; ".join(reasons)


def apply_rekey(
    project: Project,
    plan: RekeyPlan,
    *,
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
    keep_data_key: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RekeyResult:
    """Rekey the files of ``plan``, all or none of those that can be opened.

    ``keep_data_key``: a document that somebody may not read any more keeps its data key, which goes on the lock as exposed:
    with an old copy of the file he opens what is written later. ``progress(done, total)`` is called after each file.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, a recipient the registry never named (unless ``drop_unknown``).
        RefusedInput: KEY_ACCEPT, a key never accepted in this clone; UNSUPPORTED, a document that needs a new data key and
            is encrypted under key services besides age.
        Conflict: CHANGED, a file is not the one the plan was made for.
    """
    if not plan:
        return RekeyResult((), ())
    with writing(project) as session:
        fresh = session.project
        sealed = [_still(fresh, planned, drop_unknown) for planned in plan.files]
        for file in sealed:
            refuse_injection(file.path, file.present, drop_unknown=drop_unknown)
        accepted = accept_readers(fresh, _keys_after(fresh, plan, sealed), accept)
        work = _Work(session, drop_unknown, keep_data_key)
        done, blocked = _stage_all(work, plan, sealed, progress)
        if done:
            remember_accepted(fresh, accepted)
            session.commit(verifier(session))
    return RekeyResult(tuple(done), tuple(blocked))


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


def _still(project: Project, planned: PlannedFile, drop_unknown: bool) -> SealedFile:
    sealed = read_sealed(project, planned.path)
    if sealed.sops is None:
        same = (sealed.drift.add, sealed.drift.remove) == (planned.add, planned.remove)
    else:
        same = _readers_of(project, sealed, planned.form, drop_unknown) == planned.readers
    if sealed.digest != planned.digest or not same:
        raise Conflict(
            Code.CHANGED,
            f"{planned.path}: changed since the plan was made",
            hints=("secretsmith rekey --plan",),
            path=planned.path,
        )
    return sealed


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


def kept_note(project: Project, readers: DocumentReaders) -> tuple[str, ...]:
    """Return a sentence about key groups that no rule describes, if they keep a document from the readers of the rules."""
    if not readers.kept or not (readers.missing or readers.stuck):
        return ()
    said = []
    if readers.missing:
        said.append(f"{', '.join(names_of(project, readers.missing))} cannot be added")
    if readers.stuck:
        said.append(f"{', '.join(names_of(project, readers.stuck))} cannot be dropped")
    return (f"{readers.path} has key groups that no rule describes: {' and '.join(said)}",)


__all__ = [
    "PlannedFile",
    "RekeyPlan",
    "RekeyResult",
    "Rekeyed",
    "apply_rekey",
    "kept_note",
    "plan_rekey",
]
