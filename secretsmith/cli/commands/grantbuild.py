"""``secretsmith grant --from-build``."""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.cli.arguments.readers import GrantParameters
from secretsmith.cli.rekeying import chosen_rekey, note_debt, report_rekey
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, Interrupted
from secretsmith.operations.grantbuild import BuildGrants, RuleChange, grant_from_build, plan_build_grants

_SHOWN = 20


def run_from_build(session: Session, given: GrantParameters) -> ExitCode:
    """Show or make the rules for what hosts declare; exits 3 for a plan with changes, and when something was left out."""
    planned = plan_build_grants(session.project())
    if given.plan:
        return _show(session, planned)
    if planned.vanished and not given.yes:
        _confirm(session, planned)
    done, changed = grant_from_build(session.project(), planned, rekey=chosen_rekey(session, given))
    for change in done.changes[:_SHOWN]:
        session.note(f"{change.path}: {', '.join(_words(change))}")
    if len(done.changes) > _SHOWN:
        session.note(f"and {_rules(len(done.changes) - _SHOWN)} more")
    session.note(f"{_rules(len(done.changes))} changed" if done.changes else "nothing to change in the rules")
    _note(session, done)
    note_debt(session, changed)
    report_rekey(session, changed, given.rekey, given.accept)
    return ExitCode.FINDINGS if done.left else ExitCode.OK


def _show(session: Session, planned: BuildGrants) -> ExitCode:
    for change in planned.changes:
        session.line(change.path)
        for word in _words(change):
            session.line(f"  {word}")
    _note(session, planned)
    for doubt in planned.doubts:
        session.note(doubt)
    count = f"{_rules(len(planned.changes))} to change: secretsmith grant --from-build"
    session.note(count if planned.changes else "nothing to change in the rules")
    return ExitCode.FINDINGS if planned.changes or planned.left else ExitCode.OK


def _confirm(session: Session, planned: BuildGrants) -> None:
    """Ask before hosts lose what a build gave them and perhaps still declares, where that is not seen here."""
    question = f"{'; '.join(planned.doubts)}; take away what the build let them read?"
    if not session.interaction.confirm(question, flag="--yes"):
        raise Interrupted(Code.INTERRUPTED, "nothing was changed")


def _words(change: RuleChange) -> Iterator[str]:
    yield from (f"+ {name}" for name in change.add)
    yield from (f"- {name}" for name in change.remove)


def _note(session: Session, grants: BuildGrants) -> None:
    for note in grants.notes:
        session.note(note)
    for left in grants.left:
        session.note(f"left out: {left.message}")
        session.note(f"  hint: {left.hint}")


def _rules(count: int) -> str:
    return "1 rule" if count == 1 else f"{count} rules"


__all__ = ["run_from_build"]
