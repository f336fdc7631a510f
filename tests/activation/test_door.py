"""``secretsmith-activate``: arguments, what it prints and returns, what it imports, what it takes from its caller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment
from keys import ed25519_key

from secretsmith.activation.ramdisk import Memory
from secretsmith.cli.activate import parse_arguments, read_manifest
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Phase

PLAIN = ("--plain-folder",) if IS_ROOT else ("--plain-folder", "--owner-self")


def test_success(host: Host) -> None:
    host.add("db", b"hunter2")
    found = host.door(*PLAIN)
    assert (found.returncode, found.stdout) == (
        0,
        "secretsmith: web1: generation 1: +1 new, 0 changed, 0 unchanged, 0 removed\n",
    )
    assert "NOT RAM" in found.stderr
    assert "hunter2" not in found.stdout + found.stderr
    again = host.door(*PLAIN)
    assert again.stdout == "secretsmith: web1: generation 1: nothing to do, 1 unchanged\n"


def test_failure(host: Host) -> None:
    host.add("good")
    host.add("bad", b"hunter2", ed25519_key())
    found = host.door(*PLAIN)
    assert found.returncode == 5
    assert found.stdout.endswith("+1 new, 0 changed, 0 unchanged, 0 removed, 1 missing\n")
    assert "secretsmith: error: web1: bad: " in found.stderr
    assert "secretsmith: hint: on your workstation: " in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b"],
        ["--nope", "a"],
        ["a", "--status"],
        ["a", "--wait", "x"],
        ["a", "--wait", "-1"],
        ["a", "--wait", "9999"],
        ["a", "--no-mount", "--plain-folder"],
        ["a", "--phase", "later"],
        ["a", "--units", "openrc"],
        ["a", "--mount", "--dry-run"],
        ["a", "--mount", "--write-units", "/"],
        ["-h"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SecretsmithError) as caught:
        parse_arguments(arguments)
    assert (caught.value.code, caught.value.exit_code) == (Code.USAGE, 2)


def test_options() -> None:
    given = parse_arguments(["--status=s.json", "--wait", "5", "--owner-self", "m.json", "--no-mount"])
    options = given.options
    assert (given.manifest, given.action) == ("m.json", "activate")
    assert (options.memory, options.owner_self, options.wait) == (Memory.VERIFY, True, 5.0)
    assert options.status == str(Path.cwd() / "s.json")
    assert parse_arguments(["m"]).options.memory is Memory.MOUNT
    assert parse_arguments(["--phase", "users", "m"]).options.phase is Phase.USERS
    assert [parse_arguments([word, "m"]).action for word in ("--dry-run", "--mount")] == ["dry-run", "mount"]
    units = parse_arguments(["--write-units", "/etc/systemd/system", "m"])
    assert (units.action, units.folder) == ("units", "/etc/systemd/system")


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "writable", "broken"])
def test_a_manifest_that_cannot_be_used(host: Host, kind: str) -> None:
    path = host.folder / "manifest.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "writable":
        path.write_bytes(host.data())
        path.chmod(0o664)
    elif kind == "broken":
        path.write_text("{")
    found = subprocess.run(
        [sys.executable, "-m", "secretsmith.cli.activate", str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert found.returncode == {"missing": 4, "broken": 2}.get(kind, 1)
    assert found.stderr.startswith("secretsmith: error: ")
    assert "Traceback" not in found.stderr
    assert not host.generations.parent.exists()


def test_a_manifest_may_be_a_link(host: Host) -> None:
    path = host.write_manifest()
    (host.folder / "link").symlink_to(path)
    assert read_manifest(str(host.folder / "link")) == host.data()


def test_help_and_version(host: Host) -> None:
    for option, said in (("--help", "usage: secretsmith-activate"), ("--version", "secretsmith ")):
        found = host.door(option)
        assert found.returncode == 0
        assert found.stdout.startswith(said)


def imported(host: Host) -> set[str]:
    """Which modules a run of the door has imported in the end."""
    script = (
        "import sys, json; from secretsmith.cli.activate import main; code = main(sys.argv[1:]);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    command = host.command(*PLAIN)
    found = subprocess.run(
        [command[0], "-c", script, *command[3:]],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(found.stdout.splitlines()[-1]))


def test_imports_are_counted(host: Host) -> None:
    host.add("db")
    never = {
        "typer",
        "rich",
        "pydantic",
        "ruamel",
        "tomlkit",
        "keyring",
        "argparse",
        "subprocess",
        "click",
        "tomllib",
    }
    heavy = {"pyrage", "nacl", "cryptography", "ctypes", "secretsmith.crypto"}
    first = imported(host)
    assert "nacl" in first
    assert not (never | {"pyrage", "cryptography", "nacl.bindings"}) & first
    second = imported(host)
    assert not (never | heavy) & second
    assert not {name for name in second if name.startswith("secretsmith.")} & {
        "secretsmith.policy",
        "secretsmith.project",
        "secretsmith.operations",
        "secretsmith.documents",
        "secretsmith.activation.install",
    }
    assert len(second) < 140


def test_the_process_is_hardened(host: Host) -> None:
    script = (
        "import os, resource, sys, json, ctypes; from secretsmith.cli import activate as door;"
        "import secretsmith.activation.opening.hostkeys as hostkeys; real = hostkeys.load_host_keys\n"
        "def look(*a):\n"
        "    print(json.dumps({'env': dict(os.environ), 'core': resource.getrlimit(resource.RLIMIT_CORE),"
        " 'umask': os.umask(0o077), 'dumpable': ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}))\n"
        "    return real(*a)\n"
        "hostkeys.load_host_keys = look; sys.exit(door.main(sys.argv[1:]))"
    )
    host.add("db")
    command = host.command(*PLAIN)
    found = subprocess.run(
        [command[0], "-c", script, *command[3:]],
        env=environment(LD_PRELOAD="", OPENSSL_CONF="/x", SOPS_AGE_KEY="canary", TZ="UTC"),
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(next(line for line in found.stdout.splitlines() if line.startswith("{")))
    assert set(seen["env"]) == {"PATH", "LANG", "TZ"}
    assert seen["env"]["PATH"] == "/usr/sbin:/usr/bin:/sbin:/bin"
    assert (seen["core"], seen["umask"], seen["dumpable"]) == ([0, 0], 0o077, 0)


def test_sigterm_drops_the_draft(host: Host) -> None:
    script = (
        "import os, signal, sys; from secretsmith.cli import activate as door; from secretsmith.activation import generations;"
        "real = generations.write_whole\n"
        "def stop(fd, data):\n    real(fd, data); os.kill(os.getpid(), signal.SIGTERM)\n"
        "generations.write_whole = stop; sys.exit(door.main(sys.argv[1:]))"
    )
    host.add("db")
    command = host.command(*PLAIN)
    found = subprocess.run(
        [command[0], "-c", script, *command[3:]],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 130
    assert found.stderr == "secretsmith: error: interrupted\n"
    assert not list(host.generations.iterdir())


def test_nobody_listens(host: Host) -> None:
    host.add("db")
    found = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *host.command(*PLAIN)], env=environment(), check=False
    )
    assert host.installed() == {"db": b"value"}
    assert found.returncode in (0, 1)


def test_a_status_file_that_cannot_be_written(host: Host) -> None:
    host.add("db")
    host.status_file.mkdir()
    found = host.door(*PLAIN)
    assert found.returncode == 1
    assert str(host.status_file) in found.stderr
    assert host.installed() == {"db": b"value"}


@pytest.mark.usefixtures("as_root")
def test_the_real_default(host: Host) -> None:
    """As root, by the book: tmpfs, owners, the real user database, the default status file out of the way."""
    host.add("db", b"hunter2", owner="nobody", group="daemon", mode="0440")
    found = host.door()
    assert (found.returncode, found.stderr) == (0, "")
    state = (host.directory / "db").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (65534, 1, 0o440)
    assert host.status_file.stat().st_mode & 0o7777 == 0o600
