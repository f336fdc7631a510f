"""A person at the controlling terminal.

Everything goes through ``/dev/tty``: standard input may carry a value and standard output may be a pipe. Hidden input puts the
terminal's settings back whatever happens, Ctrl-C and a lost terminal included.
"""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from secretsmith.cli.render import printable
from secretsmith.errors import Code, Interrupted, RefusedInput
from secretsmith.sensitive import Sensitive

TERMINAL = "/dev/tty"
_MAX_LINE = 64 * 1024
_LOCAL_FLAGS = 3  # index in the list of termios.tcgetattr
_YES = ("y", "yes")
_NO = ("n", "no", "")


class TerminalInteraction:
    """Questions on ``/dev/tty``; opened for each question, so that nothing is held while an editor runs."""

    def __init__(self, path: str = TERMINAL) -> None:
        self._path = path
        self._available: bool | None = None

    @property
    def available(self) -> bool:
        """Whether this process has a controlling terminal."""
        if self._available is None:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError:
                self._available = False
            else:
                self._available = os.isatty(descriptor)
                os.close(descriptor)
        return self._available

    def confirm(self, question: str, *, flag: str) -> bool:
        """Ask until the answer is yes or no; an empty line is no.

        Raises:
            RefusedInput: NOT_INTERACTIVE, no terminal.
            Interrupted: Ctrl-D.
        """
        with self._open(question, flag) as terminal:
            while True:
                _say(terminal, f"{printable(question)} [y/N] ")
                answer = _read_line(terminal).decode("utf-8", "replace").strip().lower()
                if answer in _YES:
                    return True
                if answer in _NO:
                    return False

    def ask(self, question: str, *, flag: str) -> str:
        """Ask for one line of public text; the answer has no blanks around it. Raises as :meth:`confirm`."""
        with self._open(question, flag) as terminal:
            _say(terminal, f"{printable(question)}: ")
            try:
                return _read_line(terminal).decode().strip()
            except UnicodeDecodeError:
                raise RefusedInput(Code.USAGE, "the answer is not valid UTF-8") from None

    def passphrase(self, prompt: str, *, flag: str) -> Sensitive:
        """Ask for one line without showing it; the bytes are as typed, without the newline. Raises as :meth:`confirm`."""
        with self._open(prompt, flag) as terminal, _hidden(terminal):
            _say(terminal, f"{printable(prompt)}: ")
            try:
                return Sensitive(_read_line(terminal))
            finally:
                # The newline that was typed is not echoed either.
                _say(terminal, "\n")

    def notice(self, message: str) -> None:
        """Show one line; without a terminal there is nobody to read it."""
        with suppress(RefusedInput), self._open(message, "") as terminal:
            _say(terminal, f"{printable(message)}\n")

    @contextmanager
    def _open(self, question: str, flag: str) -> Iterator[int]:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            raise RefusedInput(
                Code.NOT_INTERACTIVE,
                f"cannot ask without a terminal: {question}",
                hints=(f"answer it with {flag}",),
            ) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _hidden(terminal: int) -> Iterator[None]:
    """Turn the echo off. What was typed ahead is discarded: it was typed for something else, and was shown."""
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ECHONL)
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _say(terminal: int, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(terminal, data) :]


def _read_line(terminal: int) -> bytes:
    """Read up to a newline. Ctrl-D on an empty line, and a terminal that is gone, are a wish to stop."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            part = os.read(terminal, 4096)
        except OSError:
            part = b""
        if not part:
            raise Interrupted(Code.INTERRUPTED, "stopped: the question was not answered")
        line += part
        if len(line) > _MAX_LINE:
            raise RefusedInput(Code.TOO_BIG, "the answer is too long")
    return line.removesuffix(b"\n")


__all__ = ["TERMINAL", "TerminalInteraction"]
