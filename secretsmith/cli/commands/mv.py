"""``secretsmith mv``: move a secret; its readers follow the rules of the new path."""

from __future__ import annotations

from secretsmith.cli.arguments.values import MvParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_beside, locate_secret
from secretsmith.operations.move import Move, Moved, move_secret, plan_move


def run(session: Session, given: MvParameters) -> ExitCode:
    """Move, and rekey if the rules of the new path want other readers and the person does, too."""
    project = session.project()
    source = locate_secret(project, given.source, cwd=session.cwd)
    move = plan_move(project, source, locate_beside(project, source, given.target, cwd=session.cwd))
    _report(
        session, move_secret(project, move, rekey=_wants_rekey(session, given, move), accept=given.accept)
    )
    return ExitCode.OK


def _wants_rekey(session: Session, given: MvParameters, move: Move) -> bool:
    if not move.drifts or given.rekey is not None:
        return bool(given.rekey)
    if not session.interaction.available:
        return False
    question = f"the rules of {move.target} want other readers ({move.change}); rekey it now?"
    return session.interaction.confirm(question, flag="--rekey or --no-rekey")


def _report(session: Session, moved: Moved) -> None:
    session.note(f"moved {moved.source} to {moved.target}")
    if moved.outcome == "rekeyed":
        session.note(f"rekeyed {moved.target}: {moved.change}")
    elif moved.outcome == "drifts":
        session.note(f"1 file drifts (by its rules: {moved.change}): secretsmith rekey {moved.target}")
    for note in moved.notes:
        session.note(f"note: {note}")
