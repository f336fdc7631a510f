"""``secretsmith run``: start a program with a secret's values."""

from __future__ import annotations

from secretsmith.cli.arguments.files import RunParameters
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.ownkeys import own_keys
from secretsmith.operations.run import become, run_with_files
from secretsmith.operations.runvalues import Values, as_environment, as_files, file_values, secret_values


def run(session: Session, given: RunParameters) -> int:
    """Return the program's exit status; without ``--files`` this process becomes the program."""
    values = _values(session, given.secret)
    session.flush()
    if not given.files:
        become(given.command, session.environ, as_environment(values, given.name), pristine=given.pristine)
    return run_with_files(
        given.command, session.environ, as_files(values, given.name), pristine=given.pristine
    )


def _values(session: Session, secret: str) -> Values:
    project = in_repository(session, secret)
    if project is not None:
        return secret_values(project, locate_secret(project, secret, cwd=session.cwd))
    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    return file_values(session.cwd / secret, secret, ring, open_pgp)


__all__ = ["run"]
