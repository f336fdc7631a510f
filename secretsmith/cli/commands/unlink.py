"""``secretsmith unlink``: the value of a file here is no longer that of an entry elsewhere."""

from __future__ import annotations

import shlex

from secretsmith.cli.arguments.linking import UnlinkParameters
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.linking.link import locate_link, unlink_secret


def run(session: Session, given: UnlinkParameters) -> ExitCode:
    """End the link, and remove the file unless it is to be kept."""
    if given.keep_file and given.build:
        raise RefusedInput(Code.USAGE, "--keep-file removes no file, so there is nothing for --build to ask")
    project = session.project()
    path = locate_link(project, given.secret, cwd=session.cwd)
    unlinked = unlink_secret(project, path, keep_file=given.keep_file, build=given.build)
    if unlinked.removed:
        session.note(f"removed {path}; {unlinked.source} stays as it is")
    else:
        session.note(f"{path} is no longer linked to {unlinked.source}")
        if given.keep_file:
            session.note(f"note: change its value with: secretsmith set {shlex.quote(path)}")
    for note in unlinked.notes:
        session.note(f"note: {note}")
    return ExitCode.OK


__all__ = ["run"]
