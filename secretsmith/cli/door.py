"""The ``secretsmith`` program: argv in, exit code out, and the one place where errors become text.

A command's modules are imported when it runs, not before; typer only when the light door has no answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from secretsmith import __version__
from secretsmith.cli import light
from secretsmith.cli.boundary import forbid_core_dumps, report
from secretsmith.cli.render import PROGRAM
from secretsmith.cli.session import Session
from secretsmith.cli.streams import hold_standard_descriptors, standard_streams
from secretsmith.cli.table import Invocation
from secretsmith.errors import Code, ExitCode, NotFound, SecretsmithError


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``secretsmith`` with these words (sys.argv's by default) and return its exit code.

    Nothing is raised: every failure is lines on standard error and a code (docs/reference/exit-codes.md). `run` gives the
    code of the program that it ran.
    """
    hold_standard_descriptors()
    forbid_core_dumps()
    streams = standard_streams()
    try:
        code = _run(sys.argv[1:] if argv is None else argv, streams)
    except BaseException as error:  # the boundary: also KeyboardInterrupt, and panics of extension modules
        code = report(error, streams[2])
    return code


def _run(argv: Sequence[str], streams: tuple[BinaryIO, BinaryIO, BinaryIO]) -> int:
    stdin, stdout, stderr = streams
    read = _read(argv, stdout)
    if isinstance(read, ExitCode):
        return read
    session = Session(
        cwd=_enter(read.directory), environ=os.environ, stdin=stdin, stdout=stdout, stderr=stderr
    )
    code = int(read.command.function()(session, read.given))
    session.flush()
    return code


def _read(argv: Sequence[str], stdout: BinaryIO) -> Invocation | ExitCode:
    if list(argv) == ["--version"]:
        stdout.write(f"{PROGRAM} {__version__}\n".encode())
        stdout.flush()
        return ExitCode.OK
    invocation = light.parse(argv)
    if invocation is not None:
        return invocation
    # Here, not above: importing typer takes longer than most commands.
    try:
        from secretsmith.cli import typed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "typer":
            raise
        raise SecretsmithError(
            Code.UNSUPPORTED,
            "this secretsmith came with a deploy, for the host alone: it has status, doctor and secretsmith-activate",
            hints=("secretsmith status", "for the rest, install all of it: pip install secretsmith"),
        ) from None

    read = typed.parse(argv)
    sys.stdout.flush()  # help goes through the text layer
    return read


def _enter(directory: str | None) -> Path:
    """Change into the folder of ``-C``, so that relative arguments, editors and git start there too."""
    try:
        if directory is not None:
            os.chdir(directory)
        return Path.cwd()
    except OSError as error:
        reason = (error.strerror or "cannot be entered").lower()
        place = "the current folder" if directory is None else f"-C {directory}"
        raise NotFound(Code.NOT_FOUND, f"{place}: {reason}", hints=("name a folder with -C DIR",)) from error
    except ValueError as error:
        raise NotFound(Code.NOT_FOUND, "-C: a folder's name holds no NUL") from error


__all__ = ["main"]
