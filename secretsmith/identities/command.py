"""Private keys from the output of a command that the user's environment names (sops: SOPS_AGE_KEY_CMD).

The command line is split like a shell would (shlex) but no shell runs it: a variable is not a place for pipes and
substitutions, and sops does the same (sops: age/keysource.go, getOutputFromCmd).
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping

from secretsmith.errors import CannotDecrypt, Code
from secretsmith.sensitive import Sensitive

TIMEOUT_SECONDS = 120.0  # time enough to unlock a password store by hand
MAX_OUTPUT = 1024 * 1024


def run_key_command(
    variable: str, command: str, environ: Mapping[str, str], *, timeout: float = TIMEOUT_SECONDS
) -> Sensitive:
    """Run ``command`` and return what it writes to standard output, at most 1 MiB.

    It gets ``environ``, no standard input, and our standard error, so that it can say what it waits for. ``variable`` is
    what messages call it; neither the command line nor its output is ever part of one.

    Raises:
        CannotDecrypt: NO_IDENTITY, the command is malformed, missing, fails, hangs or writes too much.
    """
    try:
        argv = shlex.split(command)
    except ValueError:
        raise _failed(variable, "has unbalanced quotes") from None
    if not argv:
        raise _failed(variable, "names no command")
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # In our own process group: a command that asks on the terminal must stay in the foreground.
            env=dict(environ),
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be started"
        raise _failed(variable, f"cannot run its command: {reason.lower()}") from None
    return _collect(process, variable, timeout)


def _collect(process: subprocess.Popen[bytes], variable: str, timeout: float) -> Sensitive:
    try:
        output = _read(process, timeout)
        if len(output) > MAX_OUTPUT:
            raise _failed(variable, f"its command wrote more than {MAX_OUTPUT} bytes")
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise _failed(variable, f"its command did not end within {timeout:g} seconds") from None
    finally:
        _end(process)
    if status != 0:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise _failed(variable, f"its command {ended}")
    return Sensitive(output)


def _read(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """Read until the end, the limit or the deadline, whichever is first."""
    import select  # only when a command is named
    import time

    assert process.stdout is not None  # noqa: S101  (PIPE was given)
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + timeout
    output = b""
    while len(output) <= MAX_OUTPUT:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise subprocess.TimeoutExpired(process.args, timeout)
        part = os.read(descriptor, 65536)
        if not part:
            break
        output += part
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _failed(variable: str, why: str) -> CannotDecrypt:
    return CannotDecrypt(
        Code.NO_IDENTITY, f"{variable}: {why}", hints=(f"run the command of {variable} by hand",)
    )


__all__ = ["MAX_OUTPUT", "TIMEOUT_SECONDS", "run_key_command"]
