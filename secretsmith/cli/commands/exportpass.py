"""``secretsmith export pass``, ``export passage``, ``export gopass``: values written into a password store."""

from __future__ import annotations

from secretsmith.cli.arguments.passstores import (
    ExportGopassParameters,
    ExportPassageParameters,
    ExportPassParameters,
)
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.exportpass import export_secrets
from secretsmith.operations.locate import locate_secret


def to_pass(session: Session, given: ExportPassParameters) -> ExitCode:
    """Write into pass."""
    return _run(session, given, "pass")


def to_passage(session: Session, given: ExportPassageParameters) -> ExitCode:
    """Write into passage."""
    return _run(session, given, "passage")


def to_gopass(session: Session, given: ExportGopassParameters) -> ExitCode:
    """Write into gopass."""
    return _run(session, given, "gopass")


def _run(session: Session, given: ExportPassParameters, scheme: str) -> ExitCode:
    project = session.project()
    paths = [locate_secret(project, text, cwd=session.cwd) for text in given.secrets]
    done = export_secrets(project, scheme, paths, name=given.name, prefix=given.prefix, force=given.force)
    for stored in done:
        if stored.state == "unchanged":
            session.note(f"{stored.target} has the value of {stored.path} already")
        else:
            session.note(f"{stored.path} → {stored.target} ({stored.state})")
    return ExitCode.OK


__all__ = ["to_gopass", "to_pass", "to_passage"]
