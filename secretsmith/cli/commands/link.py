"""``secretsmith link``: a value that is kept elsewhere becomes the value of a file here."""

from __future__ import annotations

from secretsmith.cli.arguments.linking import LinkParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.linking.link import link_secret, locate_for_link


def run(session: Session, given: LinkParameters) -> ExitCode:
    """Answer what there is to ask, fetch the value, write it."""
    project = session.project()
    path = locate_for_link(project, given.secret, cwd=session.cwd)
    written = link_secret(
        project, given.reference, path, to=given.to, accept=given.accept, replace=given.replace
    )
    session.note(f"linked {path} to {given.reference}")
    report_written(session, written)
    return ExitCode.OK


__all__ = ["run"]
