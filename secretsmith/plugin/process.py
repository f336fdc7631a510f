"""Runs a program for a plugin: no shell, values only on standard input, an end to waiting."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.plugin.api import Completed
from secretsmith.sensitive import Sensitive


def run_program(
    argv: Sequence[str],
    *,
    stdin: Sensitive | None,
    timeout: float,
    environ: Mapping[str, str],
    folder: Path,
) -> Completed:
    """Run ``argv`` in ``folder`` with exactly ``environ``; its standard input is ``stdin``, or empty.

    Raises:
        RefusedInput: USAGE, an empty command or one with a NUL.
        NotFound: there is no such program.
        SecretsmithError: PLUGIN_TIMEOUT, it and its children were killed after ``timeout`` seconds.
    """
    if not argv or any("\0" in word for word in argv):
        raise RefusedInput(Code.USAGE, "an empty command, or one with a NUL character")
    try:
        # A session of its own, so that a timeout reaches the children of a wrapper script too.
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environ),
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError):
        raise NotFound(Code.NOT_FOUND, f"no program {argv[0]!a} on the search path") from None
    except OSError as error:
        raise SecretsmithError(Code.IO, f"{argv[0]} cannot be started: {error.strerror}") from None
    try:
        output, errors = process.communicate(b"" if stdin is None else stdin.expose(), timeout)
    except subprocess.TimeoutExpired:
        raise SecretsmithError(Code.PLUGIN_TIMEOUT, f"{argv[0]} was stopped after {timeout:g} s") from None
    finally:
        _end(process)
    return Completed(process.returncode, Sensitive(output), errors.decode("utf-8", "backslashreplace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs (a timeout, Ctrl-C) and close the pipes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


__all__ = ["run_program"]
