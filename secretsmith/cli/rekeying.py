"""Files that follow a change of readers: in the same transaction, or offered afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from secretsmith.cli.session import Session
from secretsmith.errors import CannotDecrypt, Code, Interrupted, SecretsmithError
from secretsmith.operations.changes import Changed, RekeyChoice
from secretsmith.operations.readers import names_of
from secretsmith.operations.rekey import PlannedFile, Rekeyed, RekeyPlan, apply_rekey, plan_rekey
from secretsmith.project import Project

_SHOWN = 20


class Given(Protocol):
    """Parameters of a command that changes who reads what."""

    @property
    def rekey(self) -> bool | None:
        """``--rekey``, ``--no-rekey``, or neither."""
        ...

    @property
    def accept(self) -> tuple[str, ...]:
        """What ``--accept`` gave."""
        ...


class Asking(Given, Protocol):
    """Parameters of a command that asks first."""

    @property
    def yes(self) -> bool:
        """``--yes``."""
        ...


def chosen_rekey(session: Session, given: Given) -> RekeyChoice | None:
    """Return what ``--rekey`` asks for: all that drifts, in the transaction of the change; None without it."""
    if not given.rekey:
        return None
    return RekeyChoice(accept=given.accept, progress=session.progress("rekey"))


def agreed_rekey(
    session: Session, given: Asking, name: str, question: str, *, changes: bool = True
) -> RekeyChoice | None:
    """Return the rekey that goes with what ``question`` asks about the principal ``name``; None with ``--no-rekey``.

    It is asked here, or with the plan once that is made; ``--yes`` answers it, and without a terminal nothing else does.
    ``changes`` False: the registry says so already, and only files to rekey are a reason to ask.

    Raises:
        Interrupted: the answer is no. RefusedInput: NOT_INTERACTIVE.
    """
    if changes and not given.yes and (given.rekey is False or not session.interaction.available):
        _confirm(session, question)
    if given.rekey is False:
        return None

    def approve(project: Project, plan: RekeyPlan) -> None:
        if not changes and not plan:
            return
        for line in _shown(project, plan):
            session.note(line)
        _confirm(session, f"{question} {_files(len(plan.files))} to rekey" if plan else question)

    progress = session.progress("rekey")
    return RekeyChoice(given.accept, name, None if given.yes else approve, progress)


def _confirm(session: Session, question: str) -> None:
    if not session.interaction.confirm(question, flag="--yes"):
        raise Interrupted(Code.INTERRUPTED, "nothing was changed")


def _shown(project: Project, plan: RekeyPlan) -> Iterator[str]:
    for file in plan.files[:_SHOWN]:
        words = [f"+ {name}" for name in names_of(project, file.add)]
        words += [f"- {name}" for name in removed_names(project, file)]
        yield f"{file.path}: {', '.join(words) or file.why}{' (nobody here opens it)' if file.blocked else ''}"
    if len(plan.files) > _SHOWN:
        yield f"and {_files(len(plan.files) - _SHOWN)} more"


def removed_names(project: Project, file: PlannedFile) -> list[str]:
    """Name who loses access. An old key of somebody who still reads is named by its fingerprint, not by its owner."""
    names = []
    for key in file.remove:
        uses = project.registry.key_owner(key)
        names.append(uses[0].principal if uses and uses[0].state == "active" else key)
    return sorted({*names, *file.unknown})


def report_rekey(
    session: Session,
    changed: Changed,
    rekey: bool | None,
    accept: Sequence[str] = (),
    *,
    project: Project | None = None,
) -> None:
    """Say what became of the files in the transaction of a change; if they were no part of it, :func:`offer_rekey`.

    ``project`` is the repository as it is now, if there was yet another change.

    Raises:
        CannotDecrypt: NO_IDENTITY, some files could not be opened; registry and the others are changed.
    """
    note_recorded(session, changed.recorded)
    if changed.plan is None:
        offer_rekey(session, project or changed.project, rekey, accept)
        return
    note_plan(session, changed.plan)
    note_rekeyed(session, changed.rekeyed)
    if changed.plan.left:
        count = len(changed.plan.left)
        other = "1 other file drifts" if count == 1 else f"{count} other files drift"
        session.note(f"{other}: secretsmith rekey")
    _refuse_blocked(changed.blocked)


def offer_rekey(session: Session, project: Project, rekey: bool | None, accept: Sequence[str] = ()) -> None:
    """Say what drifts now; rekey it if ``rekey`` says so, or asks on a terminal when it is None.

    Raises:
        CannotDecrypt: NO_IDENTITY, some files could not be opened; the others are rekeyed.
        SecretsmithError: as apply_rekey; the change of the registry stays.
    """
    plan = plan_rekey(project)
    note_plan(session, plan)
    if not plan:
        return
    if rekey is None and session.interaction.available:
        rekey = session.interaction.confirm(f"{_drift(plan)}; rekey now?", flag="--rekey or --no-rekey")
    if not rekey:
        session.note(f"{_drift(plan)}: secretsmith rekey")
        return
    try:
        result = apply_rekey(project, plan, accept=accept, progress=session.progress("rekey"))
    except SecretsmithError as error:
        raise error.with_hints("the registry is changed; what is missing: secretsmith rekey") from None
    note_recorded(session, result.recorded)
    note_rekeyed(session, result.rekeyed)
    _refuse_blocked(result.blocked)


def _refuse_blocked(blocked: Sequence[str]) -> None:
    if blocked:
        raise CannotDecrypt(
            Code.NO_IDENTITY,
            f"no identity here opens {', '.join(blocked)}",
            hints=("the registry is changed; let somebody who reads them run: secretsmith rekey",),
        )


def note_rekeyed(session: Session, rekeyed: Sequence[Rekeyed]) -> None:
    """Say what changed in each file, and in how many."""
    for file in rekeyed:
        session.note(f"{file.path}: {file.change}")
    if rekeyed:
        session.note(f"{_files(len(rekeyed))} rekeyed")


def note_recorded(session: Session, count: int) -> None:
    """Say of how many files it is on record now who reads them."""
    if count:
        session.note(f"recorded the readers of {_files(count)}: nothing in them names who reads them")


def note_plan(session: Session, plan: RekeyPlan) -> None:
    """Say which files a rekey leaves as they are, though perhaps they should not be."""
    for note in plan.notes:
        session.note(f"note: {note}: secretsmith check")
    for error in plan.unread:
        session.note(f"note: left as it is: {error.message}: secretsmith check")


def note_debt(session: Session, changed: Changed) -> None:
    """Say what has to get a new value because somebody who lost access knows the old one."""
    counted = [record for record in changed.owed if record.reason != "reinstalled"]
    if not counted:
        return
    paths = sorted({record.path for record in counted})
    names = ", ".join(sorted({record.principal for record in counted}))
    some = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    values = len({(record.path, record.key) for record in counted})
    count = "1 value" if values == 1 else f"{values} values"
    session.note(f"{names} could read {count}, which now should be changed: {some}")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _drift(plan: RekeyPlan) -> str:
    count = len(plan.files)
    return "1 file drifts" if count == 1 else f"{count} files drift"


__all__ = [
    "agreed_rekey",
    "chosen_rekey",
    "note_debt",
    "note_plan",
    "note_recorded",
    "note_rekeyed",
    "offer_rekey",
    "removed_names",
    "report_rekey",
]
