from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import Fleet
from terminals import OnTerminal

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.runvalues import Values, as_environment, as_files
from secretsmith.sensitive import Sensitive

CANARY = b"canary-of-run"
YAML = b"""# about
user: app
port: 25
ratio: 1.0
wide: 1e21
on: true
nothing: null
when: 2020-01-02
text: "two\\nlines "
empty: ""
"""
NESTED = b"db:\n  # who\n  user: app\n  hosts: [one, two]\n  deep:\n    er: x\ntop: y\n"


def document(fleet: Fleet, path: str, text: bytes) -> None:
    """Make a document that alice opens, and the real sops with her ssh key."""
    target = fleet.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(new_document(format_of(path), text, [[fleet.public["alice"]]]))


def environment(output: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b"=", 1) for line in output.split(b"\0") if line)


def values(found: dict[tuple[str | int, ...], bytes], label: str = "secrets/app.yaml") -> Values:
    return Values(label, {path: Sensitive(value) for path, value in found.items()})


# What becomes a variable


def test_names_are_keys_joined() -> None:
    given = values({("db", "user"): b"app", ("db", "hosts", 0): b"one", ("top",): b""})
    assert as_environment(given) == {b"db_user": b"app", b"db_hosts_0": b"one", b"top": b""}


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("secrets/web/db-password.age", b"DB_PASSWORD"),
        ("tls.key.age", b"TLS_KEY"),
        ("1st.age", b"_1ST"),
        ("schlüssel.age", b"SCHL_SSEL"),
        ("blob", b"BLOB"),
    ],
)
def test_one_value_is_named_by_its_file(label: str, name: bytes) -> None:
    assert as_environment(values({(): CANARY}, label)) == {name: CANARY}
    assert as_environment(values({(): CANARY}, label), "token") == {b"token": CANARY}


@pytest.mark.parametrize(
    ("found", "code", "named"),
    [
        ({("smtp-host",): CANARY}, Code.NAME, "'smtp-host'"),
        ({("a=b",): CANARY}, Code.NAME, "'a=b'"),
        ({("0",): CANARY}, Code.NAME, "'~k0'"),
        ({("",): CANARY}, Code.NAME, "'~k'"),
        ({("ü",): CANARY}, Code.NAME, "'\\xfc'"),
        ({("a\0",): CANARY}, Code.NAME, "'a\\x00'"),
        ({("a\n",): CANARY}, Code.NAME, "'a\\n'"),
        ({("a",): CANARY + b"\0"}, Code.YAML_VALUE, "'a'"),
        ({("a",): CANARY * 20_000}, Code.TOO_BIG, "'a'"),
        ({("a_b",): CANARY, ("a", "b"): CANARY}, Code.NAME_CLASH, "'a/b'"),
    ],
)
def test_what_no_environment_holds_is_refused_naming_the_key(
    found: dict[tuple[str | int, ...], bytes], code: Code, named: str
) -> None:
    with pytest.raises(RefusedInput) as refused:
        as_environment(values(found))
    assert refused.value.code is code
    assert named in refused.value.message
    assert CANARY.decode() not in refused.value.message + "".join(refused.value.hints)


def test_name_is_for_one_value() -> None:
    for make in (as_environment, as_files):
        with pytest.raises(RefusedInput, match="--name"):
            make(values({("a",): CANARY}), "token")


@pytest.mark.parametrize("key", ["a/b", "..", ".", "", "a\0b", "x" * 256, "\udc80"])
def test_what_no_file_can_be_called_is_refused(key: str) -> None:
    with pytest.raises(RefusedInput) as refused:
        as_files(values({("deep", key): CANARY}))
    assert refused.value.code is Code.NAME
    assert CANARY.decode() not in refused.value.message


# The program


def test_as_the_real_sops(fleet: Fleet, peer: Callable[[str], str]) -> None:
    document(fleet, "secrets/app.yaml", YAML)
    document(fleet, "secrets/app.env", b"A=1\n#c\nB=x y\n")
    for path in ("secrets/app.yaml", "secrets/app.env"):
        argv = [peer("sops"), "exec-env", "--pristine", path, "env -0"]
        real = subprocess.run(argv, cwd=fleet.root, env=fleet.environ, capture_output=True, check=True)
        theirs = environment(real.stdout)
        del theirs[b"PWD"]  # of its shell
        assert environment(fleet.run("run", "--pristine", path, "--", "env", "-0").stdout) == theirs
        assert len(theirs) > 1


def test_nested_values_come_too(fleet: Fleet) -> None:
    document(fleet, "secrets/app.yaml", NESTED)
    found = environment(fleet.run("run", "--pristine", "app", "--", "env", "-0").stdout)
    assert found == {
        b"db_user": b"app",
        b"db_hosts_0": b"one",
        b"db_hosts_1": b"two",
        b"db_deep_er": b"x",
        b"top": b"y",
    }


@pytest.mark.parametrize("value", [CANARY, b"", b" a\nb\n\n", b"\xff\xfe"])
def test_an_age_file_is_one_variable_byte_for_byte(fleet: Fleet, value: bytes) -> None:
    fleet.set("web/db-password", value)
    shown = fleet.run("run", "web/db-password", "--", "sh", "-c", 'printf %s "$DB_PASSWORD"').stdout
    assert shown == value
    named = fleet.run("run", "--name", "pw", "web/db-password", "--", "sh", "-c", 'printf %s "$pw"').stdout
    assert named == value


def test_a_binary_document_is_one_variable(fleet: Fleet) -> None:
    path = fleet.root / "secrets/blob.bin"
    path.parent.mkdir()
    path.write_bytes(new_document(Format.BINARY, CANARY, [[fleet.public["alice"]]]))
    assert fleet.run("run", "./secrets/blob.bin", "--", "sh", "-c", 'printf %s "$BLOB"').stdout == CANARY


def test_without_a_registry(fleet: Fleet, tmp_path: Path) -> None:
    document(fleet, "app.yaml", YAML)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (fleet.root / "app.yaml").rename(elsewhere / "app.yaml")
    fleet.encrypt("value", fleet.public["alice"], value=CANARY).rename(elsewhere / "value")
    shown = fleet.run("run", "app.yaml", "--", "sh", "-c", "echo $user", cwd=elsewhere)
    assert shown.stdout == b"app\n"
    assert fleet.run("run", "value", "--", "printenv", "VALUE", cwd=elsewhere).stdout == CANARY + b"\n"


def test_environment_of_the_program(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    words = ("run", "web/db", "--", "env", "-0")
    key = (fleet.private / "bob").read_text()
    mine = {"DB": "mine", "OTHER": "kept", "SOPS_AGE_KEY": key, "SOPS_AGE_KEY_FILE": "/x"}
    found = environment(fleet.run(*words, extra=mine).stdout)
    assert found[b"DB"] == CANARY
    assert found[b"OTHER"] == b"kept"
    assert found[b"SOPS_AGE_KEY_FILE"] == b"/x"
    assert b"SOPS_AGE_KEY" not in found


def test_the_program_takes_our_place(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    argv = [sys.executable, "-m", "secretsmith", "run", "web/db", "--", "sh", "-c", "echo $$"]
    done = subprocess.Popen(argv, cwd=fleet.root, env=fleet.environ, stdout=subprocess.PIPE)
    said, _ = done.communicate(timeout=60)
    assert int(said) == done.pid


def test_it_is_found_in_our_path_and_not_in_that_of_the_secret(fleet: Fleet, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "true").write_text("#!/bin/sh\necho trapped\n")
    (trap / "true").chmod(0o755)
    fleet.set("web/places", str(trap).encode())
    given = ("run", "--name", "PATH", "web/places", "--")
    assert fleet.run(*given, "true").stdout == b""
    assert fleet.run(*given, "/bin/sh", "-c", "echo $PATH").stdout == f"{trap}\n".encode()


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_AUDIT",
        "PATH",
        "BASH_ENV",
        "PYTHONPATH",
        "PERL5OPT",
        "NODE_OPTIONS",
        "GIT_SSH_COMMAND",
        "IFS",
    ],
)
def test_a_document_does_not_choose_the_code_that_runs(fleet: Fleet, name: str) -> None:
    document(fleet, "secrets/app.yaml", f"password: x\n{name}: {CANARY.decode()}\n".encode())
    refused = fleet.run("run", "app", "--", "sh", "-c", "echo ran", code=2)
    assert refused.stdout == b""
    assert f"would be the variable {name}".encode() in refused.stderr
    assert CANARY not in refused.stderr
    # Whoever says so gets it.
    script = f'{name}="$(cat {{}}/{name})"; printf %s "${name}"'
    assert fleet.run("run", "--files", "app", "--", "sh", "-c", script).stdout == CANARY


def test_a_file_does_not_choose_it_by_its_name_and_people_may() -> None:
    with pytest.raises(RefusedInput, match="PATH"):
        as_environment(values({(): CANARY}, "secrets/web/path.age"))
    assert as_environment(values({(): CANARY}, "secrets/web/path.age"), "PATH") == {b"PATH": CANARY}
    usual: dict[tuple[str | int, ...], bytes] = {
        (name,): b"" for name in ("ENV", "USER", "PATH_PREFIX", "DATABASE_URL", "PYTHON_ENV", "GIT_TOKEN")
    }
    assert len(as_environment(values(usual))) == len(usual)


@pytest.mark.parametrize("files", [(), ("--files",)])
def test_exit_codes_and_signals_are_those_of_the_program(fleet: Fleet, files: tuple[str, ...]) -> None:
    fleet.set("web/db", CANARY)
    for code in (0, 1, 3, 42, 255):
        fleet.run("run", *files, "web/db", "--", "sh", "-c", f"exit {code}", code=code)
    argv = [sys.executable, "-m", "secretsmith", "run", *files, "web/db", "--", "sh", "-c", "kill -9 $$"]
    done = subprocess.run(argv, cwd=fleet.root, env=fleet.environ, check=False)
    assert done.returncode == (137 if files else -signal.SIGKILL)  # a shell says 137 of both


@pytest.mark.parametrize("files", [(), ("--files",)])
def test_the_program_gets_words_input_and_signals_as_usual(fleet: Fleet, files: tuple[str, ...]) -> None:
    fleet.set("web/db", CANARY)
    words = fleet.run("run", *files, "web/db", "--", "printf", "<%s>", "", "a b", "--", "-x", "$HOME").stdout
    assert words == b"<><a b><--><-x><$HOME>"
    assert fleet.run("run", *files, "web/db", "--", "cat", stdin=b"input").stdout == b"input"
    # Python ignores SIGPIPE; a program that is started by it must not.
    status = fleet.run("run", *files, "web/db", "--", "cat", "/proc/self/status").stdout
    # What this test's own surroundings ignore is nothing that `run` could know of.
    plain = subprocess.run(["cat", "/proc/self/status"], capture_output=True, check=True).stdout
    assert [_mask(status, name) for name in ("SigIgn", "SigBlk")] == [
        _mask(plain, name) for name in ("SigIgn", "SigBlk")
    ]
    assert not _mask(status, "SigIgn") >> (signal.SIGPIPE - 1) & 1


def _mask(status: bytes, name: str) -> int:
    found = [line for line in status.decode().splitlines() if line.startswith(f"{name}:")]
    return int(found[0].split()[1], 16)


def test_refusals_start_nothing(fleet: Fleet) -> None:
    document(fleet, "secrets/app.yaml", b"smtp-host: canary-of-run\n")
    said = fleet.run("run", "app", "--", "touch", "started", code=2).stderr
    assert b"'smtp-host'" in said
    assert CANARY not in said
    assert not (fleet.root / "started").exists()
    assert fleet.run("run", "--files", "app", "--", "cat", "{}/smtp-host").stdout == CANARY
    fleet.set("web/db", CANARY)
    assert b"no program" in fleet.run("run", "web/db", "--", "no-such-program", code=4).stderr
    assert b"no program" in fleet.run("run", "--files", "web/db", "--", "", code=4).stderr
    fleet.run("run", "web/db", code=2)
    fleet.run("run", "web/nothing", "--", "true", code=4)


def test_a_file_that_is_no_program(fleet: Fleet, tmp_path: Path) -> None:
    fleet.set("web/db", CANARY)
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    for files in ((), ("--files",)):
        assert b"cannot be started" in fleet.run("run", *files, "web/db", "--", str(broken), code=1).stderr


def test_more_than_an_environment_holds(fleet: Fleet) -> None:
    # The limit is a quarter of the stack's, at least 128 KiB and in all at most 6 MiB (execve(2)).
    text = {f"k{number}": "x" * 120_000 for number in range(60)}
    document(fleet, "secrets/app.json", json.dumps(text).encode())
    said = fleet.run("run", "app", "--", "true", code=2).stderr
    assert b"--files" in said
    assert fleet.run("run", "--files", "app", "--", "cat", "{}/k59").stdout == b"x" * 120_000


def test_integrity_comes_before_the_program(fleet: Fleet) -> None:
    document(fleet, "secrets/app.yaml", YAML)
    path = fleet.root / "secrets/app.yaml"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if not line.startswith(b"user:")))
    said = fleet.run("run", "app", "--", "touch", "started", code=6).stderr
    assert b"MAC" in said
    assert not (fleet.root / "started").exists()


def test_who_cannot_open_it_is_told_as_by_show(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    bob = str(fleet.private / "bob")
    said = fleet.run("run", "web/db", "--", "true", code=5, HOME="/nonexistent", SECRETSMITH_IDENTITY=bob)
    assert b"it can be read by: alice, web1" in said.stderr


# Files

LOOK = """
import json, os, stat, sys
top = sys.argv[1]
assert top == os.environ["SECRETSMITH_FILES"]
found = dict()
for folder, names, files in os.walk(top):
    for name in [".", *files]:
        path = os.path.join(folder, name)
        mode = stat.S_IMODE(os.stat(path).st_mode)
        text = "" if name == "." else open(path, "rb").read().decode("latin-1")
        found[os.path.relpath(path, top)] = (oct(mode), text)
print(json.dumps({"top": top, "found": found, "user": os.environ.get("user")}))
"""


def test_values_as_files(fleet: Fleet) -> None:
    document(fleet, "secrets/app.yaml", NESTED)
    said = json.loads(fleet.run("run", "--files", "app", "--", sys.executable, "-c", LOOK, "{}").stdout)
    assert said["found"] == {
        ".": ["0o700", ""],
        "db": ["0o700", ""],
        "db/user": ["0o400", "app"],
        "db/hosts": ["0o700", ""],
        "db/hosts/0": ["0o400", "one"],
        "db/hosts/1": ["0o400", "two"],
        "db/deep": ["0o700", ""],
        "db/deep/er": ["0o400", "x"],
        "top": ["0o400", "y"],
    }
    assert said["user"] is None, "values are given in one way"
    assert not Path(said["top"]).exists()


def test_one_value_as_a_file(fleet: Fleet) -> None:
    fleet.set("web/db-password", b"\0" + CANARY)
    shown = fleet.run("run", "--files", "web/db-password", "--", "cat", "{}/db-password").stdout
    assert shown == b"\0" + CANARY
    named = fleet.run(
        "run", "--files", "--name", "pw", "web/db-password", "--", "sh", "-c", "cat {}/pw"
    ).stdout
    assert named == b"\0" + CANARY


def test_pristine_with_files(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    found = environment(fleet.run("run", "--files", "--pristine", "web/db", "--", "env", "-0").stdout)
    assert set(found) == {b"SECRETSMITH_FILES"}


def test_files_lie_in_memory_and_go_when_the_program_fails(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    script = "stat -f -c %T {}; echo {}; mkdir -m 0 {}/more; chmod 0 {}; exit 7"
    said = fleet.run("run", "--files", "web/db", "--", "sh", "-c", script, code=7).stdout.decode().split()
    assert said[0] in ("tmpfs", "ramfs")
    assert not Path(said[1]).exists()


class Running:
    """A program with files that waits, started as a process group of its own."""

    def __init__(self, fleet: Fleet, script: str) -> None:
        argv = [sys.executable, "-m", "secretsmith", "run", "--files", "web/db", "--", "sh", "-c", script]
        self.process = subprocess.Popen(
            argv, cwd=fleet.root, env=fleet.environ, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        self.folder = Path(self.process.stdout.readline().decode().strip())
        assert self.folder.is_dir()

    def end(self) -> tuple[int, bytes]:
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


WAITING = "echo {}; while :; do sleep 0.05; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_are_sent_on_and_the_files_go(fleet: Fleet, number: signal.Signals) -> None:
    fleet.set("web/db", CANARY)
    running = Running(fleet, WAITING)
    running.process.send_signal(number)
    assert running.end() == (128 + number, b"")
    assert not running.folder.exists()


def test_a_program_may_survive_a_signal(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    script = "trap 'n=$((n+1))' TERM; trap 'echo got $n; cat {}/db; exit 9' USR1; " + WAITING
    running = Running(fleet, script)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
        running.process.send_signal(number)
        time.sleep(0.3)
    assert running.end() == (9, b"got 2\n" + CANARY)
    assert not running.folder.exists()


def test_what_a_killed_run_leaves_is_removed_by_the_next(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    running = Running(fleet, WAITING)
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    running.process.kill()
    running.process.wait()
    assert running.folder.exists()
    fleet.run("run", "--files", "web/db", "--", "true")
    assert not running.folder.exists()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    running.end()


def test_no_core_holds_the_values(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    code = f"import resource; print(resource.getrlimit({resource.RLIMIT_CORE}))"
    assert fleet.run("run", "web/db", "--", sys.executable, "-c", code).stdout == b"(0, 0)\n"


# On a terminal


def on_terminal(fleet: Fleet, script: str) -> OnTerminal:
    argv = [sys.executable, "-m", "secretsmith", "run", "--files", "web/db", "--", "sh", "-c", script]
    return OnTerminal(argv, cwd=fleet.root, environ=fleet.environ)


def test_interrupt_reaches_the_program_once(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    script = 'echo $$ > pid; trap "echo got-it" INT; trap "exit 5" TERM; echo ready {}; ' + (
        "while :; do sleep 0.05; done"
    )
    with on_terminal(fleet, script) as terminal:
        terminal.expect(b"ready")
        terminal.press(b"\x03")
        terminal.expect(b"got-it")
        terminal.settle()
        assert terminal.shown.count(b"got-it") == 1
        folder = Path(terminal.shown.split(b"ready ")[1].split()[0].decode())
        assert folder.is_dir(), "the program lives on, and so do its files"
        os.kill(int((fleet.root / "pid").read_text()), signal.SIGTERM)
        assert terminal.end() == 5
    assert not folder.exists()


def test_interrupt_that_ends_the_program_removes_the_files(fleet: Fleet) -> None:
    fleet.set("web/db", CANARY)
    with on_terminal(fleet, "echo ready {}; exec sleep 60") as terminal:
        terminal.expect(b"ready")
        terminal.settle()
        folder = Path(terminal.shown.split(b"ready ")[1].split()[0].decode())
        terminal.press(b"\x03")
        assert terminal.end() == 130
    assert not folder.exists()
