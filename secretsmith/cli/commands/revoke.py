"""``secretsmith revoke``."""

from __future__ import annotations

from secretsmith.cli.arguments.readers import RevokeParameters
from secretsmith.cli.rekeying import chosen_rekey, note_debt, report_rekey
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, FindingsFound
from secretsmith.operations.grants import Revoked, revoke


def run(session: Session, given: RevokeParameters) -> ExitCode:
    """Take readers off the rules with exactly these patterns; exits 3 when somebody reads on all the same."""
    done = revoke(session.project(), given.patterns, given.from_, rekey=chosen_rekey(session, given))
    rules = ", ".join(given.patterns)
    if done.changed.written:
        session.note(f"{', '.join(given.from_)} taken off: {rules}")
    else:
        session.note(f"{', '.join(given.from_)} is not named by: {rules}")
    for pattern in done.removed:
        session.note(f"the rule {pattern} had nobody left and is removed")
    note_debt(session, done.changed)
    report_rekey(session, done.changed, given.rekey, given.accept)
    _report_readers(done)
    return ExitCode.OK


def _report_readers(done: Revoked) -> None:
    if not done.still:
        return
    who = "; ".join(
        f"{still.name} still reads {still.path} ({', '.join(still.reasons)})" for still in done.still
    )
    hints = dict.fromkeys(remedy for still in done.still for remedy in still.remedies)
    raise FindingsFound(Code.STILL_READS, who, hints=hints)


__all__ = ["run"]
