"""Runs command line transcripts: text files of steps, with the files they need inline.

A transcript is lines of steps, then sections `-- NAME --`, each a file written before the first step. `#` starts a comment.
Words are split as a shell would, `$NAME` is replaced from the environment and from `key`; `$NODE` is this computer's name.
The steps:

    secretsmith WORDS…       has to succeed; `! secretsmith WORDS…` has to fail
    exit N                   the last program ended with this status
    stdin FILE               the next program reads it
    stdout PATTERN           a regular expression is found in what the last program wrote; `! stdout`, `stderr`, `! stderr`
    schema NAME              its standard output is JSON as docs/reference/schemas/NAME.schema.json says
    cmp A B                  both files have the same bytes; `stdout` is what the last program wrote
    cp A B, rm A, mkdir A, chmod MODE A, env NAME=VALUE
    exists A…, ! exists A…
    key NAME [KIND]          makes an ssh key (ed25519, rsa, ecdsa): NAME, NAME.pub, $NAME (line), $NAME_fingerprint
    sshd NAME KEY…           a real sshd on loopback with the private keys of `key`, its port in $NAME_port; again: others there
    knows NAME KEY           ssh's known_hosts (a file of that name here) has the public key KEY for the sshd NAME
    store KEY…               a home of gpg ($GNUPGHOME) with a key of each name, and an empty store of pass for the first
    keyless, keyed           gpg's private keys are moved away, and come back
    host WORDS…              as root on web1: /run, /var/lib and /etc/ssh are its own, with the key that `key web1` made
    age WORDS…, git WORDS…, sops WORDS…, ssh-keygen WORDS…, pass WORDS…   real programs; without one of them the transcript is skipped

Two things are asserted without being asked: a refused command (exit 2, 4, 6, 9) leaves every file as it was, and no failure
repeats what it was given on standard input.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template

import console
import gnupg
import jsonschema
import keys
import sshservers

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "reference" / "schemas"
PEERS = ("age", "git", "sops", "ssh-keygen", "pass")
REFUSALS = (2, 4, 6, 9)
_SECTION = re.compile(r"^-- (.+) --$", re.MULTILINE)


class Transcript:
    """One run of one transcript in ``folder``; ``peer`` finds a real program or skips the test."""

    def __init__(self, path: Path, folder: Path, peer: Callable[[str], str]) -> None:
        self.path = path
        self.work = folder / "work"
        self.peer = peer
        self.stdin = b""
        self.stdout = b""
        self.stderr = b""
        self.status = 0
        self.servers: sshservers.SshServers | None = None
        self.gnupg: gnupg.GnuPG | None = None
        self.sandbox: console.Sandbox | None = None
        home = folder / "home"
        home.mkdir()
        self.work.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("GIT_", "PYTHON", "COVERAGE"))
        }
        self.environ = {
            **kept,
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "USER": "alice",
            "NODE": os.uname().nodename.partition(".")[0],
            "PYTHONPATH": str(ROOT),
        }

    def run(self) -> None:
        """Run every step; the first that does not hold fails with its line."""
        try:
            self._run()
        finally:
            if self.servers is not None:
                self.servers.stop()
            if self.gnupg is not None:
                self.gnupg.close()
                shutil.rmtree(self.gnupg.home.parent)
            if self.sandbox is not None:
                self.sandbox.close()

    def _run(self) -> None:
        steps, *sections = _SECTION.split(self.path.read_text())
        for name, content in zip(sections[::2], sections[1::2], strict=True):
            file = self.work / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content.removeprefix("\n"))
        for number, line in enumerate(steps.splitlines(), start=1):
            if line.strip() and not line.startswith("#"):
                try:
                    self.step(line)
                except AssertionError as error:
                    raise AssertionError(
                        f"{self.path.name}:{number}: {line}\n{error}\n{self.shown()}"
                    ) from None

    def shown(self) -> str:
        """What the last program did, for a failure."""
        return f"status {self.status}\nstdout: {self.stdout[:2000]!r}\nstderr: {self.stderr.decode(errors='replace')}"

    def step(self, line: str) -> None:
        """Run one step."""
        line, wanted = (line[1:].lstrip(), False) if line.startswith("!") else (line, True)
        name, _, rest = line.partition(" ")
        if name in ("stdout", "stderr"):
            text = getattr(self, name).decode(errors="replace")
            pattern = Template(rest.strip()).safe_substitute(
                {n: re.escape(v) for n, v in self.environ.items()}
            )
            assert (re.search(pattern, text, re.MULTILINE) is not None) is wanted
            return
        words = [Template(word).safe_substitute(self.environ) for word in shlex.split(rest)]
        if name in ("secretsmith", "host") or name in PEERS:
            self.program(name, words, wanted)
        elif name == "exists":
            assert all(os.path.lexists(self.work / word) is wanted for word in words)
        else:
            assert wanted, f"no step ! {name}"
            step = getattr(self, f"do_{name}", None)
            assert step is not None, f"no step {name}"
            step(*words)

    def program(self, name: str, words: list[str], wanted: bool) -> None:
        """Run a program and hold on to what it did."""
        command = [sys.executable, "-m", "secretsmith"] if name == "secretsmith" else self.command(name)
        before = self.files()
        # A session of its own has no terminal: nothing can be asked.
        done = subprocess.run(
            [*command, *words],
            cwd=self.work,
            env=self.environ,
            input=self.stdin,
            capture_output=True,
            timeout=60,
            start_new_session=True,
            check=False,
        )
        given, self.stdin = self.stdin, b""
        self.stdout, self.stderr, self.status = done.stdout, done.stderr, done.returncode
        assert (self.status == 0) is wanted, "it failed" if wanted else "it succeeded"
        assert b"Traceback" not in self.stderr
        if name == "secretsmith" and self.status in REFUSALS:
            assert self.files() == before, "a refused command changed files"
            assert re.search(rb"^secretsmith: error: \S", self.stderr, re.MULTILINE), "no error line"
        if self.status and len(given.strip()) >= 6:
            assert given.strip() not in self.stdout + self.stderr, "a failure repeats its input"

    def command(self, name: str) -> list[str]:
        """The words that start a real program, or that run one on the host."""
        if name != "host":
            return [self.peer(name)]
        if self.sandbox is None:
            self.peer("unshare")
            folder = self.work.parent / "sandbox"
            folder.mkdir()
            self.sandbox = console.Sandbox(folder, ROOT)
            self.sandbox.repository = self.work
            for name_of_key in ("web1", "web1.pub"):
                shutil.copy(self.work / name_of_key, self.sandbox.hosts / name_of_key)
        return [*self.sandbox.host(), f"PATH={self.sandbox.environ['PATH']}"]

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Every file a user sees, with mode and digest; not git's folder or our per-clone state."""
        found = {}
        for path in sorted(self.work.rglob("*")):
            parts = path.relative_to(self.work).parts
            if path.is_file() and not {".git", ".secretsmith"} & set(parts):
                found["/".join(parts)] = (path.lstat().st_mode, hashlib.sha256(path.read_bytes()).digest())
        return found

    def read(self, name: str) -> bytes:
        """The bytes of a file, or what the last program wrote."""
        return {"stdout": self.stdout, "stderr": self.stderr}.get(name) or (self.work / name).read_bytes()

    def do_exit(self, status: str) -> None:
        assert self.status == int(status)

    def do_stdin(self, name: str) -> None:
        self.stdin = self.read(name)

    def do_schema(self, name: str) -> None:
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        jsonschema.validate(json.loads(self.stdout), schema, cls=jsonschema.Draft202012Validator)

    def do_cmp(self, one: str, other: str) -> None:
        assert self.read(one) == self.read(other), (
            f"{self.read(one)[:200]!r} is not {self.read(other)[:200]!r}"
        )

    def do_cp(self, source: str, target: str) -> None:
        (self.work / target).write_bytes(self.read(source))

    def do_rm(self, name: str) -> None:
        path = self.work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def do_mkdir(self, name: str) -> None:
        (self.work / name).mkdir(parents=True)

    def do_chmod(self, mode: str, name: str) -> None:
        (self.work / name).chmod(int(mode, 8))

    def do_sshd(self, name: str, *host_keys: str) -> None:
        if self.servers is None:
            self.servers = sshservers.SshServers(self.work.parent, self.peer, self.work / "known_hosts")
            self.environ["PATH"] = self.servers.path
        port = self.environ.get(f"{name}_port")
        if port is not None:
            self.servers.stop(int(port))
        started = self.servers.start(
            *(self.work / key for key in host_keys), port=None if port is None else int(port)
        )
        self.environ[f"{name}_port"] = str(started)

    def do_knows(self, name: str, key: str) -> None:
        line = f"[127.0.0.1]:{self.environ[f'{name}_port']} {' '.join(self.environ[key].split()[:2])}\n"
        with (self.work / "known_hosts").open("a") as file:
            file.write(line)

    def do_store(self, *names: str) -> None:
        # Not below the test's folder: the agent's socket has to fit into 108 bytes.
        short = Path(tempfile.mkdtemp(prefix="gpg"))
        self.gnupg = gnupg.GnuPG.make(short, self.peer("gpg"))
        self.environ["GNUPGHOME"] = str(self.gnupg.home)
        self.environ["PASSWORD_STORE_DIR"] = str(self.work.parent / "store")
        fingerprints = [self.gnupg.key(name) for name in names]
        self.program("pass", ["init", fingerprints[0]], True)

    def do_keyless(self) -> None:
        assert self.gnupg is not None
        self.gnupg.forget()
        (self.gnupg.home / "private-keys-v1.d").rename(self.gnupg.home / "away")

    def do_keyed(self) -> None:
        assert self.gnupg is not None
        private = self.gnupg.home / "private-keys-v1.d"
        if private.exists():
            private.rmdir()
        (self.gnupg.home / "away").rename(private)

    def do_env(self, assignment: str) -> None:
        name, _, value = assignment.partition("=")
        self.environ[name] = value

    def do_key(self, name: str, kind: str = "ed25519") -> None:
        makers: dict[str, Callable[[], keys.SshKey]] = {
            "ed25519": keys.ed25519_key,
            "rsa": keys.rsa_key,
            "ecdsa": keys.ecdsa_key,
        }
        made = makers[kind]()
        made.write(self.work, name)
        digest = hashlib.sha256(base64.b64decode(made.public.split()[1])).digest()
        self.environ[name] = made.public
        self.environ[f"{name}_fingerprint"] = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
