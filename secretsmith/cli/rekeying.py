"""After a change of readers: how many files drift, and the offer to rekey them."""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.cli.session import Session
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.operations.changes import Changed
from secretsmith.operations.rekey import RekeyPlan, apply_rekey, plan_rekey
from secretsmith.project import Project


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
    for file in result.rekeyed:
        session.note(f"{file.path}: {file.change}")
    if result.blocked:
        raise CannotDecrypt(
            Code.NO_IDENTITY,
            f"no identity here opens {', '.join(result.blocked)}",
            hints=("the registry is changed; let somebody who reads them run: secretsmith rekey",),
        )


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
    count = "1 value" if len(paths) == 1 else f"{len(paths)} values"
    session.note(f"{names} could read {count}, which now should be changed: {some}")


def _drift(plan: RekeyPlan) -> str:
    count = len(plan.files)
    return "1 file drifts" if count == 1 else f"{count} files drift"


__all__ = ["note_debt", "note_plan", "offer_rekey"]
