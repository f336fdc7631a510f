"""``secretsmith export sops``."""

from __future__ import annotations

from secretsmith.cli.arguments.files import ExportSopsParameters
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.exportsops import export_sops, sops_text


def sops(session: Session, given: ExportSopsParameters) -> ExitCode:
    """Write the rules as ``.sops.yaml`` at the root of the repository, or print them."""
    if given.stdout and given.force:
        raise RefusedInput(
            Code.USAGE,
            "--stdout writes no file that --force could replace",
            hints=("secretsmith export sops --stdout", "secretsmith export sops --force"),
        )
    if given.stdout:
        session.write(sops_text(session.project()).encode())
        return ExitCode.OK
    done = export_sops(session.project(), force=given.force)
    if done.written:
        session.note(f"wrote {done.path}; every change of the registry by secretsmith rewrites it")
    else:
        session.note(f"{done.path} says what the registry says already")
    if not done.complete:
        session.note(
            "note: the rules meet in more ways than are worked out; files that exist are named in it"
        )
    for note in done.notes:
        session.note(note)
    return ExitCode.OK


__all__ = ["sops"]
