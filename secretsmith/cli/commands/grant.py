"""``secretsmith grant``."""

from __future__ import annotations

from secretsmith.cli.arguments.readers import GrantParameters
from secretsmith.cli.rekeying import chosen_rekey, report_rekey
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.grants import grant


def run(session: Session, given: GrantParameters) -> ExitCode:
    """Add readers to the rule of each pattern."""
    done = grant(session.project(), given.patterns, given.to, rekey=chosen_rekey(session, given))
    may = "may read" if done.changed.written else "may read already"
    session.note(f"{', '.join(given.to)} {may}: {', '.join(given.patterns)}")
    for note in done.notes:
        session.note(note)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


__all__ = ["run"]
