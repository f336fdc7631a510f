"""``secretsmith rotate``: give secrets a new data key."""

from __future__ import annotations

from secretsmith.cli.arguments.files import RotateParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.rotate import rotate_secrets


def run(session: Session, given: RotateParameters) -> ExitCode:
    """Rotate those of the repository in one transaction, then the files that no registry knows, one by one."""
    inside, outside = [], []
    for secret in given.secrets:
        project = in_repository(session, secret)
        if project is None:
            outside.append(secret)
        else:
            inside.append(locate_secret(project, secret, cwd=session.cwd))
    if inside:
        done = rotate_secrets(
            session.project(),
            inside,
            accept=given.accept,
            drop_unknown=given.drop_unknown,
            progress=session.progress("rotate"),
        )
        for file in done:
            session.note(f"{file.path}: new data key{f'; {file.change}' if file.change else ''}")
    if outside:
        _rotate_files(session, outside)
    return ExitCode.OK


def _rotate_files(session: Session, names: list[str]) -> None:
    from secretsmith.operations.ownkeys import own_keys  # only such files need what no project has
    from secretsmith.operations.unmanaged import rotate_file

    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    for name in names:
        report_written(session, rotate_file(session.cwd / name, name, ring, open_pgp=open_pgp))


__all__ = ["run"]
