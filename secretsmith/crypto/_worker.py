"""A forked process for work that runs an age plugin, with a deadline and a way to ask a person.

pyrage offers no timeout and no way to stop a plugin, hands it our environment, and turns an exception of a callback
into a panic. So the call happens in a child that can be killed with everything it started; questions travel back over
a socket and are put by the parent, which has the terminal. Nothing touches a disk.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from typing import Final, NoReturn

from secretsmith.crypto import parameters
from secretsmith.crypto.plugins import PluginSettings
from secretsmith.crypto.publickey import printable
from secretsmith.interaction import Interaction

_RESULT: Final = b"R"
_FAILED: Final = b"F"
_MESSAGE: Final = b"M"
_CONFIRM: Final = b"C"
_PUBLIC: Final = b"S"
_PASSPHRASE: Final = b"P"
_ANSWER: Final = b"A"
_NO_ANSWER: Final = b"N"
_HEAD: Final = 5  # one byte of kind, four of length
_MAX_FRAME: Final = parameters.MAX_AGE_FILE + 1024 * 1024
_NO_FLAG: Final = "a terminal; no option replaces it"


class WorkFailed(Exception):
    """The work raised; the text is its message, printable and short."""


class WorkTimeout(Exception):
    """The deadline passed; the worker and all it started were killed."""


class Channel:
    """Frames over a socket: kind, length, bytes."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send one frame."""
        self._end.sendall(kind + len(payload).to_bytes(4, "big") + payload)

    def receive(self, deadline: float | None) -> tuple[bytes, bytes]:
        """Receive one frame; EOFError when the other side is gone, TimeoutError at ``deadline`` (monotonic)."""
        head = self._take(_HEAD, deadline)
        size = int.from_bytes(head[1:], "big")
        if size > _MAX_FRAME:
            raise EOFError
        return bytes(head[:1]), bytes(self._take(size, deadline))

    def _take(self, size: int, deadline: float | None) -> bytearray:
        buffer = bytearray(size)
        view, filled = memoryview(buffer), 0
        while filled < size:
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError
                self._end.settimeout(remaining)
            count = self._end.recv_into(view[filled:])
            if not count:
                raise EOFError
            filled += count
        view.release()
        return buffer


class WorkerCallbacks:
    """The callbacks that pyrage wants, in the child. None may raise: pyrage would panic and print the trace."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def _ask(self, kind: bytes, *texts: str | None) -> bytes | None:
        # Not even KeyboardInterrupt may pass; without an answer the plugin is told that there is none.
        try:
            shown = [None if text is None else text[: 4 * parameters.PLUGIN_TEXT] for text in texts]
            self._channel.send(kind, json.dumps(shown).encode())
            answer, payload = self._channel.receive(None)
        except BaseException:  # noqa: BLE001, RUF100
            return None
        return payload if answer == _ANSWER else None

    def display_message(self, message: str) -> None:
        """Show a message, for instance to touch the key."""
        self._ask(_MESSAGE, message)

    def confirm(self, message: str, yes_string: str, no_string: str | None) -> bool | None:
        """Ask for one of two answers."""
        answer = self._ask(_CONFIRM, message, yes_string, no_string)
        return None if answer is None else answer == b"yes"

    def request_public_string(self, description: str) -> str | None:
        """Ask for public text."""
        return self._text(self._ask(_PUBLIC, description))

    def request_passphrase(self, description: str) -> str | None:
        """Ask for hidden text."""
        return self._text(self._ask(_PASSPHRASE, description))

    @staticmethod
    def _text(answer: bytes | None) -> str | None:
        return None if answer is None else answer.decode("utf-8", "replace")


Work = Callable[[WorkerCallbacks], bytes]


def run_in_worker(work: Work, *, plugin: str, interaction: Interaction, settings: PluginSettings) -> bytes:
    """Run ``work`` in a child process and give its result.

    ``plugin`` names the plugin in questions. What ``interaction`` raises ends the worker and passes through.

    Raises:
        WorkFailed, WorkTimeout.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            _child(work, theirs, settings)
        try:
            theirs.close()
            return _serve(Channel(ours), plugin, interaction, settings.seconds)
        finally:
            _end(child)


def _end(child: int) -> None:
    """Kill the child's whole session: the plugin is its child, and must not outlive the question it was asked."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # no session yet, or nobody left in it
    os.waitpid(child, 0)


def _child(work: Work, end: socket.socket, settings: PluginSettings) -> NoReturn:
    """Everything that happens in the child; it leaves by _exit whatever happens, and runs nobody's handlers."""
    try:
        os.setsid()
        _confine(end.fileno(), settings)
        channel = Channel(end)
        try:
            channel.send(_RESULT, work(WorkerCallbacks(channel)))
        except BaseException as problem:  # noqa: BLE001, RUF100 - pyo3's PanicException is a BaseException
            panic = type(problem).__name__ == "PanicException"
            channel.send(_FAILED, ("it crashed" if panic else str(problem)[:4096]).encode("utf-8", "replace"))
    finally:
        os._exit(0)


def _confine(kept: int, settings: PluginSettings) -> None:
    """Leave the plugin nothing of ours but its environment: no descriptors, no core dump, bounded memory."""
    import ctypes  # a few milliseconds that only plugins cost

    # Python's view first, then what C libraries set behind its back (readline: COLUMNS, LINES).
    os.environ.clear()
    ctypes.CDLL(None).clearenv()
    os.environ.update(settings.environ)
    os.environ["PATH"] = settings.path
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    highest = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)
    os.closerange(3, kept)
    os.closerange(kept + 1, highest)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # For the child and for the plugin, each: a plugin that floods us must not keep a core busy until the deadline.
    resource.setrlimit(
        resource.RLIMIT_CPU, (parameters.PLUGIN_CPU_SECONDS, parameters.PLUGIN_CPU_SECONDS + 1)
    )
    soft = resource.getrlimit(resource.RLIMIT_DATA)[1]
    # On top of what we hold ourselves: this process is a copy of one that may have read much.
    memory = parameters.PLUGIN_MEMORY + _data_size()
    if soft == resource.RLIM_INFINITY or soft > memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _data_size() -> int:
    """Return what counts against RLIMIT_DATA now, in bytes."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = os.read(descriptor, 4096).split()[5]  # proc(5): data + stack
    finally:
        os.close(descriptor)
    return int(pages) * resource.getpagesize()


def _serve(channel: Channel, plugin: str, interaction: Interaction, seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    questions = 0
    while True:
        try:
            kind, payload = channel.receive(deadline)
        except TimeoutError:
            raise WorkTimeout from None
        except (EOFError, OSError):
            raise WorkFailed("it ended without an answer, or used too much time or memory") from None
        if kind == _RESULT:
            return payload
        if kind == _FAILED:
            raise WorkFailed(payload.decode("utf-8", "replace"))
        questions += 1
        if questions > parameters.PLUGIN_QUESTIONS:
            raise WorkFailed("it asks too often")
        asked = time.monotonic()
        answer = _answer(kind, json.loads(payload), plugin, interaction)
        deadline += time.monotonic() - asked  # a person may take their time
        channel.send(_NO_ANSWER if answer is None else _ANSWER, answer or b"")


def _answer(kind: bytes, texts: list[str | None], plugin: str, interaction: Interaction) -> bytes | None:
    # The plugin's text reaches a terminal: printable, short, one line, and marked as the plugin's.
    shown = [printable(text or "")[: parameters.PLUGIN_TEXT] for text in texts]
    prompt = f"age-plugin-{plugin}: {shown[0]}"
    if kind == _MESSAGE:
        interaction.notice(prompt)
        return b""
    if kind == _CONFIRM:
        choice = f"{prompt} [yes: {shown[1]}; no: {shown[2] or 'cancel'}]"
        return b"yes" if interaction.confirm(choice, flag=_NO_FLAG) else b"no"
    if kind == _PUBLIC:
        return interaction.ask(prompt, flag=_NO_FLAG).encode()
    if kind == _PASSPHRASE:
        return interaction.passphrase(prompt, flag=_NO_FLAG).expose()
    return None


__all__ = ["Work", "WorkFailed", "WorkTimeout", "WorkerCallbacks", "run_in_worker"]
