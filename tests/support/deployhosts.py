"""A host for ``deploy`` without a machine: a real sshd in a mount namespace of its own, where root's places are empty.

The repository is that of :class:`repositories.Fleet`, with a file of declarations for web1. systemd is played by a fake.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from fakesystemctl import FakeSystemctl
from keys import ed25519_key
from repositories import CHECKOUT, Fleet
from sshservers import SshServers, free_port

EMPTY = ("/run", "/var/lib", "/opt", "/etc/ssh", "/etc/systemd/system", "/usr/local/bin")
DECLARED = """\
[secrets.db]
file = "secrets/web/db.age"

[secrets.smtp]
file = "secrets/web/smtp.age"
mode = "0440"
"""
_PROGRAM = """\
#!{python}
import sys
sys.path.insert(0, {checkout!r})
from secretsmith.cli.activate import main
raise SystemExit(main())
"""


class DeployHost:
    """web1 of a fleet, reached by ssh as ``web1``."""

    def __init__(self, fleet: Fleet, servers: SshServers) -> None:
        self.fleet = fleet
        self.servers = servers
        self.systemctl = FakeSystemctl(fleet.folder / "systemctl")
        self.systemctl.units["secretsmith-activate.service"] = {"ActiveState": "active"}
        self.systemctl.prepare()
        mounts = "; ".join(f"mount -t tmpfs -o mode=755 tmpfs {place}" for place in EMPTY)
        script = f"{mounts}; mkdir -p /run/sshd /run/systemd/system; echo ready; exec sleep 3600"
        self._namespace = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", script], stdout=subprocess.PIPE, text=True
        )
        assert self._namespace.stdout is not None and self._namespace.stdout.readline() == "ready\n"
        self._sshd: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.client = ed25519_key("alice@laptop")
        client = self.client.write(servers.folder, "client")
        servers.configure(
            f"Host web1\n  HostName 127.0.0.1\n  Port {self.port}\n  User root\n"
            f"  IdentityFile {client}\n  IdentitiesOnly yes\n"
        )
        fleet.environ["PATH"] = servers.path
        # The host's identity, where activation looks for it.
        self.copy_in(fleet.private / "web1", "/etc/ssh/ssh_host_ed25519_key", 0o600)
        self.copy_in(self.systemctl.program, "/usr/local/bin/systemctl", 0o755)

    def declare(self, text: str = DECLARED) -> None:
        """Say what web1 gets, with values for it."""
        for name in ("db", "smtp"):
            if not (self.fleet.root / f"secrets/web/{name}.age").exists():
                self.fleet.set(f"secrets/web/{name}.age", f"first {name}".encode())
        folder = self.fleet.root / "secretsmith.d"
        folder.mkdir(exist_ok=True)
        (folder / "web1.toml").write_text(text)

    def install_program(self, text: str | None = None) -> None:
        """Put a secretsmith-activate there: that of this checkout, or another script."""
        made = self.fleet.folder / "program"
        made.write_text(text or _PROGRAM.format(python=sys.executable, checkout=str(CHECKOUT)))
        self.copy_in(made, "/usr/local/bin/secretsmith-activate", 0o755)

    def listen(self, key: Path | None = None) -> None:
        """Start sshd with web1's key, or with another, in the place of one that runs."""
        if self._sshd is not None:
            self._sshd.terminate()
            self._sshd.wait(20)
        self.let_in()
        keys = self.servers.folder / "authorized"
        config = self.servers.folder / "sshd-web1"
        config.write_text(
            f"UsePAM no\nPidFile none\nStrictModes no\nListenAddress 127.0.0.1:{self.port}\n"
            f"HostKey {key or self.fleet.private / 'web1'}\nAuthorizedKeysFile {keys}\nPermitRootLogin yes\n"
        )
        self._sshd = subprocess.Popen(
            [*self.inside(), self.servers.sshd, "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.servers.await_port(self._sshd, self.port)

    def let_in(self, command: str | None = None) -> None:
        """Let alice log in as root; with ``command`` that is what runs, whatever she asks for."""
        forced = "" if command is None else f'command="{command}" '
        (self.servers.folder / "authorized").write_text(f"{forced}{self.client.public}\n")

    def run(self, command: str, *, check: bool = True) -> str:
        """Run a shell command on the host; return what it prints."""
        done = subprocess.run(
            [*self.inside(), "sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, *words: str, code: int = 0) -> str:
        """Run ``secretsmith deploy web1``; return what it prints, both streams."""
        done = self.fleet.run("deploy", "web1", *words, code=code)
        return (done.stdout + done.stderr).decode()

    def copy_in(self, source: Path, target: str, mode: int) -> None:
        """Copy a file onto the host."""
        self.run(f"install -m {mode:o} {shlex.quote(str(source))} {target}")

    def everything(self) -> list[str]:
        """Return all paths below the places that a deploy may change, to compare before and after."""
        return sorted(
            self.run(
                "find /var/lib /opt /etc/systemd/system /usr/local/bin /run/secrets* 2>/dev/null; :"
            ).split()
        )

    def close(self) -> None:
        """End the server and let go of the namespace."""
        for process in (self._sshd, self._namespace):
            if process is not None:
                process.terminate()
                process.communicate()
        shutil.rmtree(self.systemctl.folder, ignore_errors=True)

    def inside(self) -> list[str]:
        """Give the words that run a command on the host."""
        return [
            "nsenter",
            "-m",
            "-t",
            str(self._namespace.pid),
            "env",
            "-C",
            "/",
            "HOME=/root",
            f"PATH=/usr/local/bin:{os.defpath}:/usr/sbin:/sbin",
        ]


__all__ = ["DECLARED", "DeployHost"]
