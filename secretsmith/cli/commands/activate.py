"""``secretsmith activate``: the same as ``secretsmith-activate``, for people who look for it here."""

from __future__ import annotations

from secretsmith.cli import activate
from secretsmith.cli.arguments.repository import ActivateParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode


def run(session: Session, given: ActivateParameters) -> ExitCode:
    """Install the secrets of a manifest on this host."""
    words = [
        flag for flag, on in (("--no-mount", given.no_mount), ("--plain-folder", given.plain_folder)) if on
    ]
    words += ["--owner-self"] if given.owner_self else []
    words += ["--status", given.status] if given.status is not None else []
    words += ["--wait", given.wait] if given.wait is not None else []
    # The door hardens the process, prints and reports by itself.
    manifest = f"./{given.manifest}" if given.manifest.startswith("-") else given.manifest
    return ExitCode(activate.main([*words, manifest]))
