"""``python3 -m secretsmith.cli.buildcheck``: ``secretsmith build check`` as a door for builds, with the standard library alone.

A build that checks its secrets has a plain Python and this source tree: no typer, and nothing installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from secretsmith.cli.arguments.repository import BuildCheckParameters
from secretsmith.cli.boundary import report
from secretsmith.cli.light import read_arguments
from secretsmith.cli.parameters import build, described
from secretsmith.cli.session import Session
from secretsmith.cli.streams import hold_standard_descriptors, standard_streams
from secretsmith.errors import Code, ExitCode, RefusedInput

USAGE = """\
usage: python3 -m secretsmith.cli.buildcheck --manifest FILE --registry FILE [--lock FILE] [--json]

Look for what would keep a host from the secrets of its manifest (docs/reference/build-check.md).
Exit status 0 when nothing is in the way, 3 when something is.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check with these words (sys.argv's by default) and return its exit code; nothing is raised."""
    hold_standard_descriptors()
    stdin, stdout, stderr = standard_streams()
    session = Session(cwd=Path(), environ=os.environ, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        code = _run(session, sys.argv[1:] if argv is None else argv)
        session.flush()
    except BaseException as error:  # the boundary, as in the other doors
        return int(report(error, stderr))
    return int(code)


def _run(session: Session, words: Sequence[str]) -> ExitCode:
    if "--help" in words:
        session.write(USAGE.encode())
        return ExitCode.OK
    known = described(BuildCheckParameters)
    raw = read_arguments(known, words)
    # Of a repository it knows nothing: without a manifest there is nothing to check.
    if raw is None or "manifest" not in raw or "registry" not in raw or raw.keys() & {"hosts", "builder"}:
        raise RefusedInput(
            Code.USAGE,
            "wants --manifest FILE and --registry FILE, and knows --lock FILE and --json",
            hints=("python3 -m secretsmith.cli.buildcheck --help",),
        )
    # Here, not above: help and mistakes need none of it.
    from secretsmith.cli.commands.buildcheck import run

    return run(session, build(BuildCheckParameters, known, raw))


__all__ = ["USAGE", "main"]

if __name__ == "__main__":
    raise SystemExit(main())
