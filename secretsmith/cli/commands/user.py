"""``secretsmith user add|list|remove``."""

from __future__ import annotations

from secretsmith.cli.arguments.principals import UserAddParameters, UserListParameters, UserRemoveParameters
from secretsmith.cli.keyinput import all_key_lines
from secretsmith.cli.rekeying import agreed_rekey, chosen_rekey, note_debt, report_rekey
from secretsmith.cli.render import table
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.users import add_user, known_user, remove_user


def add(session: Session, given: UserAddParameters) -> ExitCode:
    """Register a user by public keys."""
    lines = all_key_lines(session, given.key, given.key_file)
    rekey = chosen_rekey(session, given)
    done = add_user(session.project(), given.name, lines, admin=given.admin, rekey=rekey)
    role = "admin" if given.admin else "user"
    for key in done.keys:
        what = f"added as {role}" if done.changed.written else "is registered already"
        session.note(f"{given.name} {what}, with the {key.kind} key {key.fingerprint}")
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


def list_users(session: Session, given: UserListParameters) -> ExitCode:
    """Print the users, each with all keys."""
    users = session.project().registry.users.values()
    if given.json:
        session.json(
            [
                {
                    "name": user.name,
                    "admin": user.admin,
                    "status": str(user.status),
                    "keys": [
                        {"fingerprint": key.fingerprint, "kind": str(key.kind), "key": key.text}
                        for key in user.keys
                    ],
                }
                for user in users
            ]
        )
        return ExitCode.OK
    cells = [
        (user.name, "admin" if user.admin else "user", str(user.status), str(key.kind), key.fingerprint)
        for user in users
        for key in user.keys
    ]
    for text in table(("NAME", "ROLE", "STATUS", "KIND", "FINGERPRINT"), cells):
        session.line(text)
    return ExitCode.OK


def remove(session: Session, given: UserRemoveParameters) -> ExitCode:
    """Ask, take the user's access away, and say what is owed."""
    project = session.project()
    user = known_user(project.registry, given.name)
    rekey = agreed_rekey(session, given, user.name, f"remove {user.name}? they will read nothing any more")
    done = remove_user(project, user.name, rekey=rekey)
    session.note(
        f"{user.name} is removed{'' if done.changed.written else ' already'}; the keys stay on record"
    )
    note_debt(session, done.changed)
    report_rekey(session, done.changed, given.rekey, given.accept)
    return ExitCode.OK


__all__ = ["add", "list_users", "remove"]
