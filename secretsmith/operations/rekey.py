"""``rekey``: encrypt the files that drift to the readers the rules want. Plan, then apply.

Only drifted files are touched. All are staged, read back from the disk and verified before the first one is renamed, and
the renames are journaled: an interrupted run is finished by the next command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import open_value, seal_value
from secretsmith.errors import CannotDecrypt, Code, Conflict, SecretsmithError
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    names_of,
    quick_drift,
    read_sealed,
    refuse_injection,
    refuse_without_admin,
    remember_accepted,
    sealing_recipients,
    verifier,
)
from secretsmith.policy.drift import Drift, compare
from secretsmith.project import Project, WriteSession, writing


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file to rekey. ``add`` and ``remove`` are fingerprints; ``unknown`` are readers the registry never named.

    ``blocked``: no identity of whoever runs this can open it. ``rules`` are the patterns that decide; ``why`` is a sentence.
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


@dataclass(frozen=True, slots=True)
class RekeyPlan:
    """What a rekey would do; empty when nothing drifts."""

    files: tuple[PlannedFile, ...]

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


def plan_rekey(project: Project, paths: Sequence[str] = (), *, form: Form | None = None) -> RekeyPlan:
    """Say what drifts and what a rekey would do about it; needs no key and asks for no passphrase.

    ``form`` asks for another recipient form of the keys in the files, too.
    """
    plan = RekeyPlan(tuple(_planned(project, paths, form)))
    project.index.save()
    return plan


def _planned(project: Project, paths: Sequence[str], form: Form | None) -> Iterator[PlannedFile]:
    for path in managed_files(project, paths):
        if format_of(path) is not Format.AGE:
            continue  # documents of sops are judged by check and not yet written
        wanted, present = quick_drift(project, path)
        if form is None and not compare(wanted, present):
            continue
        sealed = read_sealed(project, path)
        change = sealed.drift
        if change or (form is not None and sealed.form not in (None, form)):
            yield _plan_file(project, sealed, change, form)


def _plan_file(project: Project, sealed: SealedFile, change: Drift, form: Form | None) -> PlannedFile:
    keep = tuple(sorted(set(sealed.wanted.keys) & sealed.present.keys))
    return PlannedFile(
        path=sealed.path,
        digest=sealed.digest,
        add=change.add,
        remove=change.remove,
        keep=keep,
        unknown=change.unknown,
        rules=tuple(rule.pattern for rule in sealed.wanted.rules),
        why=_why(project, sealed, change, form),
        blocked=not project.ring.may_open(sealed.data),
        form=form,
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
    progress: Callable[[int, int], None] | None = None,
) -> RekeyResult:
    """Rekey the files of ``plan``, all or none of those that can be opened.

    ``progress(done, total)`` is called after each file.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, a recipient the registry never named (unless ``drop_unknown``).
        RefusedInput: KEY_ACCEPT, a key never accepted in this clone.
        Conflict: CHANGED, a file is not the one the plan was made for.
    """
    if not plan:
        return RekeyResult((), ())
    with writing(project) as session:
        fresh = session.project
        sealed = [_still(fresh, planned) for planned in plan.files]
        for file in sealed:
            refuse_injection(file.path, file.present, drop_unknown=drop_unknown)
        keys = {key: value for file in sealed for key, value in file.wanted.keys.items()}
        accepted = accept_readers(fresh, keys, accept)
        done, blocked = _stage_all(session, plan, sealed, progress)
        if done:
            remember_accepted(fresh, accepted)
            session.commit(verifier(session))
    return RekeyResult(tuple(done), tuple(blocked))


def _still(project: Project, planned: PlannedFile) -> SealedFile:
    sealed = read_sealed(project, planned.path)
    change = sealed.drift
    if sealed.digest != planned.digest or (change.add, change.remove) != (planned.add, planned.remove):
        raise Conflict(
            Code.CHANGED,
            f"{planned.path}: changed since the plan was made",
            hints=("secretsmith rekey --plan",),
            path=planned.path,
        )
    return sealed


def _stage_all(
    session: WriteSession,
    plan: RekeyPlan,
    sealed: Sequence[SealedFile],
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Rekeyed], list[str]]:
    done: list[Rekeyed] = []
    blocked: list[str] = []
    for number, (planned, file) in enumerate(zip(plan.files, sealed, strict=True), start=1):
        try:
            _stage_one(session, planned, file)
        except CannotDecrypt as error:
            if error.code is not Code.NO_IDENTITY:
                raise error.at(file.path) from None
            blocked.append(file.path)
        except SecretsmithError as error:
            raise error.at(file.path) from None
        else:
            change = describe_change(session.project, planned.add, planned.remove, planned.unknown)
            done.append(Rekeyed(file.path, change or planned.why))
        if progress is not None:
            progress(number, len(plan.files))
    return done, blocked


def _stage_one(session: WriteSession, planned: PlannedFile, file: SealedFile) -> None:
    project, wanted = session.project, file.wanted
    refuse_without_admin(project, file.path, wanted)
    value = open_value(file.format, file.data, project.ring.for_data(file.data))
    form = planned.form or file.form or Form.NATIVE
    data = seal_value(
        file.format,
        value,
        sealing_recipients(wanted.keys, form),
        armor=is_armored(file.data),
        interaction=project.interaction,
    )
    session.stage_secret(file.path, data, wanted.keys, expect=file.digest)


__all__ = ["PlannedFile", "RekeyPlan", "RekeyResult", "Rekeyed", "apply_rekey", "plan_rekey"]
