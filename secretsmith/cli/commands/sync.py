"""``secretsmith sync``: fetch what changed at its source, and follow what hosts declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from secretsmith.cli.arguments.linking import SyncParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, Interrupted, RefusedInput
from secretsmith.operations.linking.plan import Linked, SyncPlan, plan_sync
from secretsmith.operations.linking.sync import Synced, apply_sync, unapproved_sources
from secretsmith.project import resumed

_WORDS: Final = {
    "fresh": "fresh",
    "new": "new",
    "missing": "its file is gone",
    "redirected": "declared with another source",
    "changed": "changed at its source",
    "readers": "its readers changed",
    "unknown": "cannot judge",
    "undeclared": "declared no more: to be removed",
    "unsourced": "declared without a source now: to be unlinked",
}


def run(session: Session, given: SyncParameters) -> ExitCode:
    """Plan, and unless ``--plan`` was given, do it. Exits 3 for a plan with something to do, and when something was left."""
    _refuse_mixed(given)
    project = resumed(session.project())
    plan = plan_sync(project, given.paths, cwd=session.cwd, build=given.build, prune=given.prune)
    if given.plan:
        return _show(session, plan, given)
    doubts = plan.grants.doubts if plan.grants is not None else ()
    if doubts and not given.yes:
        _confirm(session, doubts)
    synced = apply_sync(plan, approve=given.approve, accept=given.accept, progress=session.progress("fetch"))
    _report(session, synced)
    _note(session, plan)
    return ExitCode.FINDINGS if synced.failed or plan.left else ExitCode.OK


def _refuse_mixed(given: SyncParameters) -> None:
    if given.json and not given.plan:
        raise RefusedInput(Code.USAGE, "--json goes with --plan", hints=("secretsmith sync --plan --json",))
    if given.plan and (given.approve or given.accept or given.yes):
        raise RefusedInput(
            Code.USAGE, "--plan changes nothing: --approve, --accept and --yes do not go with it"
        )
    if given.yes and not (given.build or given.prune):
        raise RefusedInput(Code.USAGE, "--yes goes with --build or --prune")


def _confirm(session: Session, doubts: tuple[str, ...]) -> None:
    """Ask before hosts lose what a build gave them and perhaps still declares, where that is not seen here."""
    question = f"{'; '.join(doubts)}; take away what the build let them read?"
    if not session.interaction.confirm(question, flag="--yes"):
        raise Interrupted(Code.INTERRUPTED, "nothing was changed")


def _show(session: Session, plan: SyncPlan, given: SyncParameters) -> ExitCode:
    refused = unapproved_sources(plan)
    if given.json:
        session.json(
            {
                "secrets": [_as_json(item, refused) for item in plan.items],
                "rules": [
                    {"path": change.path, "add": list(change.add), "remove": list(change.remove)}
                    for change in (plan.grants.changes if plan.grants else ())
                ],
                "left": [{"message": left.message, "hint": left.hint} for left in plan.left],
            }
        )
    else:
        if plan.items:
            rows = [(item.path, item.source, "; ".join(_state(item, refused))) for item in plan.items]
            session.table(("SECRET", "SOURCE", "STATE"), rows)
        _note(session, plan)
        count = sum(item.to_do for item in plan.items)
        session.note(
            f"{_secrets(count)} to do: secretsmith sync{_options(given)}" if plan else "nothing to do"
        )
    return ExitCode.FINDINGS if plan or plan.left else ExitCode.OK


def _options(given: SyncParameters) -> str:
    return " --prune" if given.prune else " --build" if given.build else ""


def _as_json(item: Linked, refused: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "path": item.path,
        "source": item.source,
        "by": item.by,
        "state": item.state,
        "why": item.why,
        "to_do": item.to_do,
        "approved": item.source not in refused,
    }


def _state(item: Linked, refused: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield f"{_WORDS[item.state]}: {item.why}" if item.why else _WORDS[item.state]
    if item.fetched and item.source in refused:
        yield f"to be approved for {', '.join(refused[item.source])}"


def _report(session: Session, synced: Synced) -> None:
    for written in synced.written:
        report_written(session, written)
    for path in synced.removed:
        session.note(f"removed {path}: no host declares it any more")
    for path in synced.unlinked:
        session.note(f"{path} is no longer linked: it is declared without a source")
    for failure in synced.failed:
        session.note(f"failed: {failure.item.path}: {failure.error.message}")
        for hint in failure.error.hints:
            session.note(f"  hint: {hint}")
    for note in synced.notes:
        session.note(f"note: {note}")
    if synced.owed:
        names = ", ".join(sorted({record.principal for record in synced.owed}))
        paths = ", ".join(sorted({record.path for record in synced.owed}))
        session.note(f"{names} could read what now should be changed at its source: {paths}")
    done = len(synced.written) + len(synced.removed) + len(synced.unlinked)
    failed = f", {len(synced.failed)} failed" if synced.failed else ""
    session.note(f"{_secrets(done)} synced{failed}" if done or failed else "nothing to do")


def _note(session: Session, plan: SyncPlan) -> None:
    for left in plan.left:
        session.note(f"left out: {left.message}")
        session.note(f"  hint: {left.hint}")
    unknown = sum(item.state == "unknown" and not item.named for item in plan.items)
    if unknown:
        session.note(f"note: {_secrets(unknown)} cannot be judged here: secretsmith sync --plan")
    if plan.idle:
        session.note(f"note: {_secrets(len(plan.idle))} declared no more: secretsmith sync --prune")


def _secrets(count: int) -> str:
    return "1 secret" if count == 1 else f"{count} secrets"


__all__ = ["run"]
