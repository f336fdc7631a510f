"""``secretsmith rekey``: say who gains and loses access, then encrypt the drifted files anew."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from secretsmith.cli.arguments.readers import RekeyParameters
from secretsmith.cli.places import located
from secretsmith.cli.rekeying import note_plan, note_recorded, note_rekeyed, removed_names
from secretsmith.cli.session import Session
from secretsmith.crypto.publickey import Form
from secretsmith.errors import CannotDecrypt, Code, ExitCode, RefusedInput
from secretsmith.operations.planfile import read_plan, write_plan
from secretsmith.operations.readers import names_of
from secretsmith.operations.rekey import PlannedFile, RekeyPlan, RekeyResult, apply_rekey, plan_rekey
from secretsmith.project import Project, resumed


def run(session: Session, given: RekeyParameters) -> ExitCode:
    """Plan, and unless ``--plan`` was given, apply. A plan with something to do exits 3."""
    _refuse_mixed(given)
    project = resumed(session.project())
    if given.apply is not None:
        plan = read_plan(project, session.cwd / given.apply, given.apply)
        return _carry_out(session, project, plan, given)
    form = None if given.form is None else Form(given.form)
    paths = located(session, project, given.paths)
    plan = plan_rekey(project, paths, form=form, drop_unknown=given.drop_unknown)
    if not given.plan:
        return _carry_out(session, project, plan, given)
    note_plan(session, plan)
    if given.out is not None:
        write_plan(project, plan, session.cwd / given.out)
    _show_plan(session, project, plan, given)
    return ExitCode.FINDINGS if plan or plan.unread else ExitCode.OK


def _refuse_mixed(given: RekeyParameters) -> None:
    if given.json and not given.plan:
        raise RefusedInput(Code.USAGE, "--json goes with --plan", hints=("secretsmith rekey --plan --json",))
    if given.out is not None and not given.plan:
        raise RefusedInput(
            Code.USAGE, "--out goes with --plan", hints=("secretsmith rekey --plan --out PLAN",)
        )
    if given.apply is not None and (given.plan or given.paths or given.form or given.drop_unknown):
        raise RefusedInput(
            Code.USAGE,
            "--apply does what the plan says: PATH, --plan, --form and --drop-unknown were given when it was made",
        )


def _carry_out(session: Session, project: Project, plan: RekeyPlan, given: RekeyParameters) -> ExitCode:
    note_plan(session, plan)
    if plan or plan.assumed:
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
        drop_unknown=plan.drop_unknown,
        keep_data_key=given.keep_data_key,
        progress=session.progress("rekey"),
    )
    _report(session, result)


def _show_plan(session: Session, project: Project, plan: RekeyPlan, given: RekeyParameters) -> None:
    if given.json:
        session.json({"files": [_as_json(project, file) for file in plan.files]})
        return
    for file in plan.files:
        session.line(file.path)
        for line in _changes(project, file):
            session.line(f"  {line}")
    command = f"secretsmith rekey --apply {shlex.quote(given.out)}" if given.out else "secretsmith rekey"
    session.note(f"{_files(len(plan.files))} to rekey: {command}" if plan else "nothing to do")


def _changes(project: Project, file: PlannedFile) -> Iterator[str]:
    for name in names_of(project, file.add):
        yield f"+ {name}"
    for name in removed_names(project, file):
        yield f"- {name}"
    yield f"why: {file.why}"
    if file.blocked:
        yield "blocked: no identity here opens it"


def _as_json(project: Project, file: PlannedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "add": list(names_of(project, file.add)),
        "remove": removed_names(project, file),
        "blocked": file.blocked,
        "rules": list(file.rules),
        "why": file.why,
    }


def _report(session: Session, result: RekeyResult) -> None:
    note_recorded(session, result.recorded)
    note_rekeyed(session, result.rekeyed)
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
