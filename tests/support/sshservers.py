"""Real ssh servers on loopback, and an ssh client that reads its configuration from a folder of the test.

ssh finds its configuration by the password database and not by HOME, so the programs on PATH are wrapped with ``-F``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import keys


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class SshServers:
    """sshd instances of the test's user, with what they need in ``folder``; ``peer`` finds the programs."""

    def __init__(self, folder: Path, peer: Callable[[str], str], known_hosts: Path | None = None) -> None:
        self.folder = folder / "ssh"
        self.folder.mkdir()
        self.sshd = peer("sshd")
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.config = self.folder / "config"
        self.known_hosts = known_hosts or self.folder / "known_hosts"
        self.config.write_text(
            f"Host *\n  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        )
        program = self.bin / "ssh"
        real = shutil.which("ssh") or peer("ssh")
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} -F {shlex.quote(str(self.config))} "$@"\n')
        program.chmod(0o755)
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def path(self) -> str:
        """PATH with the wrapped client."""
        return f"{self.bin}:{os.environ['PATH']}"

    def configure(self, text: str) -> None:
        """Put lines before the rest of the client's configuration."""
        self.config.write_text(text + self.config.read_text())

    def start(self, *host_keys: keys.SshKey | Path, port: int | None = None) -> int:
        """Start a server with these host keys; return its port."""
        port = port or free_port()
        lines = ["UsePAM no", "PidFile none", "StrictModes no", f"ListenAddress 127.0.0.1:{port}"]
        for number, key in enumerate(host_keys):
            made = key if isinstance(key, Path) else key.write(self.folder, f"host-{port}-{number}")
            lines.append(f"HostKey {made}")
        config = self.folder / f"sshd-{port}"
        config.write_text("\n".join([*lines, ""]))
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # where it confines itself; packages make it at boot
        server = subprocess.Popen(
            [self.sshd, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._running[port] = server
        self.await_port(server, port)
        return port

    @staticmethod
    def await_port(server: subprocess.Popen[bytes], port: int) -> None:
        """Wait until a server listens."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert server.poll() is None, "sshd ended"
            with socket.socket() as tried:
                tried.settimeout(1)
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"no sshd on port {port}")

    def stop(self, *ports: int) -> None:
        """End these servers, or every one."""
        ended = [self._running.pop(port) for port in ports or tuple(self._running)]
        for server in ended:
            server.terminate()
        for server in ended:
            server.wait(20)
