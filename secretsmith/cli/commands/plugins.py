"""``secretsmith plugins list`` and ``secretsmith plugins install-pass-extension``."""

from __future__ import annotations

from secretsmith.cli.arguments.passstores import InstallPassExtensionParameters
from secretsmith.cli.arguments.repository import PluginsListParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.passextension import install_extension
from secretsmith.plugin.loader import list_plugins as installed_plugins
from secretsmith.record import as_dict


def list_plugins(session: Session, given: PluginsListParameters) -> ExitCode:
    """Print a row for each plugin; a broken one is a row with its reason, and no failure of this command."""
    rows = installed_plugins()
    if given.json:
        session.json([as_dict(row) for row in rows])
        return ExitCode.OK
    session.table(
        ("NAME", "GROUP", "DISTRIBUTION", "VERSION", "STATE"),
        [
            (
                row.name,
                row.group.removeprefix("secretsmith."),
                row.distribution,
                row.version,
                _state(row.state, row.error),
            )
            for row in rows
        ],
    )
    return ExitCode.OK


def install_pass_extension(session: Session, given: InstallPassExtensionParameters) -> ExitCode:
    """Write the extension, and say what else pass wants before it runs it."""
    done = install_extension(session.environ, system=given.system, passage=given.passage, force=given.force)
    session.note(f"wrote {done.path}" if done.written else f"{done.path} is there already")
    for hint in done.hints:
        session.note(f"note: {hint}")
    program = "passage" if given.passage else "pass"
    session.note(f"try it in a repository: {program} secretsmith status")
    return ExitCode.OK


def _state(state: str, error: str) -> str:
    return f"{state}: {error}" if error else state


__all__ = ["install_pass_extension", "list_plugins"]
