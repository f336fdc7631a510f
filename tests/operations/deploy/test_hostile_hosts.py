"""Answers of a host that somebody has taken over: a clear end, whatever comes, and however much of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secretsmith.errors import Code, ExitCode, Interrupted, RemoteFailure, SecretsmithError
from secretsmith.operations.deploy.connection import Connection
from secretsmith.operations.deploy.facts import read_answer

HELLO: dict[str, Any] = {
    "is": "hello",
    "protocol": 1,
    "uid": 0,
    "python": [3, 11],
    "machine": "x86_64",
    "libc": ["glibc", "2.36"],
    "version": None,
    "current": None,
    "next": 1,
    "digest": None,
    "venvs": [],
}
Connect = Callable[..., Connection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Give a connection to a shell command in the place of ssh."""
    made: list[Connection] = []

    def make(command: str, patience: float | None = None) -> Connection:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(["sh", "-c", command], **streams)  # type: ignore[call-overload]
        made.append(Connection("web1", "root@web1", process, patience))
        return made[-1]

    yield make
    for connection in made:
        connection.abandon()
        connection.close()


def says(*lines: object) -> str:
    """Give the command of a host that says this, and hears nothing."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return f"printf '%s\\n' {' '.join(map(shlex.quote, texts))}; exec cat > /dev/null"


def order(connection: Connection) -> int:
    connection.start()
    return connection.order("deploy", [("manifest.json", b"{}")], lambda stream, text: None)


@pytest.mark.parametrize(
    "changed",
    [
        {"python": 7},
        {"python": [3, [11]]},
        {"python": "3.11"},
        {"python": [3, 11, 2]},
        {"python": [3, -1]},
        {"python": [3, 1e999]},
        {"protocol": 0, "python": {}},
        {"libc": "gl"},
        {"libc": [1, 2]},
        {"machine": ["x"]},
        {"machine": "x" * 500},
        {"current": 1e999},
        {"current": True},
        {"current": -1},
        {"next": None},
        {"next": 10**400},
        {"version": {"a": 1}},
        {"digest": 5},
        {"venvs": {"a": 1}},
        {"venvs": [5]},
        {"live": [5]},
    ],
)
def test_a_hello_that_is_none(connect: Connect, changed: dict[str, Any]) -> None:
    with pytest.raises(SecretsmithError, match="that no deploy says") as caught:
        connect(says({**HELLO, **changed})).start()
    assert caught.value.code is Code.REMOTE


def test_a_hello_is_found_behind_whatever_else_is_printed(connect: Connect) -> None:
    assert connect(says("[" * 50_000, "[1]", HELLO)).start().root


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        "[" * 50_000,
        "[]",
        "\x7f",
        "{" * 3,
        '{"is": "done", "exit": "0"}' + "x",
    ],
)
def test_an_answer_that_is_none(connect: Connect, answer: str) -> None:
    with pytest.raises(SecretsmithError, match="that no deploy says"):
        order(connect(says(HELLO, answer)))


@pytest.mark.parametrize(
    "answer",
    [
        {"code": ["x"], "message": "no", "hints": []},
        {"code": "E_NEW", "message": "no", "hints": 5},
        {"code": None, "message": "no", "hints": {"a": "b"}},
        {"code": "E_IO", "message": "no" + "x" * 30_000, "hints": ["y" * 3_000] * 20},
        {"message": "no"},
    ],
)
def test_a_refusal_of_any_shape_and_size_is_one_short_error(connect: Connect, answer: dict[str, Any]) -> None:
    with pytest.raises(SecretsmithError, match="web1: no") as caught:
        order(connect(says(HELLO, {"is": "refused", **answer})))
    assert caught.value.exit_code is ExitCode.ERROR
    assert len(caught.value.message) < 500 and len("".join(caught.value.hints)) < 5000


@pytest.mark.parametrize(
    "flood",
    ["yes", "tr '\\0' x < /dev/zero", f"yes {shlex.quote(json.dumps({'is': 'said', 'text': 'x' * 900}))}"],
)
def test_a_host_that_never_stops_is_left(connect: Connect, flood: str) -> None:
    with pytest.raises(SecretsmithError, match="that no deploy says"):
        connect(flood).start()
    with pytest.raises(SecretsmithError, match="that no deploy says"):
        order(connect(f"echo {shlex.quote(json.dumps(HELLO))}; {flood}"))


def test_a_host_that_says_nothing_is_waited_for_only_when_somebody_can_end_it(connect: Connect) -> None:
    with pytest.raises(RemoteFailure, match=r"web1: no answer in 0\.2 s") as caught:
        connect("cat > /dev/null", 0.2).start()
    assert caught.value.hints == ("ssh -v root@web1",)
    # Whoever has said hello in time is not timed any more.
    connection = connect(
        f'echo {shlex.quote(json.dumps(HELLO))}; sleep 1; echo \'{{"is": "done", "exit": 0}}\'', 0.5
    )
    assert order(connection) == 0


def test_a_host_that_does_not_listen_can_be_left(connect: Connect) -> None:
    connection = connect(f"echo {shlex.quote(json.dumps(HELLO))}; exec sleep 600")
    connection.start()
    here = threading.main_thread().ident or 0
    timer = threading.Timer(0.3, signal.pthread_kill, [here, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        connection.order("bootstrap", [("x", bytes(10_000_000))], lambda stream, text: None)
    timer.join()
    connection.abandon()  # as the door does; then closing waits for nobody
    connection.close()


def test_ctrl_c_while_the_host_works_says_that_it_goes_on(connect: Connect) -> None:
    connection = connect(f'echo {shlex.quote(json.dumps(HELLO))}; echo \'{{"is": "said"}}\'; exec sleep 600')
    connection.start()

    def interrupt(stream: str, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="brought to its end") as caught:
        connection.order("deploy", [], interrupt)
    assert "secretsmith deploy web1" in caught.value.hints[0]


def test_a_connection_that_ends_tells_the_last_that_was_said(connect: Connect) -> None:
    with pytest.raises(RemoteFailure, match=r"before the answer \(kaputt\)"):
        order(connect(f"echo {shlex.quote(json.dumps(HELLO))}; echo kaputt >&2"))


def test_a_proxy_that_lives_on_keeps_nobody_waiting(connect: Connect) -> None:
    connection = connect("sleep 60 > /dev/null < /dev/null & echo $!")
    with pytest.raises(RemoteFailure, match=r"before anything ran: [0-9]+$") as caught:
        connection.start()
    os.kill(int(caught.value.message.split()[-1]), signal.SIGKILL)  # it was there all the time


def test_a_line_is_an_object_or_nothing() -> None:
    assert read_answer(b'{"is": "x"}\n') == {"is": "x"}
    for line in (b"", b"1", b'"x"', b"[{}]", b"\xff", b"[" * 10**6, b'{"a":' * 10**5, b"9" * 10_000):
        assert read_answer(line) is None
