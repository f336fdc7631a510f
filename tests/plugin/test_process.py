"""Programs that plugins run: real ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.plugin.api import Completed
from secretsmith.plugin.process import run_program
from secretsmith.sensitive import Sensitive


def run(
    *argv: str, folder: Path, stdin: bytes | None = None, timeout: float = 20.0, **environ: str
) -> Completed:
    given = None if stdin is None else Sensitive(stdin)
    return run_program(
        argv, stdin=given, timeout=timeout, environ={"PATH": os.defpath, **environ}, folder=folder
    )


def test_bytes_go_in_and_come_out(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096  # more than a pipe holds
    done = run("cat", folder=tmp_path, stdin=data)
    assert done.status == 0
    assert done.output.expose() == data


def test_status_errors_folder_and_environment(tmp_path: Path) -> None:
    done = run("sh", "-c", 'pwd; echo "$X" >&2; exit 7', folder=tmp_path, X="é")
    assert (done.status, done.output.expose(), done.errors) == (7, f"{tmp_path}\n".encode(), "é\n")


def test_the_environment_is_only_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED", "yes")
    assert b"LEAKED" not in run("env", folder=tmp_path).output.expose()


def test_no_stdin_is_empty_and_no_shell_reads_the_words(tmp_path: Path) -> None:
    assert run("cat", folder=tmp_path).output.expose() == b""
    assert run("echo", "$(id) ; *", folder=tmp_path).output.expose() == b"$(id) ; *\n"


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(SecretsmithError) as caught:
        run("sh", "-c", "sleep 61 & echo $! > child; wait", folder=tmp_path, timeout=0.5)
    assert caught.value.code is Code.PLUGIN_TIMEOUT
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run("no-such-program-here", folder=tmp_path)
    with pytest.raises(RefusedInput):
        run(folder=tmp_path)
    with pytest.raises(RefusedInput):
        run("echo", "a\0b", folder=tmp_path)
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(SecretsmithError) as caught:
        run(str(tmp_path / "text"), folder=tmp_path)
    assert caught.value.code is Code.IO


def test_a_program_that_does_not_read_its_input(tmp_path: Path) -> None:
    assert run("true", folder=tmp_path, stdin=b"x" * 10**6).status == 0
