"""``secretsmith activate``: the same as ``secretsmith-activate``, for people who look for it here."""

from __future__ import annotations

from secretsmith.cli import activate
from secretsmith.cli.arguments.repository import ActivateParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode


def run(session: Session, given: ActivateParameters) -> ExitCode:
    """Install the secrets of a manifest on this host."""
    flags = {
        "--dry-run": given.dry_run,
        "--mount": given.mount,
        "--make-folders": given.make_folders,
        "--no-mount": given.no_mount,
        "--plain-folder": given.plain_folder,
        "--owner-self": given.owner_self,
    }
    values = {
        "--phase": given.phase,
        "--units": given.units,
        "--write-units": given.write_units,
        "--status": given.status,
        "--paths": given.paths,
        "--wait": given.wait,
    }
    words = [name for name, on in flags.items() if on]
    for name, value in values.items():
        words += [] if value is None else [name, value]
    # The door hardens the process, prints and reports by itself.
    manifest = f"./{given.manifest}" if given.manifest.startswith("-") else given.manifest
    return ExitCode(activate.main([*words, manifest]))
