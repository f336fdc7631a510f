"""``secretsmith cp``: copy a secret to the readers of the new path."""

from __future__ import annotations

from secretsmith.cli.arguments.values import CpParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.copy import copy_secret
from secretsmith.operations.locate import locate_beside, locate_secret


def run(session: Session, given: CpParameters) -> ExitCode:
    """Open the source and write its value anew."""
    project = session.project()
    source = locate_secret(project, given.source, cwd=session.cwd)
    target = locate_beside(project, source, given.target, cwd=session.cwd)
    report_written(session, copy_secret(project, source, target, to=given.to, accept=given.accept))
    return ExitCode.OK
