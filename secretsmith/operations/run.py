"""``run``: a program with a secret's values in its environment, or as files in memory.

With variables alone our process becomes the program, so that no second process holds the values; with files it stays, to
remove them when the program ends. No shell reads the command.

The program gets our environment, where a secret's value takes the place of a variable of the same name. One variable is left
out: SOPS_AGE_KEY. Its value is itself a private key, which opens everything that the person can open, while the program was
to be given one secret. The variables that only say where a key lies (SECRETSMITH_IDENTITY, SOPS_AGE_KEY_FILE, the commands)
stay: they give a program of the same user nothing that it could not reach, and scripts that call sops themselves need them.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.sensitive import Sensitive
from secretsmith.store.failures import naming
from secretsmith.store.scratch import scratch_folder, write_private

FOLDER_VARIABLE: Final = "SECRETSMITH_FILES"
PLACEHOLDER: Final = "{}"
WITHHELD: Final = frozenset({"SOPS_AGE_KEY"})

# What somebody may send us and means the program. Stops and continues reach it as they reach us.
_FORWARDED: Final = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
)
# Python ignores these for itself; a program expects their usual effect.
_RESET: Final = (signal.SIGPIPE, signal.SIGXFSZ)


def become(
    command: Sequence[str],
    environ: Mapping[str, str],
    variables: Mapping[bytes, bytes],
    *,
    pristine: bool = False,
) -> NoReturn:
    """Replace this process by ``command`` with ``variables`` added to ``environ``, or with nothing else (``pristine``).

    The program is looked up in the PATH of ``environ``, never in one that the secret brings along.

    Raises:
        NotFound: no such program.
        RefusedInput: TOO_BIG, more than the system takes. SecretsmithError: IO, it cannot be run.
    """
    program = _program(command, environ)
    given = {**_inherited(environ, pristine=pristine), **variables}
    for number in _RESET:
        with suppress(ValueError):  # not in the main thread
            signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, list(command), given)  # noqa: S606  (no shell: that is the point)
    except (OSError, ValueError) as error:
        raise _unstarted(command[0], error) from None


def run_with_files(
    command: Sequence[str],
    environ: Mapping[str, str],
    files: Mapping[tuple[str, ...], Sensitive],
    *,
    pristine: bool = False,
) -> int:
    """Run ``command`` with ``files`` in a private folder in memory; return its exit status, 128 + N after signal N.

    The folder (0700, its files 0400) is named by $SECRETSMITH_FILES and in place of each ``{}`` of the command; it is
    removed when the program has ended, whatever ended it. Signals that are sent to us are sent on.

    Raises:
        SecretsmithError: NO_TMPFS, NOSPC, and as :func:`become`.
    """
    program = _program(command, environ)
    signals = {*_FORWARDED, signal.SIGCHLD}
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # They wait until somebody looks for them, so that none comes between making the folder and removing it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with scratch_folder(environ) as folder:
            _write(folder, files)
            words = [word.replace(PLACEHOLDER, str(folder)) for word in command]
            given = _inherited(environ, pristine=pristine)
            given[os.fsencode(FOLDER_VARIABLE)] = os.fsencode(folder)
            status = _attend(_start(program, words, given, before), signals)
    finally:
        while signal.sigtimedwait(signals, 0) is not None:
            pass  # the terminal's Ctrl-C that ended the program was for us, too
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 128 - status if status < 0 else status


def _inherited(environ: Mapping[str, str], *, pristine: bool) -> dict[bytes, bytes]:
    if pristine:
        return {}
    return {os.fsencode(name): os.fsencode(text) for name, text in environ.items() if name not in WITHHELD}


def _program(command: Sequence[str], environ: Mapping[str, str]) -> str:
    name = command[0]
    found = shutil.which(name, path=environ.get("PATH", os.defpath)) if name and "\0" not in name else None
    if found is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"no program {name!r} that can be run",
            hints=("no shell reads the command; for one: secretsmith run SECRET -- sh -c '…'",),
        )
    return found


def _write(folder: Path, files: Mapping[tuple[str, ...], Sensitive]) -> None:
    for names, value in files.items():
        place = folder
        for name in names[:-1]:
            place /= name
            with naming(place):
                place.mkdir(mode=0o700, exist_ok=True)
        path = write_private(place, names[-1], value.expose())
        with naming(path):
            path.chmod(0o400)


def _start(
    program: str, words: Sequence[str], given: Mapping[bytes, bytes], mask: set[signal.Signals | int]
) -> subprocess.Popen[bytes]:
    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    try:
        # In our process group, so that a pipe's other programs and the terminal see one job. There are no threads here,
        # which is what makes preexec_fn safe.
        return subprocess.Popen(words, executable=program, env=given, preexec_fn=unblock)
    except (OSError, ValueError) as error:
        raise _unstarted(words[0], error) from None


def _attend(process: subprocess.Popen[bytes], signals: set[signal.Signals]) -> int:
    """Wait for the end of the program and send on what others send us; returns as ``Popen.returncode``."""
    while (status := process.poll()) is None:
        got = signal.sigwaitinfo(signals)
        # sigaction(2), si_code: greater than 0 when the kernel sent it, as for Ctrl-C, which the program got itself.
        if got.si_signo in _FORWARDED and got.si_code <= 0:
            process.send_signal(got.si_signo)
    return status


def _unstarted(name: str, error: OSError | ValueError) -> SecretsmithError:
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return RefusedInput(
            Code.TOO_BIG,
            "the values are more than an environment can hold",
            hints=("secretsmith run --files … gives them as files",),
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be run"
    return SecretsmithError(Code.IO, f"{name!r} cannot be started: {reason.lower()}")


__all__ = ["FOLDER_VARIABLE", "PLACEHOLDER", "WITHHELD", "become", "run_with_files"]
