"""``secretsmith debt`` and ``debt clear``: what is to be changed because somebody who lost access knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secretsmith.cli.arguments.debt import DebtClearParameters, DebtParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.debt import Debts, Owed, clear_debt, commit_command, list_debt, parse_days

if TYPE_CHECKING:
    from secretsmith.operations.debthistory import History


def run(session: Session, given: DebtParameters) -> ExitCode:
    """Print a table, or JSON in the form of docs/reference/schemas/debt.schema.json; exit 3 when something is owed."""
    older_than = None if given.max_age is None else parse_days(given.max_age)
    project = session.project()
    debts = list_debt(project, reinstalled=given.all, older_than=older_than)
    history = None
    if given.history:
        from secretsmith.operations.debthistory import remembered_values  # reads every commit

        history = remembered_values(project, reinstalled=given.all)
    if given.json:
        session.json(_as_json(debts, history))
    else:
        _print_debts(session, debts)
        if history is not None:
            _print_history(session, history)
    if history is not None and history.shallow:
        session.note("note: this clone has only a part of the history: git fetch --unshallow")
    return ExitCode.FINDINGS if debts.owed else ExitCode.OK


def clear(session: Session, given: DebtClearParameters) -> ExitCode:
    """Take records off the lock, say which, and how to keep the reason."""
    cleared = clear_debt(
        session.project(),
        given.paths,
        because=given.because,
        cwd=session.cwd,
        key=given.key,
        principal=given.principal,
    )
    for record in cleared.records:
        place = record.path if record.key is None else f"{record.path} {record.key}"
        session.note(f"cleared: {place}: {record.principal} ({record.reason}, {record.since})")
    session.note(f"the reason is kept by the commit alone: {commit_command(cleared)}")
    return ExitCode.OK


def _as_json(debts: Debts, history: History | None) -> dict[str, object]:
    tree: dict[str, object] = {
        "debt": [
            {
                "path": item.record.path,
                "key": item.record.key,
                "principal": item.record.principal,
                "reason": item.record.reason,
                "since": item.record.since,
            }
            for item in debts.owed
        ]
    }
    if history is not None:
        tree["history"] = [
            {
                "path": item.path,
                "principal": item.principal,
                "state": str(item.state),
                "commit": item.commit,
                "date": item.date,
            }
            for item in history.remembered
        ]
    return tree


def _print_debts(session: Session, debts: Debts) -> None:
    if debts.owed:
        header = ("PATH", "KEY", "KNOWN TO", "REASON", "DAYS", "CHANGE IT")
        session.table(header, [_row(item) for item in debts.owed])
    else:
        session.note("nothing is owed")
    if debts.uncounted:
        count = "1 value" if debts.uncounted == 1 else f"{debts.uncounted} values"
        session.note(
            f"not counted: {count} that old keys of reinstalled hosts could read: secretsmith debt --all"
        )
    if debts.younger:
        session.note(f"not due yet: {debts.younger}")


def _row(item: Owed) -> tuple[str, ...]:
    record = item.record
    return (record.path, record.key or "-", record.principal, record.reason, str(item.days), item.command)


def _print_history(session: Session, history: History) -> None:
    if not history.remembered:
        session.note("git remembers no deleted file that a key without access opens")
        return
    if session.stdout_is_terminal:
        session.line()
    rows = [
        (item.path, f"{item.principal} ({item.state})", item.date, item.commit[:10])
        for item in history.remembered
    ]
    session.table(("ONLY IN GIT", "OPENED BY", "LAST", "COMMIT"), rows)
    session.note("the values of deleted files may be in use elsewhere; if so, change them there")


__all__ = ["clear", "run"]
