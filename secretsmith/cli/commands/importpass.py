"""``secretsmith import pass``, ``import passage``, ``import gopass``: values copied from a password store."""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.cli.arguments.passstores import (
    ImportGopassParameters,
    ImportPassageParameters,
    ImportPassParameters,
)
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.importpass import apply_import
from secretsmith.operations.importplan import Copy, plan_import
from secretsmith.project import resumed
from secretsmith.record import as_dict


def from_pass(session: Session, given: ImportPassParameters) -> ExitCode:
    """Copy from pass."""
    return _run(session, given, "pass")


def from_passage(session: Session, given: ImportPassageParameters) -> ExitCode:
    """Copy from passage."""
    return _run(session, given, "passage")


def from_gopass(session: Session, given: ImportGopassParameters) -> ExitCode:
    """Copy from gopass."""
    return _run(session, given, "gopass")


def _run(session: Session, given: ImportPassParameters, scheme: str) -> ExitCode:
    _refuse_mixed(given)
    project = resumed(session.project())
    copies = plan_import(project, scheme, given.subtree, maps=given.map, select=given.select, cwd=session.cwd)
    if given.plan:
        return _show(session, given, copies)
    done = apply_import(
        project,
        copies,
        to=given.to,
        accept=given.accept,
        force=given.force,
        progress=session.progress("fetch"),
    )
    for written in done:
        report_written(session, written)
    is_part = given.select is None and any("#" not in copy.source for copy in copies)
    if is_part and not all(written.unchanged for written in done):
        session.note(f"note: of {scheme} entries the first line was taken; all bytes: --select '*'")
    return ExitCode.OK


def _refuse_mixed(given: ImportPassParameters) -> None:
    if given.json and not given.plan:
        raise RefusedInput(Code.USAGE, "--json goes with --plan", hints=("add --plan",))
    if given.plan and (given.to or given.accept or given.force):
        raise RefusedInput(Code.USAGE, "--plan changes nothing: --to, --accept and --force do not go with it")


def _show(session: Session, given: ImportPassParameters, copies: Sequence[Copy]) -> ExitCode:
    if given.json:
        session.json([as_dict(copy) for copy in copies])
        return ExitCode.OK
    rows = [(copy.source, copy.path, "exists" if copy.exists else "new") for copy in copies]
    session.table(("SOURCE", "SECRET", "STATE"), rows)
    return ExitCode.OK


__all__ = ["from_gopass", "from_pass", "from_passage"]
