"""Runs the console blocks of the documentation and compares what they print.

A block is fenced with ```console. A line that starts with `$ ` is a command on the laptop, `# ` one as root on the host web1:
there it runs in a mount namespace with empty /run, /var/lib and /etc/ssh, where only web1's host key lies. The lines up to the
next command are what it prints, standard error included, where `…` stands for anything. A command without output lines may print
anything, but has to succeed; `(exit N)` on a line of its own says otherwise. `"ssh-ed25519 AAAA… NAME"` in a command
becomes the public key of NAME, made when it is first named. Blocks fenced with ```console booted need systemd on the host: the boot
test runs them.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import keys

_FENCE = re.compile(r"^```console([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"ssh-ed25519 AAAA… ([\w@.-]+)")
_EXIT = re.compile(r"^\(exit (\d+)\)$")


@dataclass
class Step:
    """One command of a document."""

    command: str
    line: int
    output: list[str] = field(default_factory=list)
    exit: int = 0
    on_host: bool = False
    booted: bool = False


def steps_of(text: str) -> list[Step]:
    """Read the commands of a document, in order."""
    found: list[Step] = []
    for match in _FENCE.finditer(text):
        first = text.count("\n", 0, match.start(2)) + 1
        for number, line in enumerate(match.group(2).splitlines(), start=first):
            if line.startswith(("$ ", "# ")):
                booted = match.group(1).strip() == "booted"
                found.append(Step(line[2:], number, on_host=line.startswith("# "), booted=booted))
            elif leaves := _EXIT.match(line):
                found[-1].exit = int(leaves.group(1))
            else:
                found[-1].output.append(line)
    return found


class Sandbox:
    """A home, a repository and the programs, for the commands of one document."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.home = folder / "home"
        self.repository = folder / "fleet"
        self.folder = folder
        (self.home / ".ssh").mkdir(parents=True)
        self.repository.mkdir()
        keys.ed25519_key("alice@laptop").write(self.home / ".ssh", "id_ed25519")
        self._host: subprocess.Popen[str] | None = None
        self.hosts = folder / "hosts"
        self.hosts.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name, module in (("secretsmith", "door"), ("secretsmith-activate", "activate")):
            script = (
                f"#!{sys.executable}\nfrom secretsmith.cli.{module} import main\nraise SystemExit(main())\n"
            )
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        self.environ = {
            **{name: value for name, value in os.environ.items() if name.startswith(("GIT_", "LANG"))},
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "USER": "alice",
            "PYTHONPATH": str(checkout),
        }

    def public_key(self, name: str) -> str:
        """Give the public line of NAME (`root@web1`), made when first asked for."""
        host = name.rpartition("@")[2]
        if not (self.hosts / host).exists():
            keys.ed25519_key(name).write(self.hosts, host)
        return (self.hosts / f"{host}.pub").read_text().strip()

    def host(self) -> list[str]:
        """Give the words that run a command on web1, which comes into being when first asked for."""
        if self._host is None:
            key = self.hosts / "web1"
            script = (
                "for place in /run /var/lib /etc/ssh; do mount -t tmpfs -o mode=755 tmpfs $place; done; "
                f"cp {shlex.quote(str(key))} /etc/ssh/ssh_host_ed25519_key; chmod 600 /etc/ssh/ssh_host_ed25519_key; "
                "echo ready; exec sleep 600"
            )
            flags = ["-m"] if os.geteuid() == 0 else ["-Urm"]
            self._host = subprocess.Popen(
                ["unshare", *flags, "sh", "-c", script], stdout=subprocess.PIPE, text=True
            )
            assert self._host.stdout is not None
            assert self._host.stdout.readline() == "ready\n"
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        inside = ["nsenter", "-t", str(self._host.pid), "-m", *user]
        return [*inside, "env", "-C", str(self.repository)]

    def close(self) -> None:
        """Let go of the host, and of gpg's agent where a document used gpg."""
        home = self.home / ".gnupg"
        if home.exists():
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)
        if self._host is not None:
            self._host.kill()
            self._host.communicate()

    def run(self, step: Step) -> str:
        """Run one command in the repository; give what it printed, both streams together."""
        command = _KEY.sub(lambda match: self.public_key(match.group(1)), step.command)
        done = subprocess.run(
            [*(self.host() if step.on_host else ()), "sh", "-c", command],
            cwd=self.repository,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == step.exit, f"line {step.line}: {shlex.quote(command)}\n{done.stdout}"
        return done.stdout


def matches(expected: list[str], printed: str) -> bool:
    """Compare printed lines with those of the document; trailing blanks do not count."""
    wanted = "\n".join(line.rstrip() for line in expected).strip("\n")
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    got = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, got, re.DOTALL) is not None
