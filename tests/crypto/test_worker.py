"""The worker process that plugins run in."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from pathlib import Path

import fakeplugin
import pyrage
import pytest

from secretsmith.crypto import bech32, parameters
from secretsmith.crypto._worker import Channel, WorkerCallbacks, WorkFailed, WorkTimeout, run_in_worker
from secretsmith.crypto.plugins import PluginSettings
from secretsmith.interaction import NoInteraction

SETTINGS = PluginSettings(("/usr/bin",), {"HOME": "/"}, seconds=10)


def run(work: object, seconds: float = 10) -> bytes:
    """Run some work without anybody to ask."""
    assert callable(work)
    settings = PluginSettings(SETTINGS.search, SETTINGS.environ, seconds)
    return run_in_worker(work, plugin="x", interaction=NoInteraction(), settings=settings)


def test_a_result_comes_back_whole() -> None:
    big = os.urandom(3_000_000)
    assert run(lambda _: big) == big


def test_what_the_worker_may_and_sees() -> None:
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize() + (8 << 20)

    def look(_: WorkerCallbacks) -> bytes:
        facts = [
            os.getsid(0) == os.getpid(),
            dict(os.environ) == {"HOME": "/", "PATH": "/usr/bin"},
            resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
            # What this test process holds itself comes on top.
            0 < resource.getrlimit(resource.RLIMIT_DATA)[0] - parameters.PLUGIN_MEMORY <= held,
            len(os.listdir("/proc/self/fd")) <= 5,
            os.readlink("/proc/self/fd/0") == os.readlink("/proc/self/fd/2") == os.devnull,
        ]
        return repr(facts).encode()

    assert run(look) == repr([True] * 6).encode()


@pytest.mark.parametrize("problem", [ValueError("why\x1b"), SystemExit("why"), KeyboardInterrupt("why")])
def test_whatever_the_work_raises_comes_back_as_text(problem: BaseException) -> None:
    def work(_: WorkerCallbacks) -> bytes:
        raise problem

    with pytest.raises(WorkFailed, match="why"):
        run(work)


def test_a_panic_of_pyrage_shows_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Why callbacks may not raise, and what happens if one did."""
    fakeplugin.install(tmp_path, "fake")

    class Raising:
        def display_message(self, message: str) -> None:
            raise ValueError(message)

    def work(_: WorkerCallbacks) -> bytes:
        recipient = pyrage.plugin.Recipient.from_str(bech32.encode("age1fake", b"message"))
        plugin = pyrage.plugin.RecipientPluginV1("fake", [recipient], [], Raising())
        return bytes(pyrage.encrypt(b"", [plugin]))

    settings = PluginSettings((str(tmp_path),), {}, 10)
    with pytest.raises(WorkFailed, match=r"^it crashed$"):
        run_in_worker(work, plugin="fake", interaction=NoInteraction(), settings=settings)
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_dies_or_takes_too_much_memory() -> None:
    with pytest.raises(WorkFailed, match="without an answer"):
        run(lambda _: os._exit(3))
    with pytest.raises(WorkFailed, match="without an answer"):
        run(lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(WorkFailed):
        run(lambda _: bytes(parameters.PLUGIN_MEMORY + (1 << 20)))


def test_the_deadline() -> None:
    with pytest.raises(WorkTimeout):
        run(lambda _: time.sleep(60), seconds=0.3)


def test_a_worker_that_trickles_does_not_stretch_the_deadline() -> None:
    def trickle(callbacks: WorkerCallbacks) -> bytes:
        while True:
            callbacks._channel._end.send(b"M")
            time.sleep(0.05)

    with pytest.raises((WorkTimeout, WorkFailed)):
        run(trickle, seconds=0.5)


def test_callbacks_never_raise() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    callbacks = WorkerCallbacks(Channel(theirs))
    callbacks.display_message("x")
    assert callbacks.confirm("x", "yes", None) is None
    assert callbacks.request_public_string("x") is None
    assert callbacks.request_passphrase("x") is None
    theirs.close()


def test_a_frame_longer_than_any_file_is_refused_before_memory_is_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"R\xff\xff\xff\xff")
        with pytest.raises(EOFError):
            Channel(ours).receive(time.monotonic() + 5)


def test_no_zombie_and_no_descriptor_stays() -> None:
    before = len(os.listdir("/proc/self/fd"))
    run(lambda _: b"")
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
