"""A session writes values byte for byte, keeps a terminal safe, and its JSON is one line in a pipe."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.cli.session import Session
from secretsmith.errors import Code, RefusedInput
from secretsmith.interaction import NoInteraction
from secretsmith.sensitive import Sensitive


class Stream(io.BytesIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, data: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(data)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        raise OSError("no descriptor")


def session_on(stdout: BinaryIO, stdin: bytes = b"", stderr: BinaryIO | None = None) -> Session:
    return Session(
        cwd=Path("/"),
        environ={},
        stdin=Stream(stdin),
        stdout=stdout,
        stderr=stderr or Stream(),
        interaction=NoInteraction(),
    )


@given(st.binary())
def test_values_go_to_a_pipe_as_they_are(value: bytes) -> None:
    out = Stream()
    session_on(out).value(Sensitive(value))
    assert out.getvalue() == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [(b"hunter2", b"hunter2\n"), (b"a\nb\n", b"a\nb\n"), (b"", b"\n"), ("ß\t".encode(), "ß\t\n".encode())],
)
def test_values_on_a_terminal_end_in_a_newline(value: bytes, shown: bytes) -> None:
    out = Stream(terminal=True)
    session_on(out).value(Sensitive(value))
    assert out.getvalue() == shown


@pytest.mark.parametrize("value", [b"\x00", b"\xff\xfe", b"\x1b[2J", b"\x7f", "\x9b2J".encode(), b"a\x07"])
def test_binary_is_not_written_to_a_terminal(value: bytes) -> None:
    out = Stream(terminal=True)
    with pytest.raises(RefusedInput):
        session_on(out).value(Sensitive(value))
    assert out.getvalue() == b""


def test_lines_are_escaped_and_end_in_a_newline() -> None:
    out, err = Stream(), Stream()
    session = session_on(out, stderr=err)
    session.line("a\x1b[31mb")
    session.note("c\rd")
    assert out.getvalue() == b"a\\x1b[31mb\n"
    assert err.getvalue() == b"c\\rd\n"


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_one_safe_line_that_reads_back(value: object) -> None:
    out = Stream()
    session_on(out).json(value)
    text = out.getvalue().decode()
    assert text.endswith("\n")
    assert not any(c in text[:-1] for c in "\n\r\x1b\x7f\x9b\u202e\u2066\u2028")
    assert json.loads(text) == value


def test_json_keeps_the_order_of_keys_and_readable_names() -> None:
    out = Stream()
    session_on(out).json({"b": "anonymous×2", "a": 1})
    assert out.getvalue().decode() == '{"b": "anonymous×2", "a": 1}\n'


def test_json_on_a_terminal_is_indented() -> None:
    out = Stream(terminal=True)
    session_on(out).json({"a": [1]})
    assert out.getvalue() == b'{\n  "a": [\n    1\n  ]\n}\n'


def test_standard_input_is_read_up_to_its_limit() -> None:
    assert session_on(Stream(), stdin=b"a\0b").read_stdin(3).expose() == b"a\0b"
    with pytest.raises(RefusedInput) as caught:
        session_on(Stream(), stdin=b"abcd").read_stdin(3)
    assert caught.value.code is Code.TOO_BIG


def test_progress_shows_nothing_at_once_and_nothing_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("secretsmith.cli.session.time.monotonic", lambda: now[0])

    def shown(terminal: bool, use: Callable[[Callable[[int, int], None]], None]) -> bytes:
        now[0] = 0.0
        err = Stream(terminal=terminal)
        use(session_on(Stream(), stderr=err).progress("rekey"))
        return err.getvalue()

    def work(report: Callable[[int, int], None]) -> None:
        report(1, 3)
        now[0] = 1.5
        report(2, 3)
        report(3, 3)

    assert shown(True, work) == b"\rrekey 2/3\rrekey 3/3\n"
    assert shown(False, work) == b""


def test_table_in_a_pipe_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Stream()
    session_on(out).table(("NAME", "STATE"), [("web1", "active"), ("db", "")])
    assert out.getvalue().decode() == "NAME  STATE\nweb1  active\ndb\n"


def test_a_terminal_gets_a_bold_header_of_its_width() -> None:
    controller, terminal = os.openpty()
    try:
        with os.fdopen(terminal, "wb", buffering=0) as out:
            Session(
                cwd=Path("/"),
                environ={"TERM": "xterm"},
                stdin=Stream(),
                stdout=out,
                stderr=Stream(),
            ).table(("A", "B"), [("1", "2")])
            shown = b""
            while not shown.endswith(b"2\r\n"):  # a terminal gives what it has, not all at once
                shown += os.read(controller, 100)
            assert shown == b"\x1b[1mA  B\x1b[0m\r\n1  2\r\n"
    finally:
        os.close(controller)
