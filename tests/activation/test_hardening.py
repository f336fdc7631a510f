"""What the program takes from itself, and how it touches files, as the kernel sees it: the hardening list of a root hook."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import IS_ROOT, Host, environment
from keys import ed25519_key
from worlds import OPTIONS, World

from secretsmith.activation import kernel
from secretsmith.activation.hardening import harden_process

# What is as it was when the first private key is about to be read, and again when the last value has been written.
LOOK = """\
import ctypes, json, os, resource, sys
from secretsmith.cli import activate as door
import secretsmith.activation.opening.hostkeys as hostkeys, secretsmith.activation.install as install
def look(when):
    umask = os.umask(0o077)
    os.umask(umask)
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    print("LOOK" + json.dumps({"when": when, "env": dict(os.environ), "umask": umask,
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), "locked": int(status["VmLck"].split()[0]),
        "owner": os.stat("/proc/self/mem").st_uid}))
def before(holder, name, when):
    real = getattr(holder, name)
    def looked(*given, **named):
        look(when)
        return real(*given, **named)
    setattr(holder, name, looked)
before(hostkeys, "load_host_keys", "keys")
before(install, "_finish", "installed")
"""


def looked_at(host: Host, *before: str, prepare: str = "", **variables: str) -> dict[str, dict[str, object]]:
    command = host.command(*OPTIONS)
    done = subprocess.run(
        [*before, command[0], "-c", f"{LOOK}{prepare}\nsys.exit(door.main(sys.argv[1:]))", *command[3:]],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("LOOK")]
    return {look["when"]: look for look in found}


HOSTILE = {
    "LD_PRELOAD": "",
    "LD_LIBRARY_PATH": "/evil",
    "OPENSSL_CONF": "/evil",
    "PYTHONSTARTUP": "/evil",
    "SOPS_AGE_KEY": "canary",
    "SECRETSMITH_IDENTITY": "/evil",
    "GIT_DIR": "/evil",
    "XDG_RUNTIME_DIR": "/evil",
    "HOME": "/evil",
    "IFS": "x",
    "BASH_ENV": "/evil",
    "LANG": "tr_TR.UTF-8",
    "TZ": "UTC",
}


def test_before_the_first_key_is_read(host: Host) -> None:
    """No core, not dumpable, nothing of the caller's environment, files for nobody else: until the end."""
    host.add("db")
    found = looked_at(
        host, "sh", "-c", 'umask 0; ulimit -c unlimited 2>/dev/null; exec "$@"', "sh", **HOSTILE
    )
    assert set(found) == {"keys", "installed"}
    for look in found.values():
        assert look["env"] == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
        assert look["core"] == [0, 0]
        assert look["umask"] == 0o077
        assert look["dumpable"] == 0
        assert look["owner"] == 0, "/proc/PID/mem is root's, whoever runs it"


def test_a_core_is_not_written(host: Host) -> None:
    """A crash in the middle of it: the signal kills, and says that no core was dumped."""
    host.add("db")
    command = host.command(*OPTIONS)
    crash = "install._finish = lambda *a: os.abort()"
    script = 'ulimit -c unlimited 2>/dev/null; exec "$@"'
    child = subprocess.Popen(
        ["sh", "-c", script, "sh", command[0], "-c", f"{LOOK}{crash}\ndoor.main(sys.argv[1:])", *command[3:]],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=host.folder,
    )
    _, status = os.waitpid(child.pid, 0)
    child.returncode = status
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)
    assert not list(host.folder.glob("core*"))


@pytest.mark.usefixtures("as_root")
def test_memory_is_locked_with_the_capability(host: Host) -> None:
    host.add("db")
    assert looked_at(host)["keys"]["locked"] != 0


@pytest.mark.usefixtures("as_root")
def test_memory_is_not_locked_below_a_limit(host: Host, peer: Callable[[str], str]) -> None:
    """Below RLIMIT_MEMLOCK a lock of all future memory would let a later malloc fail, and with it the activation."""
    host.add("db", os.urandom(12 << 20))
    without = (peer("setpriv"), "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock", "--")
    found = looked_at(host, "sh", "-c", 'ulimit -l 8192; exec "$@"', "sh", *without)
    assert found["keys"]["locked"] == 0
    assert len(host.installed()["db"]) == 12 << 20


@pytest.mark.parametrize("limit", [65536, resource.RLIM_INFINITY])
def test_without_the_capability_memory_is_locked_only_without_a_limit(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    class Library:
        def mlockall(self, flags: int) -> int:
            called.append(flags)
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda *_: Library())
    monkeypatch.setattr(kernel, "_has", lambda _: False)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    kernel.lock_memory()
    assert called == ([7] if limit == resource.RLIM_INFINITY else [])


def test_no_traceback_quotes_a_line_of_code(host: Host) -> None:
    script = (
        "from secretsmith.activation.hardening import harden_process; harden_process()\n"
        "raise ValueError('canary of a value')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "secretsmith: error: internal error: ValueError\n"
    assert harden_process.__module__ == "secretsmith.activation.hardening"


@pytest.fixture
def world(host: Host) -> World:
    """A host with all that there is, and one secret that fails as well."""
    folder = host.folder / "world"
    folder.mkdir(mode=0o755)
    made = World(Host(folder))
    made.reset()
    made.host.add("bad", b"x", ed25519_key(), required=False)
    return made


class Call:
    """One line of strace -y: ``openat(5</run>, "name", FLAGS…) = 6</run/name>``."""

    def __init__(self, name: str, arguments: str, result: str) -> None:
        self.name, self.arguments, self.result = name, arguments, result
        self.paths = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
        first = re.match(r"(\d+|AT_FDCWD)<([^>]*)>", arguments)
        self.descriptor, self.folder = (first[1], first[2]) if first else ("", "")


def calls(world: World, tracer: str, which: str, *options: str) -> Iterator[Call]:
    log = world.folder.parent / "trace"
    command = [tracer, "-f", "-y", "-s", "512", "-o", str(log), "-e", f"trace={which}"]
    done = subprocess.run(
        [*command, *world.host.command(*OPTIONS, *options)],
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in log.read_text().splitlines():
        if match := re.match(r"\d+ +(\w+)\((.*)\) += (.*)", line):
            yield Call(match[1], match[2], match[3])


def test_no_program_is_executed(world: World, peer: Callable[[str], str]) -> None:
    """One execve: the program itself. No shell, no git, no gpg, no plugin, no helper, and no other process or thread."""
    # What could tempt it: a folder full of programs, first in PATH, and a repository around the sources.
    tempting = world.folder / "bin"
    tempting.mkdir()
    for name in ("git", "age", "gpg", "ssh-keygen", "sh", "mount", "systemctl", "age-plugin-x"):
        (tempting / name).write_text("#!/bin/sh\nexit 1\n")
        (tempting / name).chmod(0o755)
    (world.folder / ".git" / "hooks").mkdir(parents=True)
    names = "execve,execveat,fork,vfork,clone,clone3"
    for options in ((), ("--dry-run",), ()):
        found = [*calls(world, peer("strace"), names, *options)]
        assert [call.name for call in found] == ["execve"], found
        assert "secretsmith.cli.activate" in found[0].arguments


def test_only_programs_of_systemd_are_executed(tmp_path: Path) -> None:
    """By the code: two modules may start programs, and each of them knows one name."""
    source = Path(kernel.__file__).parent
    starting = re.compile(
        r"\bsubprocess\b|\bos\.(system|exec|spawn|popen|posix_spawn|fork)|\bpty\b|\bctypes\b.*exec"
    )
    found = {path.name for path in source.rglob("*.py") if starting.search(path.read_text())}
    known = {"telling.py": "systemctl", "sealing.py": "systemd-creds"}
    assert found == known.keys()
    for name, program in known.items():
        text = (source / "units" / name).read_text()
        assert text.count("subprocess.run(") == 1
        assert text.count("Popen") == 0 and "shell=" not in text
        assert re.findall(r'f"\{folder\}/([\w-]+)"', text) == [program]


def below(world: World, path: str) -> bool:
    return path.startswith(str(world.folder)) and not path.endswith((".age", "manifest.json", "host_key"))


def test_every_path_is_reached_by_descriptors(world: World, peer: Callable[[str], str]) -> None:
    """Whatever is written is named by one name in a folder that is held open; no path is walked twice."""
    writes = (
        "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,symlink,symlinkat,link,linkat,"
        "mknod,mknodat,chmod,fchmodat,chown,lchown,fchownat,truncate,utimensat"
    )
    met = 0
    for call in calls(world, peer("strace"), writes):
        if call.name == "openat" and (not call.paths or "O_CREAT" not in call.arguments):
            continue
        if call.name in ("openat", "mkdirat", "unlinkat", "renameat", "renameat2", "symlinkat"):
            named = call.paths[-1:] if call.name == "symlinkat" else call.paths
            assert all("/" not in name for name in named), (call.name, call.arguments)
            assert "AT_FDCWD" not in call.arguments, (call.name, call.arguments)
            met += 1
        elif call.name == "unlink" or call.name == "rmdir":
            pytest.fail(f"{call.name}({call.arguments})")
        else:
            assert call.name not in ("chmod", "chown", "lchown", "rename", "symlink", "truncate", "mkdir"), (
                call.arguments
            )
    assert met > 25


def test_no_symlink_is_followed(world: World, peer: Callable[[str], str]) -> None:
    """Each file and folder that is opened for this run has O_NOFOLLOW, one name at a time; and all are closed on exec."""
    met = 0
    for call in calls(world, peer("strace"), "openat"):
        inside = below(world, call.folder) or below(world, call.paths[0])
        reading = call.paths[0].startswith(str(world.folder)) and not below(world, call.paths[0])
        if not inside and not reading:
            continue
        met += 1
        if call.paths[0].endswith("manifest.json"):
            continue  # whoever may run this as root names it, and on NixOS it is reached by links
        assert "O_NOFOLLOW" in call.arguments, call.arguments
        assert "O_CLOEXEC" in call.arguments, call.arguments
        assert reading or "/" not in call.paths[0], call.arguments
        if "O_CREAT" in call.arguments and not call.paths[0].endswith(".lock"):
            assert "O_EXCL" in call.arguments, call.arguments
            assert re.search(r", 0[0-6]00$", call.arguments), (
                "never open to others, not even while it is made"
            )
    assert met > 40


def test_write_then_chown_then_chmod(world: World, peer: Callable[[str], str]) -> None:
    """Of every file that is made: a chown after the chmod would clear bits, and bits before the chown open it to the wrong ones."""
    orders: dict[str, list[str]] = {}
    done: list[tuple[str, list[str]]] = []
    for call in calls(world, peer("strace"), "openat,write,fchown,fchmod,close,fsync"):
        if call.name == "openat" and "O_CREAT" in call.arguments and "O_EXCL" in call.arguments:
            orders[call.result.split("<")[0]] = []
            done.append((call.paths[0], orders[call.result.split("<")[0]]))
        elif call.descriptor in orders:
            if call.name == "close":
                del orders[call.descriptor]
            else:
                orders[call.descriptor].append(call.name)
    secrets = [order for name, order in done if not name.endswith((".json.secretsmith-tmp",))]
    assert len(secrets) >= 9
    for order in secrets:
        assert [name for name in order if name != "fsync"] == ["write", "fchown", "fchmod"], done
    for name, order in done:
        if name.endswith(".json.secretsmith-tmp"):
            assert order[:2] == ["write", "fchmod"], (name, order)


@pytest.mark.skipif(not IS_ROOT, reason="mounts")
def test_what_is_mounted_is_the_folder_that_was_checked(host: Host, peer: Callable[[str], str]) -> None:
    """The target of mount(2) is a descriptor's own name in /proc: the path could have been swapped since."""
    host.add("db")
    log = host.folder / "trace"
    command = [
        peer("strace"),
        "-f",
        "-o",
        str(log),
        "-e",
        "trace=mount,umount2",
        *host.command("--units", "none"),
    ]
    assert subprocess.run(command, env=environment(), check=False, capture_output=True).returncode == 0
    lines = [line for line in log.read_text().splitlines() if "mount" in line and "exited" not in line]
    assert len(lines) == 1
    assert re.search(
        r'mount\("secretsmith", "/proc/self/fd/\d+", "tmpfs", MS_NOSUID\|MS_NODEV\|MS_NOEXEC, "noswap,mode=0751',
        lines[0],
    )
