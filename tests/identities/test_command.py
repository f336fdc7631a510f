from __future__ import annotations

import os
import shlex
import sys
import time

import pytest

from secretsmith.errors import CannotDecrypt, Code
from secretsmith.identities.command import MAX_OUTPUT, run_key_command

ENVIRON = {"PATH": os.environ["PATH"], "WORD": "from the environment"}


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def failure(command: str, timeout: float = 20.0) -> str:
    with pytest.raises(CannotDecrypt) as caught:
        run_key_command("SOPS_AGE_KEY_CMD", command, ENVIRON, timeout=timeout)
    assert caught.value.code is Code.NO_IDENTITY
    assert caught.value.message.startswith("SOPS_AGE_KEY_CMD")
    return caught.value.message


def test_output_is_returned_byte_for_byte() -> None:
    command = python(r"import os; os.write(1, b'\0a\r\n\xff')")
    assert run_key_command("V", command, ENVIRON).expose() == b"\0a\r\n\xff"


def test_no_shell_runs_it() -> None:
    assert (
        run_key_command("V", "echo '$HOME' | cat; $(id) > x", ENVIRON).expose() == b"$HOME | cat; $(id) > x\n"
    )


def test_it_gets_the_environment_and_no_input() -> None:
    command = python("import os, sys; sys.stdout.write(os.environ['WORD'] + repr(sys.stdin.read()))")
    assert run_key_command("V", command, ENVIRON).expose() == b"from the environment''"


def test_failures_have_a_reason_and_no_output() -> None:
    assert "status 3" in failure(python("import sys; print('canary'); sys.exit(3)"))
    assert "canary" not in failure(python("import sys; print('canary'); sys.exit(3)"))
    assert "signal 9" in failure(python("import os; os.kill(os.getpid(), 9)"))
    assert "no such file" in failure("/nonexistent/program")
    assert "quotes" in failure("cat 'unfinished")
    assert "names no command" in failure("   ")
    assert "cannot run" in failure("cat\0")


def test_a_command_that_hangs_is_ended() -> None:
    start = time.monotonic()
    assert "did not end" in failure("sleep 60", timeout=0.3)
    assert "did not end" in failure("sh -c 'sleep 60 & echo x; sleep 60'", timeout=0.3)
    assert time.monotonic() - start < 30, "it waited for the command after all"


def test_output_is_bounded() -> None:
    assert f"more than {MAX_OUTPUT} bytes" in failure("yes")
