"""``secretsmith rm``: remove secrets."""

from __future__ import annotations

from secretsmith.cli.arguments.values import RmParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.remove import remove_secrets


def run(session: Session, given: RmParameters) -> ExitCode:
    """Remove all of them, or none."""
    project = session.project()
    paths = [locate_secret(project, text, cwd=session.cwd) for text in given.secrets]
    removed = remove_secrets(project, paths, force=given.force)
    for path in removed.paths:
        session.note(f"removed {path}")
    for note in removed.notes:
        session.note(f"note: {note}")
    return ExitCode.OK
