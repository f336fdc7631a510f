"""``secretsmith show``: print a secret, byte for byte."""

from __future__ import annotations

from secretsmith.cli.arguments.values import ShowParameters
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, NotFound
from secretsmith.identities.ring import IdentityRing
from secretsmith.operations.locate import find_file, locate_secret
from secretsmith.operations.show import show_file, show_secret
from secretsmith.project import Project
from secretsmith.sensitive import Sensitive


def run(session: Session, given: ShowParameters) -> ExitCode:
    """Write the value to standard output."""
    session.value(_value(session, given))
    return ExitCode.OK


def _value(session: Session, given: ShowParameters) -> Sensitive:
    file = find_file(given.secret, cwd=session.cwd)
    project = _project(session, required=file is None)
    if project is not None:
        # A file that lies elsewhere is only a file, whatever repository this is.
        if file is None or project.root.resolve() in file.resolve().parents:
            return show_secret(project, locate_secret(project, given.secret, cwd=session.cwd), given.key)
        return show_file(file, given.secret, project.ring, given.key)
    if file is None:
        raise NotFound(Code.NOT_FOUND, f"no file {given.secret}")
    ring = IdentityRing(session.environ, session.interaction, cwd=session.cwd)
    return show_file(file, given.secret, ring, given.key)


def _project(session: Session, *, required: bool) -> Project | None:
    try:
        return session.project()
    except NotFound as error:
        if required or error.code is not Code.NO_REGISTRY:
            raise
        return None
