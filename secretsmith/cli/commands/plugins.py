"""``secretsmith plugins list``: what is installed, and whether it loads."""

from __future__ import annotations

from dataclasses import asdict

from secretsmith.cli.arguments.repository import PluginsListParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.plugin.loader import list_plugins as installed_plugins


def list_plugins(session: Session, given: PluginsListParameters) -> ExitCode:
    """Print a row for each plugin; a broken one is a row with its reason, and no failure of this command."""
    rows = installed_plugins()
    if given.json:
        session.json([asdict(row) for row in rows])
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


def _state(state: str, error: str) -> str:
    return f"{state}: {error}" if error else state


__all__ = ["list_plugins"]
