"""How the two sides talk: lines of JSON on standard output and input, and files right after the line that lists them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

PROTOCOL = 1
MAX_LINE = 1024 * 1024
# Not what ssh's session has: a search path that somebody else could have filled, or the locale of the workstation.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


_SECONDS = 900  # whoever waits holds the lock; a service that is restarted may take minutes


class Refused(Exception):
    """What the host cannot or will not do. ``code`` is one of secretsmith's error codes."""

    def __init__(self, code: str, message: str, *hints: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hints = hints


class Channel:
    """The host's end. What cannot be sent is dropped: a deploy that has begun is finished, whether or not somebody listens."""

    def __init__(self, received: BinaryIO, sent: BinaryIO) -> None:
        self._received = received
        self._sent = sent

    def hello(self, **members: object) -> None:
        """Send the first message, on a line of its own: a shell's start-up files may have printed half a one."""
        with suppress(OSError, ValueError):
            self._sent.write(b"\n")
        self.send("hello", **members)

    def send(self, kind: str, **members: object) -> None:
        """Send one message."""
        with suppress(OSError, ValueError):
            self._sent.write(json.dumps({"is": kind, **members}).encode() + b"\n")
            self._sent.flush()

    def said(self, stream: str, text: str) -> None:
        """Send what a program wrote, line by line; ``stream`` is "out" or "err"."""
        for line in text.splitlines():
            self.send("said", stream=stream, text=line)

    def receive(self) -> dict[str, Any] | None:
        """Return the next order, None at the end."""
        line = self._received.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            return None
        order = json.loads(line)
        if not isinstance(order, dict):
            raise Refused("E_REMOTE", "an order that is no object")
        return order

    def receive_bytes(self, size: int) -> bytes:
        """Return the next ``size`` bytes; Refused when the connection ends before."""
        data = self._received.read(size)
        if len(data) != size:
            raise Refused("E_SSH", "the connection ended in the middle; nothing was changed")
        return data


def run(command: Sequence[str], extra: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a program, with a plain environment, to its end or for a quarter of an hour; return its status and what it wrote.

    Raises:
        Refused: it cannot be started.
    """
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**ENVIRONMENT, **(extra or {})},
            cwd="/",
            check=False,
            start_new_session=True,  # the end of the connection is none of its business
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} did not end in {_SECONDS} s\n"  # as timeout(1)
    except OSError as error:
        raise Refused(
            "E_REMOTE", f"{command[0]} cannot be started: {os.strerror(error.errno or 0).lower()}"
        ) from None
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return status, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


__all__ = ["ENVIRONMENT", "MAX_LINE", "PROTOCOL", "Channel", "Refused", "run"]
