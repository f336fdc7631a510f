"""``secretsmith rekey``: say who gains and loses access, then encrypt the drifted files anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from secretsmith.cli.arguments.readers import RekeyParameters
from secretsmith.cli.places import located
from secretsmith.cli.rekeying import note_plan
from secretsmith.cli.session import Session
from secretsmith.crypto.publickey import Form
from secretsmith.errors import CannotDecrypt, Code, ExitCode, RefusedInput
from secretsmith.operations.readers import names_of
from secretsmith.operations.rekey import PlannedFile, RekeyPlan, RekeyResult, apply_rekey, plan_rekey
from secretsmith.project import Project


def run(session: Session, given: RekeyParameters) -> ExitCode:
    """Plan, and unless ``--plan`` was given, apply. A plan with something to do exits 3."""
    if given.json and not given.plan:
        raise RefusedInput(Code.USAGE, "--json goes with --plan", hints=("secretsmith rekey --plan --json",))
    project = session.project()
    form = None if given.form is None else Form(given.form)
    paths = located(session, project, given.paths)
    plan = plan_rekey(project, paths, form=form, drop_unknown=given.drop_unknown)
    note_plan(session, plan)
    if given.plan:
        _show_plan(session, project, plan, as_json=given.json)
        return ExitCode.FINDINGS if plan or plan.unread else ExitCode.OK
    if plan:
        _apply(session, project, plan, given)
    elif not plan.unread:
        session.note("nothing to do")
    if plan.unread:
        raise plan.unread[0]  # last, so that the others have their new readers
    return ExitCode.OK


def _apply(session: Session, project: Project, plan: RekeyPlan, given: RekeyParameters) -> None:
    result = apply_rekey(
        project,
        plan,
        accept=given.accept,
        drop_unknown=given.drop_unknown,
        keep_data_key=given.keep_data_key,
        progress=session.progress("rekey"),
    )
    _report(session, result)


def _show_plan(session: Session, project: Project, plan: RekeyPlan, *, as_json: bool) -> None:
    if as_json:
        session.json({"files": [_as_json(project, file) for file in plan.files]})
        return
    for file in plan.files:
        session.line(file.path)
        for line in _changes(project, file):
            session.line(f"  {line}")
    session.note(f"{_files(len(plan.files))} to rekey: secretsmith rekey" if plan else "nothing to do")


def _changes(project: Project, file: PlannedFile) -> Iterator[str]:
    for name in names_of(project, file.add):
        yield f"+ {name}"
    for name in _removed(project, file):
        yield f"- {name}"
    yield f"why: {file.why}"
    if file.blocked:
        yield "blocked: no identity here opens it"


def _as_json(project: Project, file: PlannedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "add": list(names_of(project, file.add)),
        "remove": _removed(project, file),
        "blocked": file.blocked,
        "rules": list(file.rules),
        "why": file.why,
    }


def _removed(project: Project, file: PlannedFile) -> list[str]:
    """Name who loses access. An old key of somebody who still reads is named by its fingerprint, not by its owner."""
    names = []
    for key in file.remove:
        uses = project.registry.key_owner(key)
        names.append(uses[0].principal if uses and uses[0].state == "active" else key)
    return sorted({*names, *file.unknown})


def _report(session: Session, result: RekeyResult) -> None:
    for file in result.rekeyed:
        session.note(f"{file.path}: {file.change}")
    if result.rekeyed:
        session.note(f"{_files(len(result.rekeyed))} rekeyed")
    if result.blocked:
        raise CannotDecrypt(
            Code.NO_IDENTITY,
            f"no identity here opens {', '.join(result.blocked)}",
            hints=(
                "secretsmith identity list shows where keys were looked for",
                "let somebody who reads them run it",
            ),
        )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


__all__ = ["run"]
