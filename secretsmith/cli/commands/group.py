"""``secretsmith group add|list|remove``."""

from __future__ import annotations

from secretsmith.cli.arguments.principals import (
    GroupAddParameters,
    GroupListParameters,
    GroupRemoveParameters,
)
from secretsmith.cli.rekeying import chosen_rekey, note_debt, report_rekey
from secretsmith.cli.render import table
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.groups import add_to_group, group_rows, remove_from_group


def add(session: Session, given: GroupAddParameters) -> ExitCode:
    """Make a group, or add members to it."""
    rekey = chosen_rekey(session, given)
    done = add_to_group(session.project(), given.name, given.members, rekey=rekey)
    if done.members:
        session.note(f"@{done.name}: added {', '.join(done.members)}")
    else:
        session.note(f"@{done.name} holds {', '.join(done.left or ()) or 'nobody'} already")
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


def list_groups(session: Session, given: GroupListParameters) -> ExitCode:
    """Print the groups, their members as written, and who that is in the end."""
    rows = group_rows(session.project().registry)
    if given.json:
        session.json([{"name": row.name, "members": row.members} for row in rows])
        return ExitCode.OK
    cells = [(f"@{row.name}", " ".join(row.members) or "-", " ".join(row.principals) or "-") for row in rows]
    for text in table(("GROUP", "MEMBERS", "PRINCIPALS"), cells):
        session.line(text)
    return ExitCode.OK


def remove(session: Session, given: GroupRemoveParameters) -> ExitCode:
    """Take members out of a group, or remove it."""
    rekey = chosen_rekey(session, given)
    done = remove_from_group(session.project(), given.name, given.members, rekey=rekey)
    if done.left is None:
        session.note(f"@{done.name} is removed")
    else:
        session.note(f"@{done.name}: removed {', '.join(done.members)}")
    note_debt(session, done.changed)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


__all__ = ["add", "list_groups", "remove"]
