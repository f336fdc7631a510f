from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ECHO = 3


class OnTerminal:
    """A Python program with a controlling terminal of its own, whose standard input is something else."""

    def __init__(self, code: str) -> None:
        self.master, slave = pty.openpty()
        start = f"import fcntl, os, termios; os.setsid(); fcntl.ioctl({slave}, termios.TIOCSCTTY, 0); os.close({slave})"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"{start}\nfrom secretsmith.cli.terminal import TerminalInteraction\n{code}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[slave],
            cwd=ROOT,
        )
        self.slave = slave  # kept open: a terminal that nobody has open reads as gone
        self.shown = b""

    def expect(self, text: bytes, count: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.shown.count(text) < count:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} never came: {self.shown!r}"
            self.shown += os.read(self.master, 4096)

    def wait_for_echo(self, wanted: bool) -> None:
        deadline = time.monotonic() + 30
        while bool(termios.tcgetattr(self.master)[ECHO] & termios.ECHO) is not wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(b"standard input is for values\n", timeout=30)
        return self.process.returncode, output.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def start() -> Iterator[type[OnTerminal]]:
    running: list[OnTerminal] = []

    class Tracked(OnTerminal):
        def __init__(self, code: str) -> None:
            super().__init__(code)
            running.append(self)

    yield Tracked
    for one in running:
        one.close()


def test_hidden_input_is_not_shown_and_comes_back_exactly(start: type[OnTerminal]) -> None:
    terminal = start("print(TerminalInteraction().passphrase('value', flag='x').expose())")
    terminal.expect(b"value: ")
    terminal.wait_for_echo(False)
    terminal.type("  pässwörd ".encode() + b"\n")
    assert terminal.end() == (0, repr("  pässwörd ".encode()) + "\n")
    terminal.wait_for_echo(True)
    assert "pässwörd".encode() not in terminal.shown


def test_ctrl_c_restores_the_echo(start: type[OnTerminal]) -> None:
    terminal = start("TerminalInteraction().passphrase('value', flag='x')")
    terminal.expect(b"value: ")
    terminal.wait_for_echo(False)
    terminal.type(b"half a passw\x03")
    code, _ = terminal.end()
    assert code in (130, -signal.SIGINT, 1)
    terminal.wait_for_echo(True)


def test_confirm_asks_until_it_understands(start: type[OnTerminal]) -> None:
    terminal = start("print(TerminalInteraction().confirm('remove it?', flag='--force'))")
    terminal.expect(b"remove it? [y/N] ")
    terminal.type(b"maybe\n")
    terminal.expect(b"remove it? [y/N] ", 2)
    terminal.type(b"Yes\n")
    assert terminal.end() == (0, "True\n")


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"NO\n"])
def test_confirm_takes_an_empty_line_for_no(start: type[OnTerminal], answer: bytes) -> None:
    terminal = start("print(TerminalInteraction().confirm('remove it?', flag='--force'))")
    terminal.expect(b"[y/N] ")
    terminal.type(answer)
    assert terminal.end() == (0, "False\n")


def test_end_of_input_is_a_wish_to_stop(start: type[OnTerminal]) -> None:
    code = (
        "from secretsmith.errors import Interrupted\n"
        "try: TerminalInteraction().ask('who', flag='--to')\n"
        "except Interrupted as error: print(int(error.exit_code))"
    )
    terminal = start(code)
    terminal.expect(b"who: ")
    terminal.type(b"\x04")
    assert terminal.end() == (0, "130\n")


def test_a_question_cannot_steer_the_terminal(start: type[OnTerminal]) -> None:
    terminal = start(
        r"t = TerminalInteraction(); t.notice('a\x1b[2Jb'); print(t.ask('c\x07\u202ed', flag='x'))"
    )
    terminal.expect(b": ")
    terminal.type(b" web1 \n")
    assert terminal.end() == (0, "web1\n")
    assert b"\x1b" not in terminal.shown
    assert b"\x07" not in terminal.shown
    assert "\u202e".encode() not in terminal.shown


def test_without_a_terminal_every_question_names_its_flag() -> None:
    code = (
        "from secretsmith.cli.terminal import TerminalInteraction\n"
        "from secretsmith.errors import RefusedInput\n"
        "t = TerminalInteraction(); print(t.available); t.notice('nobody reads this')\n"
        "for ask in (t.confirm, t.ask, t.passphrase):\n"
        "    try: ask('sure', flag='--force')\n"
        "    except RefusedInput as error: print(error.code, error.hints)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["False", *["E_NOT_INTERACTIVE ('answer it with --force',)"] * 3]
