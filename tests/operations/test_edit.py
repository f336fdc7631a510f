from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import Fleet
from terminals import OnTerminal

from secretsmith.operations.edit import without_added_newline
from secretsmith.sensitive import Sensitive

OLD = b"old-canary-5c1e"
NEW = b"new-canary-9b2d"


def script(fleet: Fleet, code: str, name: str = "editor") -> str:
    """An editor in Python: ``file`` is the path it is given; it notes the path in ``where``."""
    path = fleet.folder / f"{name} with space.py"
    path.write_text(
        "import os, sys, time\nfrom pathlib import Path\nfile = Path(sys.argv[-1])\n"
        f"Path({str(fleet.folder / 'where')!r}).write_text(str(file))\n{code}\n"
    )
    return shlex.join([sys.executable, str(path)])


def scratch(fleet: Fleet) -> Path:
    return Path((fleet.folder / "where").read_text())


def nothing_left(fleet: Fleet) -> None:
    assert not scratch(fleet).parent.exists()
    # The scripts that play the editor hold the new value themselves.
    assert [path for path in fleet.holds(OLD) + fleet.holds(NEW) if not path.endswith(" with space.py")] == []


def test_edit_changes_the_value_in_memory_only(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    look = (
        "assert file.name == 'db' and file.read_bytes() == %r\n"
        "assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700\n"
        "file.write_bytes(%r)"
    )
    said = fleet.run("edit", "web/db", EDITOR=script(fleet, look % (OLD, NEW))).stderr
    assert b"wrote secrets/web/db.age, readable by alice, web1 as before" in said
    assert fleet.run("show", "web/db").stdout == NEW
    assert fleet.opens("web1", "secrets/web/db.age") == NEW
    filesystem = subprocess.run(
        ["stat", "-f", "-c", "%T", scratch(fleet).parents[1]], capture_output=True, check=True
    )
    assert filesystem.stdout.strip() in (b"tmpfs", b"ramfs")
    nothing_left(fleet)


def test_new_secret_starts_empty(fleet: Fleet) -> None:
    editor = script(fleet, f"assert file.read_bytes() == b''; file.write_bytes({NEW!r})")
    fleet.run("edit", "mail", "--to", "web2", EDITOR=editor)
    assert fleet.readers("secrets/mail.age") == ["alice", "web2"]
    assert fleet.opens("web2", "secrets/mail.age") == NEW
    nothing_left(fleet)


def test_editor_that_replaces_the_file_is_fine(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    code = f"n = file.with_name('new'); n.write_bytes({NEW!r}); os.replace(n, file)\nfile.with_name('db~').write_bytes({OLD!r})"
    fleet.run("edit", "web/db", EDITOR=script(fleet, code))
    assert fleet.run("show", "web/db").stdout == NEW
    nothing_left(fleet)


def test_binary_values_are_edited(fleet: Fleet) -> None:
    value = bytes(range(256)) + OLD
    fleet.set("web/db", value)
    editor = script(fleet, "file.write_bytes(file.read_bytes()[::-1])")
    fleet.run("edit", "web/db", EDITOR=editor)
    assert fleet.run("show", "web/db").stdout == value[::-1]


@pytest.mark.parametrize(
    "code", ["sys.exit(3)", "os.kill(os.getpid(), 9)", "file.unlink()", "file.unlink(); file.mkdir()"]
)
def test_failing_editor_writes_nothing(fleet: Fleet, code: str) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    write = "" if "unlink" in code else f"file.write_bytes({NEW!r})\n"
    done = fleet.run("edit", "web/db", EDITOR=script(fleet, write + code), code=_any(fleet, code))
    assert b"secretsmith: error: " in done.stderr
    assert fleet.files() == before
    nothing_left(fleet)


def _any(fleet: Fleet, code: str) -> int:
    return {"file.unlink()": 4, "file.unlink(); file.mkdir()": 2}.get(code, 1)


def test_editor_that_cannot_be_started_is_said(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    for editor, text in (("/nonexistent/ed", b"no such file"), ("vim 'x", b"unbalanced quotes")):
        assert text in fleet.run("edit", "web/db", EDITOR=editor, code=1 if "/" in editor else 2).stderr
    assert fleet.files() == before


def test_no_shell_runs_the_editor(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    fleet.run("edit", "web/db", EDITOR=f"true; touch {fleet.folder}/pwned; :", code=1)
    fleet.run("edit", "web/db", EDITOR="true $(touch pwned)")
    assert not (fleet.folder / "pwned").exists()
    assert not (fleet.root / "pwned").exists()


def test_unchanged_text_writes_nothing(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    said = fleet.run("edit", "web/db", EDITOR=script(fleet, "")).stderr
    assert b"unchanged, nothing was written" in said
    assert fleet.files() == before
    assert b"unchanged" in fleet.run("edit", "web/new", EDITOR=script(fleet, "")).stderr
    assert fleet.files() == before


@pytest.mark.parametrize(
    ("old", "typed", "stored"),
    [
        (b"a", b"b\n", b"b"),
        (b"a", b"b", b"b"),
        (b"a\n", b"b\n", b"b\n"),
        (b"a\nb", b"a\nc\n", b"a\nc"),
        (b"", b"b\n", b"b"),
        (None, b"b\n", b"b"),
        (None, b"-----BEGIN X-----\nb\n", b"-----BEGIN X-----\nb\n"),
    ],
)
def test_newline_that_the_editor_added(fleet: Fleet, old: bytes | None, typed: bytes, stored: bytes) -> None:
    if old is not None:
        fleet.set("web/db", old)
    editor = script(fleet, f"file.write_bytes({typed!r})")
    fleet.run("edit", "web/db", EDITOR=editor)
    assert fleet.run("show", "web/db").stdout == stored
    fleet.run(
        "edit",
        "web/db",
        "--keep-newline",
        EDITOR=script(fleet, f"file.write_bytes({typed + b'c'!r} + b'\\n')"),
    )
    assert fleet.run("show", "web/db").stdout == typed + b"c\n"


def test_newline_alone_is_no_change(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    editor = script(fleet, "file.write_bytes(file.read_bytes() + b'\\n')")
    assert b"unchanged" in fleet.run("edit", "web/db", EDITOR=editor).stderr
    assert fleet.files() == before


@given(old=st.none() | st.binary(max_size=20), typed=st.binary(max_size=20))
def test_at_most_one_newline_is_removed(old: bytes | None, typed: bytes) -> None:
    kept = without_added_newline(None if old is None else Sensitive(old), Sensitive(typed)).expose()
    assert kept == typed or kept + b"\n" == typed
    if old is not None and old.endswith(b"\n"):
        assert kept == typed
    if old and not old.endswith(b"\n"):
        # An editor that ends each file with a newline leaves a value that had none as it was.
        assert without_added_newline(Sensitive(old), Sensitive(old + b"\n")).expose() == old


def test_file_that_changed_underneath_is_not_overwritten(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    other = "import subprocess; subprocess.run([sys.executable, '-m', 'secretsmith', 'set', 'web/db'], input=b'theirs', check=True)"
    done = fleet.run("edit", "web/db", EDITOR=script(fleet, f"{other}\nfile.write_bytes({NEW!r})"), code=9)
    assert fleet.run("show", "web/db").stdout == b"theirs"
    assert b"kept, encrypted to you and the admins, in secrets/web/db.rej.age" in done.stderr
    assert fleet.run("show", "secrets/web/db.rej.age").stdout == NEW
    assert fleet.readers("secrets/web/db.rej.age") == ["alice"]
    fleet.run(
        "edit", "web/db.age", EDITOR=script(fleet, f"{other}\nfile.write_bytes({NEW!r} + b'2')"), code=9
    )
    assert fleet.run("show", "secrets/web/db.rej1.age").stdout == NEW + b"2"
    nothing_left(fleet)


def test_text_is_kept_when_the_registry_became_invalid(fleet: Fleet) -> None:
    toml = str(fleet.root / "secretsmith.toml")
    code = f"Path({toml!r}).write_text('[[[')\nfile.write_bytes({NEW!r})"
    fleet.set("web/db", OLD)
    good = fleet.registry
    done = fleet.run("edit", "web/new/deep", EDITOR=script(fleet, code), code=2)
    assert b"secrets/web/deep.rej.age" in done.stderr
    fleet.write_registry(good)
    assert fleet.run("show", "secrets/web/deep.rej.age").stdout == NEW
    nothing_left(fleet)


def test_questions_come_before_the_editor(fleet: Fleet) -> None:
    for state in fleet.root.rglob(".secretsmith/*"):
        state.unlink()
    fleet.run("edit", "web/db", EDITOR=script(fleet, ""), code=2)
    assert not (fleet.folder / "where").exists(), "the editor ran, and its text would have been refused"


def test_order_of_the_variables(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    variables = ["EDITOR", "VISUAL", "SOPS_EDITOR", "SECRETSMITH_EDITOR"]
    given: dict[str, str] = {}
    for name in variables:
        given[name] = script(fleet, f"file.write_text({name!r})", name)
        fleet.run("edit", "web/db", extra=given)
        assert fleet.run("show", "web/db").stdout.decode() == name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_during_the_editor_leaves_nothing(fleet: Fleet, number: signal.Signals) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    code = f"file.write_bytes({NEW!r}); (file.parent / '.db.swp').write_bytes({NEW!r})\nprint('ready', os.getpid(), flush=True)\ntime.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-m", "secretsmith", "edit", "web/db"],
        cwd=fleet.root,
        env={**fleet.environ, "EDITOR": script(fleet, code)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        ready, editor = process.stdout.readline().split()
        assert ready == b"ready"
        assert scratch(fleet).exists()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert not Path(f"/proc/{int(editor)}").exists(), "the editor outlived us"
    assert fleet.files() == before
    nothing_left(fleet)


def edit_on_terminal(fleet: Fleet, editor: str) -> OnTerminal:
    argv = [sys.executable, "-m", "secretsmith", "edit", "web/db"]
    return OnTerminal(argv, cwd=fleet.root, environ={**fleet.environ, "EDITOR": editor})


def hostile_vimrc(fleet: Fleet) -> None:
    """A configuration as people have it: everything kept, in the home folder."""
    for name in ("backup", "swap", "undo"):
        (fleet.home / name).mkdir()
    (fleet.home / ".vimrc").write_text(
        "set backup writebackup backupdir=~/backup\nset swapfile directory=~/swap updatecount=1\n"
        "set undofile undodir=~/undo\nset viminfo='100,<50,s10,h,n~/.viminfo\nset history=100\n"
    )


def test_real_vim_keeps_no_copy(fleet: Fleet, peer: Callable[[str], str]) -> None:
    hostile_vimrc(fleet)
    fleet.set("web/db", OLD)
    with edit_on_terminal(fleet, peer("vim.tiny")) as terminal:
        terminal.expect(OLD)
        terminal.settle()
        terminal.press(b"cc" + NEW)
        terminal.settle()
        terminal.press(b"\x1b")
        terminal.settle(1.2)  # after an escape vim waits for the rest of a key
        home = [str(path) for path in fleet.home.rglob("*") if path.is_file()]
        assert all(".ssh" in path or path.endswith(".vimrc") for path in home), (
            "vim keeps something while it runs"
        )
        terminal.press(b":wq\r")
        assert terminal.end() == 0, terminal.shown
    assert fleet.run("show", "web/db").stdout == NEW
    assert [path.name for path in fleet.home.rglob("*") if path.is_file() and ".ssh" not in path.parts] == [
        ".vimrc"
    ]
    assert fleet.holds(OLD) == []
    assert fleet.holds(NEW) == []


def test_vim_would_keep_copies_without_the_preset(fleet: Fleet, peer: Callable[[str], str]) -> None:
    """Shows that the test above can fail."""
    hostile_vimrc(fleet)
    plain = fleet.folder / "plain-editor"
    plain.write_text(f'#!/bin/sh\nexec {peer("vim.tiny")} "$@"\n')
    plain.chmod(0o755)
    fleet.set("web/db", OLD)
    with edit_on_terminal(fleet, str(plain)) as terminal:
        terminal.expect(OLD)
        terminal.settle()
        terminal.press(b"cc" + NEW + b"\x1b:wq\r")
        assert terminal.end() == 0
        assert b"plain-editor is not known here" in terminal.shown
    assert fleet.holds(OLD) != []


def test_real_nano_keeps_no_copy_and_owns_ctrl_c(fleet: Fleet, peer: Callable[[str], str]) -> None:
    (fleet.home / "backup").mkdir()
    (fleet.home / ".nanorc").write_text(
        'set backup\nset backupdir "~/backup"\nset historylog\nset locking\nset positionlog\n'
    )
    fleet.set("web/db", OLD)
    with edit_on_terminal(fleet, peer("nano")) as terminal:
        terminal.expect(OLD)
        terminal.settle()
        terminal.press(b"\x0b" + NEW)
        terminal.settle()
        terminal.press(b"\x03")  # shows the position; must not stop us
        terminal.settle()
        terminal.press(b"\x0f\r")
        terminal.settle()
        terminal.press(b"\x18")
        assert terminal.end() == 0, terminal.shown
    assert fleet.run("show", "web/db").stdout == NEW, "nano's final newline was removed"
    assert [path.name for path in fleet.home.rglob("*") if path.is_file() and ".ssh" not in path.parts] == [
        ".nanorc"
    ]
    assert fleet.holds(OLD) == []
    assert fleet.holds(NEW) == []


def test_ctrl_c_ends_a_simple_editor_and_nothing_is_written(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    code = f"file.write_bytes({NEW!r}); print('READY', os.getpgrp() == os.tcgetpgrp(0), flush=True); time.sleep(600)"
    with edit_on_terminal(fleet, script(fleet, code)) as terminal:
        terminal.expect(b"READY True")
        terminal.press(b"\x03")
        assert terminal.end() == 1
        assert b"nothing was written" in terminal.shown
    assert fleet.files() == before
    nothing_left(fleet)


def test_stopped_editor_goes_on(fleet: Fleet) -> None:
    """Ctrl-Z without a job-control shell above us: nobody could continue us, so the editor is continued at once."""
    fleet.set("web/db", OLD)
    code = f"print('READY', flush=True); sys.stdin.readline(); file.write_bytes({NEW!r})"
    with edit_on_terminal(fleet, script(fleet, code)) as terminal:
        terminal.expect(b"READY")
        terminal.press(b"\x1a")
        terminal.settle()
        terminal.press(b"go on\n")
        assert terminal.end() == 0, terminal.shown
    assert fleet.run("show", "web/db").stdout == NEW
    nothing_left(fleet)


def test_terminal_that_goes_away_leaves_nothing(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    before = fleet.files()
    code = f"file.write_bytes({NEW!r}); print('READY', flush=True); time.sleep(600)"
    with edit_on_terminal(fleet, script(fleet, code)) as terminal:
        terminal.expect(b"READY")
        os.kill(terminal.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 60
        while terminal.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert terminal.process.returncode == 130
    assert fleet.files() == before
    nothing_left(fleet)


def test_killed_edit_is_swept_by_the_next(fleet: Fleet) -> None:
    fleet.set("web/db", OLD)
    code = f"file.write_bytes({NEW!r}); print('ready', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-m", "secretsmith", "edit", "web/db"],
        cwd=fleet.root,
        env={**fleet.environ, "EDITOR": script(fleet, code)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    left = scratch(fleet)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert left.exists()
    fleet.run("edit", "web/db", EDITOR=script(fleet, "", "second"))
    assert not left.parent.exists()
