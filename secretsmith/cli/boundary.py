"""The error boundary of a program: every exception becomes lines on standard error and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from secretsmith.cli.render import error_lines
from secretsmith.cli.streams import abandon_output
from secretsmith.errors import Code, ExitCode, Interrupted, SecretsmithError

DEBUG = "SECRETSMITH_DEBUG"


def forbid_core_dumps() -> None:
    """Let no crash write a core: it would hold values and keys. Editors and other children inherit the limit."""
    import resource  # does not exist on every platform that can list and check

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def report(error: BaseException, stderr: BinaryIO) -> ExitCode:
    """Write what a person needs to know of ``error`` to ``stderr`` and return the exit code.

    With SECRETSMITH_DEBUG=1 in the environment the places in the code follow: no locals, and no text of exceptions that
    are not ours, as either could hold a value.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        # Writing failed for good, or there is no standard output. What is left in the buffer is lost anyhow, and Python's
        # own flush at exit would complain once more.
        abandon_output()
    if isinstance(error, BrokenPipeError):
        return ExitCode.ERROR  # the reader has what it wanted (`| head`): nothing to talk about
    known = error if isinstance(error, SecretsmithError) else _foreign(error)
    lines = list(error_lines(known))
    if os.environ.get(DEBUG) == "1":
        lines.extend(_trace(error))
    with contextlib.suppress(OSError):  # if nobody listens, the code still tells
        stderr.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        stderr.flush()
    return known.exit_code


def _foreign(error: BaseException) -> SecretsmithError:
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(Code.INTERRUPTED, "interrupted")
    if isinstance(error, MemoryError):
        return SecretsmithError(
            Code.ERROR, "out of memory", hints=("free some, or work on fewer files at once",)
        )
    return SecretsmithError(
        Code.ERROR,
        f"internal error: {type(error).__name__}",
        hints=(f"this is a bug: run it again with {DEBUG}=1 and report what it prints",),
    )


def _trace(error: BaseException) -> Iterator[str]:
    import traceback  # for people who look for a bug, only

    link: BaseException | None = error
    while link is not None:
        yield f"{type(link).__module__}.{type(link).__qualname__}, raised at:"
        for entry in traceback.format_tb(link.__traceback__):
            yield entry.rstrip("\n")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


__all__ = ["DEBUG", "forbid_core_dumps", "report"]
