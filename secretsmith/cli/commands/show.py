"""``secretsmith show``: print a secret, byte for byte."""

from __future__ import annotations

from secretsmith.cli.arguments.values import ShowParameters
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.show import show_file, show_secret
from secretsmith.sensitive import Sensitive


def run(session: Session, given: ShowParameters) -> ExitCode:
    """Write the value to standard output."""
    session.value(_value(session, given))
    return ExitCode.OK


def _value(session: Session, given: ShowParameters) -> Sensitive:
    project = in_repository(session, given.secret)
    if project is not None:
        return show_secret(project, locate_secret(project, given.secret, cwd=session.cwd), given.key)
    from secretsmith.operations.ownkeys import own_keys  # only such files need what no project has

    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    return show_file(session.cwd / given.secret, given.secret, ring, given.key, open_pgp=open_pgp)
