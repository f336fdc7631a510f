"""A program on a pseudo-terminal that is its controlling terminal, as for a person."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_START = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvpe(sys.argv[1], sys.argv[1:], os.environ)"
)
_PATIENCE = 60.0


class OnTerminal:
    """Use as a context manager; the program is ended with it. ``shown`` is all that it wrote so far."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *argv],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=cwd,
            env=dict(environ),
        )
        self.shown = b""

    def expect(self, text: bytes, count: int = 1) -> None:
        """Read until ``text`` was shown ``count`` times."""
        deadline = time.monotonic() + _PATIENCE
        while self.shown.count(text) < count:
            ended = self.process.poll() is not None
            if select.select([self.master], [], [], 0.2)[0]:
                self.shown += os.read(self.master, 65536)
                continue
            assert not ended and time.monotonic() < deadline, f"{text!r} never came: {self.shown!r}"

    def press(self, text: bytes) -> None:
        os.write(self.master, text)

    def settle(self, seconds: float = 0.3) -> None:
        """Read until nothing has come for a while."""
        while select.select([self.master], [], [], seconds)[0]:
            self.shown += os.read(self.master, 65536)

    def end(self) -> int:
        """Read on until the program ends; give its exit status."""
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
            self.settle(0.05)
        self.settle(0.05)
        return self.process.returncode

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
