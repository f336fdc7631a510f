"""``secretsmith rotate``: give secrets a new data key."""

from __future__ import annotations

from pathlib import Path

from secretsmith.cli.arguments.files import RotateParameters
from secretsmith.cli.commands.written import report_written
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.rotate import rotate_secrets
from secretsmith.project import Project


def run(session: Session, given: RotateParameters) -> ExitCode:
    """Rotate those of a repository in one transaction, then the files that no registry knows, one by one."""
    inside: dict[Path, tuple[Project, list[str]]] = {}
    outside = []
    for secret in given.secrets:
        project = in_repository(session, secret)
        if project is None:
            outside.append(secret)
        else:
            path = locate_secret(project, secret, cwd=session.cwd)
            inside.setdefault(project.root, (project, []))[1].append(path)
    for project, paths in inside.values():
        done = rotate_secrets(
            project,
            paths,
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
