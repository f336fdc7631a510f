"""The program as a process: the error boundary, its exit codes, its streams."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from secretsmith import __version__, errors
from secretsmith.errors import Code, ExitCode, SecretsmithError

ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}

# A program whose command is the body of `work(session, given)`; everything else is the real door.
PROGRAM = """
import os, sys
from secretsmith.cli import door, light
from secretsmith.cli.table import Invocation
from secretsmith.errors import *

def work(session, given):
{body}
    return ExitCode.OK

class Stub:
    def function(self):
        return work

light.parse = lambda argv: Invocation(Stub(), None)
raise SystemExit(door.main(["x"]))
"""


def run(
    body: str, *, debug: bool = False, stdout: int | None = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    program = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "))
    environ = {**ENVIRON, **({"SECRETSMITH_DEBUG": "1"} if debug else {})}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )


def secretsmith(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "secretsmith", *words],
        cwd=cwd,
        env=ENVIRON,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


ERROR_CLASSES = sorted(
    (
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, SecretsmithError)
    ),
    key=lambda value: value.__name__,
)


@pytest.mark.parametrize("error", ERROR_CLASSES, ids=lambda error: error.__name__)
def test_each_error_class_has_its_exit_code_and_lines(error: type[SecretsmithError]) -> None:
    done = run(f"raise {error.__name__}(Code.ERROR, 'it broke', hints=('mend it', 'or this'))")
    assert done.returncode == error.exit_code
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "secretsmith: error: it broke\nsecretsmith: hint: mend it\nsecretsmith: hint: or this\n"
    )


def test_control_and_bidi_characters_of_a_message_are_escaped() -> None:
    done = run(r"raise NotFound(Code.NOT_FOUND, 'a\x1b[2Jb\nc\u202ed\x9be\udc80', hints=('\x07',))")
    assert (
        done.stderr
        == rb"secretsmith: error: a\x1b[2Jb\nc\u202ed\x9be\udc80" + b"\nsecretsmith: hint: \\x07\n"
    )


@pytest.mark.parametrize(
    "error", ["ValueError('CANARY')", "RecursionError('CANARY')", "SystemError('CANARY')"]
)
def test_any_other_exception_is_an_internal_error_without_its_text(error: str) -> None:
    done = run(f"value = 'CANARY'\nraise {error}")
    assert done.returncode == ExitCode.ERROR
    lines = done.stderr.decode().splitlines()
    assert lines[0] == f"secretsmith: error: internal error: {error.partition('(')[0]}"
    assert lines[1].startswith("secretsmith: hint: ")
    assert "SECRETSMITH_DEBUG=1" in lines[1]
    assert len(lines) == 2
    assert b"CANARY" not in done.stderr


def test_debug_adds_the_places_but_no_values() -> None:
    body = """
        value = input_value = "".join(["CAN", "ARY"])
        try:
            int(value)
        except ValueError as error:
            raise KeyError(value) from error
    """
    done = run(body, debug=True)
    text = done.stderr.decode()
    assert "builtins.KeyError, raised at:" in text
    assert "builtins.ValueError, raised at:" in text
    assert "in work" in text
    assert "CANARY" not in text


def test_a_panic_of_an_extension_is_caught() -> None:
    done = run("class PanicException(BaseException): pass\nraise PanicException('CANARY')")
    assert done.returncode == ExitCode.ERROR
    assert b"internal error: PanicException" in done.stderr
    assert b"CANARY" not in done.stderr


def test_memory_error() -> None:
    done = run("raise MemoryError")
    assert done.returncode == ExitCode.ERROR
    assert done.stderr.startswith(b"secretsmith: error: out of memory\n")


def test_real_recursion_is_survived() -> None:
    done = run("def again(n): return again(n + 1) + 1\nagain(0)")
    assert done.returncode == ExitCode.ERROR
    assert done.stderr.startswith(b"secretsmith: error: internal error: RecursionError\n")


def test_keyboard_interrupt_is_130() -> None:
    program = PROGRAM.format(body="    import time; session.note('ready'); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", program], env=ENVIRON, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 130
    assert rest == b"secretsmith: error: interrupted\n"


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_reader_that_went_away_is_no_error_to_talk_about(size: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(f"session.write(b'x' * {size})", stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == ExitCode.ERROR
    assert done.stderr == b""


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_behind_standard_output_is_an_error(size: int) -> None:
    with open("/dev/full", "wb") as full:
        done = run(f"session.write(b'x' * {size})", stdout=full.fileno())
    assert done.returncode == ExitCode.ERROR
    assert done.stderr == b"secretsmith: error: cannot write to standard output: no space left on device\n"


def closing(descriptor: int, body: str) -> subprocess.CompletedProcess[bytes]:
    program = PROGRAM.format(body=textwrap.indent(body, "    "))
    redirect = {0: "<&-", 1: ">&-", 2: "2>&-"}[descriptor]
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, program]
    return subprocess.run(command, env=ENVIRON, capture_output=True, check=False, timeout=60)


def test_closed_standard_output_is_an_error() -> None:
    done = closing(1, "session.write(b'value')")
    assert done.returncode == ExitCode.ERROR
    assert done.stderr.startswith(b"secretsmith: error: cannot write to standard output: ")


def test_closed_standard_input_is_not_an_empty_value() -> None:
    done = closing(0, "session.write(session.read_stdin(10).expose())")
    assert done.returncode == ExitCode.ERROR
    assert done.stderr.startswith(b"secretsmith: error: cannot read standard input: ")


def test_closed_standard_error_does_not_stop_the_work() -> None:
    done = closing(2, "session.note('x'); session.write(b'done')")
    assert done.returncode == ExitCode.OK
    assert done.stdout == b"done"


def test_files_never_get_the_number_of_a_closed_stream() -> None:
    done = closing(1, "fd = os.open('/dev/null', os.O_RDONLY); session.note(str(fd > 2))")
    assert done.stderr == b"True\n"


def test_no_core_dumps_and_umask_untouched() -> None:
    before = os.umask(0o027)
    try:
        body = (
            "import resource; session.line(str((resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))))"
        )
        assert run(body).stdout == b"((0, 0), '0o27')\n"
    finally:
        os.umask(before)
    assert resource.getrlimit(resource.RLIMIT_CORE)  # of this process: still its own business


def test_version() -> None:
    wanted = f"secretsmith {__version__}\n".encode()
    assert secretsmith("--version").stdout == wanted
    assert secretsmith("-C", "/", "--version").stdout == wanted


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("host",), ("host", "--help"), ("ls", "--help"), ("ls", "-h")]
)
def test_help_goes_to_standard_output(words: tuple[str, ...]) -> None:
    done = secretsmith(*words)
    assert done.returncode == ExitCode.OK
    assert done.stdout.startswith(b"Usage: secretsmith")
    assert done.stderr == b""


def test_mistakes_are_explained_in_our_voice() -> None:
    done = secretsmith("sho", "x")
    assert done.returncode == ExitCode.USAGE
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "secretsmith: error: no such command 'sho'\n"
        "secretsmith: hint: did you mean 'show'?\n"
        "secretsmith: hint: see secretsmith --help\n"
    )


@pytest.mark.parametrize("directory", ["nowhere", "file"])
def test_directory_that_cannot_be_entered(directory: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = secretsmith("-C", directory, "ls", cwd=tmp_path)
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stderr.startswith(f"secretsmith: error: -C {directory}: ".encode())


def test_directory_is_where_the_command_starts(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    done = secretsmith("-C", "inner", "ls", cwd=tmp_path)
    assert done.returncode == ExitCode.NOT_FOUND
    assert f"no secretsmith.toml in {tmp_path / 'inner'}" in done.stderr.decode()


def test_a_removed_current_folder_is_explained(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"rmdir {gone}; exec {sys.executable} -c 'from secretsmith.cli.door import main; raise SystemExit(main())' ls"
    done = subprocess.run(["sh", "-c", command], cwd=gone, env=ENVIRON, capture_output=True, check=False)
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stderr.startswith(b"secretsmith: error: the current folder: ")


def test_errors_of_ours_with_a_cause_show_no_trace() -> None:
    done = run(
        "try:\n    int('x')\nexcept ValueError as e:\n    raise RefusedInput(Code.USAGE, 'no number') from e"
    )
    assert done.stderr == b"secretsmith: error: no number\n"


def test_codes_are_unique() -> None:
    assert len({code.value for code in Code}) == len(Code)


def test_a_note_comes_after_what_was_written_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = PROGRAM.format(body="    session.line('first'); session.note('second'); session.line('third')")
    with log.open("wb") as out:
        subprocess.run(
            [sys.executable, "-c", program], env=ENVIRON, stdout=out, stderr=subprocess.STDOUT, check=True
        )
    assert log.read_text().splitlines() == ["first", "second", "third"]
