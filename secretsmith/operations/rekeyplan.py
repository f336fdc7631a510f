"""What a rekey would do: the files that drift, who is added and removed, why, and whether anybody here can.

Planning needs no key and asks for nothing. A plan holds what it read, so that whoever applies it parses no file twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format, format_of
from secretsmith.errors import SecretsmithError
from secretsmith.operations.keygroups import DocumentReaders, document_readers, may_open, service_names
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import (
    SealedFile,
    names_of,
    quick_drift,
    read_sealed,
    refuse_grouped_age,
)
from secretsmith.policy.drift import Drift
from secretsmith.policy.lock import LockEntry
from secretsmith.project import Project
from secretsmith.record import field, record, replace


@record
class PlannedFile:
    """One file to rekey. ``add`` and ``remove`` are fingerprints; ``unknown`` are readers the registry never named.

    ``blocked``: no identity of whoever runs this can open it. ``rules`` are the patterns that decide; ``why`` is a sentence.
    ``readers`` are those that a document is to have, None for an age file. ``sealed`` is the file as it was read, and
    ``entry`` what the lock had of it.
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
    sealed: SealedFile | None = field(default=None, repr=False, compare=False)
    entry: LockEntry | None = field(default=None, repr=False, compare=False)


@record
class RekeyPlan:
    """What a rekey would do; empty when nothing drifts.

    ``notes`` name documents whose key groups no rule describes, so that a rekey does not give them all readers;
    ``unread`` says of each file that could not be judged why: it is damaged, or not encrypted at all. ``assumed`` are lock
    entries for files that do not drift, as far as can be assumed: recorded, they still say so when the rules have changed.
    ``left`` are files that drift and that the plan leaves alone. ``registry_text`` is the registry it was made for,
    ``form`` and ``drop_unknown`` are what was asked for.
    """

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...] = ()
    unread: tuple[SecretsmithError, ...] = ()
    assumed: tuple[tuple[str, LockEntry], ...] = ()
    left: tuple[str, ...] = ()
    registry_text: str = field(default="", repr=False)
    form: Form | None = None
    drop_unknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.files)


def plan_rekey(
    project: Project, paths: Sequence[str] = (), *, form: Form | None = None, drop_unknown: bool = False
) -> RekeyPlan:
    """Say what drifts and what a rekey would do about it; needs no key and asks for no passphrase.

    ``form`` asks for another recipient form of the keys in the files, too; ``drop_unknown`` for documents that are sealed
    to age keys alone, so that PGP keys and the like go. A file that cannot be judged keeps none of the others waiting.
    """
    files: list[PlannedFile] = []
    aside = _Aside()
    unread: list[SecretsmithError] = []
    for path in managed_files(project, paths):
        try:
            files.extend(_planned(project, path, form, drop_unknown, aside))
        except SecretsmithError as error:
            unread.append(error.at(path))
    project.index.save()
    return RekeyPlan(
        tuple(files),
        tuple(aside.notes),
        tuple(unread),
        tuple(aside.assumed),
        registry_text=project.registry_text,
        form=form,
        drop_unknown=drop_unknown,
    )


def concerning(plan: RekeyPlan, project: Project, name: str) -> RekeyPlan:
    """Return the part of ``plan`` about files where a key of the principal ``name`` is to be added or removed."""

    def concerns(file: PlannedFile) -> bool:
        return any(
            use.principal == name
            for key in (*file.add, *file.remove)
            for use in project.registry.key_owner(key)
        )

    files = tuple(file for file in plan.files if concerns(file))
    kept = {file.path for file in files}
    return replace(plan, files=files, left=tuple(file.path for file in plan.files if file.path not in kept))


def assumed_entry(project: Project, sealed: SealedFile) -> LockEntry | None:
    """Return a lock entry for the readers of an age file that nothing but their number tells; None when it has no need of one."""
    present = sealed.present
    if sealed.sops is not None or present.basis != "assumed" or present.unknown:
        return None
    if project.lock.entry_for(sealed.path, sealed.digest) is not None:
        return None
    before = project.lock.files.get(sealed.path)
    exposed = before is not None and before.key_exposed
    return LockEntry(sealed.digest, tuple(sorted(present.keys)), "assumed", exposed)


@record(frozen=False)
class _Aside:
    """What planning finds besides files to rekey."""

    notes: list[str] = field(default_factory=list)
    assumed: list[tuple[str, LockEntry]] = field(default_factory=list)

    def assume(self, project: Project, sealed: SealedFile | None) -> None:
        entry = assumed_entry(project, sealed) if sealed is not None else None
        if sealed is not None and entry is not None:
            self.assumed.append((sealed.path, entry))


def _planned(
    project: Project, path: str, form: Form | None, drop_unknown: bool, aside: _Aside
) -> Iterator[PlannedFile]:
    document = format_of(path) is not Format.AGE
    # The lock says nothing of recipient forms, nor of keys that are not age's.
    asked = form is not None or (document and drop_unknown)
    judged = None if asked else quick_drift(project, path)
    if judged is not None and judged.readers is not None:
        aside.notes.extend(kept_note(project, judged.readers))
    if judged is not None and not judged.drifts:
        aside.assume(project, judged.sealed)
        return
    sealed = (judged and judged.sealed) or read_sealed(project, path)
    refuse_grouped_age(path, sealed.wanted)
    if document:
        yield from _planned_document(project, sealed, form, drop_unknown)
    elif sealed.drift or (form is not None and sealed.form not in (None, form)):
        why = _why(project, sealed, sealed.drift, form)
        blocked = sealed.header is not None and not project.ring.may_open_header(sealed.header)
        yield _plan_file(project, sealed, sealed.drift, why, form, blocked=blocked)
    else:
        aside.assume(project, sealed)


def _planned_document(
    project: Project, sealed: SealedFile, form: Form | None, drop_unknown: bool
) -> Iterator[PlannedFile]:
    readers = readers_after(project, sealed, form, drop_unknown)
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
    yield _plan_file(project, sealed, readers.drift, why, form, blocked=blocked, readers=readers)


def readers_after(
    project: Project, sealed: SealedFile, form: Form | None, drop_unknown: bool
) -> DocumentReaders:
    """Return who is to read a document after a rekey. Raises as :func:`document_readers`, naming the file."""
    try:
        return document_readers(project, sealed, form=form, drop_unknown=drop_unknown)
    except SecretsmithError as error:
        raise error.at(sealed.path) from None


def _plan_file(
    project: Project,
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
        sealed=sealed,
        entry=project.lock.files.get(sealed.path),
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
    "assumed_entry",
    "concerning",
    "kept_note",
    "plan_rekey",
    "readers_after",
]
