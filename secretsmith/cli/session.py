"""What one run of a command has at hand: where it is, its three streams, a person to ask, the project.

Data goes to standard output, everything else to standard error. A command gets a :class:`Session` and its parameters and
returns an exit code; it never touches ``sys``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from secretsmith.cli.render import json_text, printable, table, wants_color
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.project import Project

_PROGRESS_AFTER = 1.0  # seconds (design.md §4: progress from one second on)
_TEXT_CONTROLS = "\t\n\r"


class Session:
    """The surroundings of one command.

    ``cwd`` is the folder that relative arguments start from; the door has changed into it. The streams are binary.
    """

    def __init__(
        self,
        *,
        cwd: Path,
        environ: Mapping[str, str],
        stdin: BinaryIO,
        stdout: BinaryIO,
        stderr: BinaryIO,
        interaction: Interaction | None = None,
    ) -> None:
        self.cwd = cwd
        self.environ = environ
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._interaction = interaction
        self._project: Project | None = None

    @property
    def stdin_is_terminal(self) -> bool:
        """Whether standard input is a terminal, so that a value is asked for instead of read."""
        return self.stdin.isatty()

    @property
    def stdout_is_terminal(self) -> bool:
        """Whether a person reads standard output."""
        return self.stdout.isatty()

    @property
    def interaction(self) -> Interaction:
        """How to ask a person; refuses every question when there is no terminal."""
        if self._interaction is None:
            self._interaction = _terminal_interaction()
        return self._interaction

    def project(self) -> Project:
        """Return the project around ``cwd`` (or SECRETSMITH_ROOT), opened at the first call.

        Raises:
            NotFound: NO_REGISTRY, there is none.
            RefusedInput: the registry or lock is not valid.
        """
        if self._project is None:
            # Here, not above: `--version` and the plumbing commands run without a project.
            from secretsmith.operations.identityplugins import with_identity_plugins
            from secretsmith.project import open_project

            self._project = with_identity_plugins(
                open_project(self.cwd, environ=self.environ, interaction=self.interaction)
            )
        return self._project

    def write(self, data: bytes) -> None:
        """Write bytes to standard output as they are."""
        try:
            self.stdout.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritten(error) from error

    def line(self, text: str = "") -> None:
        """Write one line to standard output; characters that would steer a terminal are escaped."""
        self.write(printable(text).encode("utf-8", "backslashreplace") + b"\n")

    def json(self, value: Any) -> None:
        """Write a JSON document to standard output: one line in a pipe, indented on a terminal; key order as given."""
        indent = 2 if self.stdout_is_terminal else None
        self.write(json_text(value, indent=indent).encode() + b"\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write an aligned table to standard output, as wide as the terminal; a header alone when there are no rows."""
        terminal = self.stdout_is_terminal
        width = self._width() if terminal else None
        bold = wants_color(self.environ, terminal=terminal)
        for text in table(header, rows, width=width, bold=bold):
            self.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def _width(self) -> int | None:
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or None
        except OSError:
            return None

    def note(self, text: str) -> None:
        """Write one line about the work to standard error, after what is already on standard output."""
        self.flush()
        self._aside(printable(text).encode("utf-8", "backslashreplace") + b"\n")

    def value(self, secret: Sensitive) -> None:
        """Write a value to standard output: byte for byte, and on a terminal with a final newline.

        Raises:
            RefusedInput: the value is not plain text and standard output is a terminal, which it could take over.
        """
        data = secret.expose()
        if self.stdout_is_terminal:
            if not _is_plain_text(data):
                raise RefusedInput(
                    Code.USAGE,
                    "the value is not plain text, and is not written to a terminal",
                    hints=("send it to a file or a program: secretsmith show … > FILE",),
                )
            if not data.endswith(b"\n"):
                data += b"\n"
        self.write(data)

    def read_stdin(self, limit: int) -> Sensitive:
        """Read all of standard input, at most ``limit`` bytes.

        Raises:
            RefusedInput: TOO_BIG.
            SecretsmithError: IO, standard input is closed or a folder.
        """
        try:
            data = self.stdin.read(limit + 1)
        except OSError as error:
            raise SecretsmithError(Code.IO, f"cannot read standard input: {_reason(error)}") from error
        if len(data) > limit:
            raise RefusedInput(Code.TOO_BIG, f"standard input holds more than {limit} bytes")
        return Sensitive(data)

    def progress(self, label: str) -> Callable[[int, int], None]:
        """Return a function to call with (done, total); it shows a line on a terminal once the work takes a second."""
        started = time.monotonic()
        shown = self.stderr.isatty()

        def report(done: int, total: int) -> None:
            if not shown or time.monotonic() - started < _PROGRESS_AFTER:
                return
            end = b"\n" if done >= total else b""
            self._aside(f"\r{printable(label)} {done}/{total}".encode() + end)

        return report

    def flush(self) -> None:
        """Hand everything written to the system.

        Raises:
            BrokenPipeError: nobody reads on.
            SecretsmithError: IO, standard output is closed or its disk full: data would be lost silently.
        """
        try:
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritten(error) from error

    def _aside(self, data: bytes) -> None:
        # A log that is gone or full must not stop the work half way.
        with contextlib.suppress(OSError):
            self.stderr.write(data)
            self.stderr.flush()


def _terminal_interaction() -> Interaction:
    # Here, not above: termios and what it needs are for the commands that ask.
    from secretsmith.cli.terminal import TerminalInteraction

    terminal = TerminalInteraction()
    return terminal if terminal.available else NoInteraction()


def _unwritten(error: OSError) -> SecretsmithError:
    return SecretsmithError(Code.IO, f"cannot write to standard output: {_reason(error)}")


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _is_plain_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(c in _TEXT_CONTROLS or not (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0) for c in text)


__all__ = ["Session"]
