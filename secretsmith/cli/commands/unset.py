"""``secretsmith unset``: take a value out of a document."""

from __future__ import annotations

from secretsmith.cli.arguments.files import UnsetParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.unset import unset_in_document
from secretsmith.operations.write_value import Written


def run(session: Session, given: UnsetParameters) -> ExitCode:
    """Answer what there is to ask, and write the document without the value."""
    project = in_repository(session, given.secret)
    if project is None:
        written = _unset_in_file(session, given)
    else:
        path = locate_secret(project, given.secret, cwd=session.cwd)
        written = unset_in_document(
            project, path, given.key, accept=given.accept, drop_unknown=given.drop_unknown
        )
    report_written(session, written)
    return ExitCode.OK


def _unset_in_file(session: Session, given: UnsetParameters) -> Written:
    """Change a document that no registry knows."""
    from secretsmith.operations.ownkeys import own_keys  # only such files need what no project has
    from secretsmith.operations.unmanaged import unset_in_file

    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    return unset_in_file(session.cwd / given.secret, given.secret, ring, given.key, open_pgp=open_pgp)
