"""A person who is not root, with a home, a session bus and the real gnome-keyring, or one that does not answer.

Keyrings are refused to root, and the kernel counts keys by user: tests that run as root become another user, who may read
everything (the interpreter may lie in root's home) and write only what is theirs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import keys
from terminals import OnTerminal

from secretsmith.interaction import NoInteraction
from secretsmith.operations.write_value import prepare_write, store_value
from secretsmith.policy import edit
from secretsmith.project import open_project
from secretsmith.sensitive import Sensitive

ROOT = Path(__file__).resolve().parents[2]
LOGIN = "login-of-the-desktop"
# Nothing is started by being asked for: what is on the bus is what the test put there.
_BUS = """<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""
_HANGING = """
import time
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection()
address = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
bus.send_and_get_reply(new_method_call(address, "RequestName", "su", ("org.freedesktop.secrets", 0)))
time.sleep(600)
"""
_WAITING = """
import time
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection
bus = Proxy(message_bus, open_dbus_connection())
until = time.monotonic() + 60
while not bus.NameHasOwner("org.freedesktop.secrets")[0]:
    assert time.monotonic() < until
    time.sleep(0.01)
"""


class Person:
    """Use as a context manager: what was started ends with it, and the home is removed."""

    def __init__(self, peer: Callable[[str], str]) -> None:
        self.peer = peer
        self.home = Path(tempfile.mkdtemp(prefix="person-"))
        self.running: list[subprocess.Popen[bytes]] = []
        self.become: list[str] = []
        if os.geteuid() == 0:
            # Another number for every test process: the kernel's keyring is one for each.
            self.uid = 100_000 + os.getpid() % 1_000_000
            accounts = self.home / "passwd"
            accounts.write_text(
                f"{Path('/etc/passwd').read_text()}person:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n"
            )
            # The bus wants to know its users by name.
            named = f'mount --bind {accounts} /etc/passwd && exec "$@"'
            self.become = [
                *(peer("unshare"), "--mount", "sh", "-c", named, "sh"),
                *(peer("setpriv"), "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups"),
                *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
            ]
        for name in (".ssh", "run", "data"):
            (self.home / name).mkdir(mode=0o700)
        self.environ = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "LC_ALL": "C.UTF-8",
        }
        self.own()

    def own(self) -> None:
        """Give the person what was put into the home."""
        if self.become:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def key(self, name: str = ".ssh/id_ed25519", passphrase: str = "s3same") -> keys.SshKey:
        """Make an ssh key with a passphrase."""
        made = keys.ed25519_key(passphrase=passphrase.encode())
        made.write(self.home, name)
        self.own()
        return made

    def repository(self, public: str) -> None:
        """Make a repository in the home with ``public`` as alice's key and hunter2 in secrets/db.age; takes no process."""
        (self.home / "secretsmith.toml").write_text(edit.new_registry("alice", [public]))
        project = open_project(self.home, environ=self.environ, interaction=NoInteraction())
        project.accepted.add(*(key.fingerprint for user in project.registry.everyone() for key in user.keys))
        project.accepted.save()
        store_value(project, prepare_write(project, "secrets/db.age"), Sensitive(b"hunter2"))
        self.own()

    def bus(self) -> None:
        """Start a session bus with nothing on it."""
        config = self.home / "bus.conf"
        config.write_text(_BUS.format(socket=self.home / "run/bus"))
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={self.home / 'run/bus'}"
        self._start([self.peer("dbus-daemon"), f"--config-file={config}", "--nofork", "--print-address"])
        assert self.running[-1].stdout is not None and self.running[-1].stdout.readline()

    def gnome(self, *, unlocked: bool = True) -> None:
        """Start gnome-keyring. With ``unlocked`` its collection is made, or opened, with the login password."""
        argv = [self.peer("gnome-keyring-daemon"), "--foreground", "--components=secrets"]
        self._start([*argv, "--unlock"] if unlocked else argv, LOGIN.encode() if unlocked else b"")
        self._served()

    def hanging(self) -> None:
        """Put a Secret Service on the bus that takes every call and answers none."""
        self._start([sys.executable, "-c", _HANGING])
        self._served()

    def _start(self, argv: list[str], given: bytes = b"") -> None:
        process = subprocess.Popen(
            [*self.become, *argv],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(process)
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()

    def _served(self) -> None:
        """Wait until there is a Secret Service."""
        done = self.program(sys.executable, "-c", _WAITING)
        assert done.returncode == 0, done.stdout

    def stop(self) -> None:
        """End what was started last."""
        process = self.running.pop()
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def program(self, *argv: str, given: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program as this person, in the home, without a terminal; both streams are in ``stdout``."""
        done = subprocess.run(
            [*self.become, *argv],
            env={**self.environ, **variables},
            cwd=self.home,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            start_new_session=True,
            check=False,
        )
        return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode())

    def secretsmith(
        self, *words: str, given: bytes = b"", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run secretsmith as :meth:`program`."""
        return self.program(sys.executable, "-m", "secretsmith", *words, given=given, **variables)

    def at_terminal(self, *words: str, **variables: str) -> OnTerminal:
        """Run secretsmith on a terminal."""
        argv = [*self.become, sys.executable, "-m", "secretsmith", *words]
        return OnTerminal(argv, cwd=self.home, environ={**self.environ, **variables})

    def answered(self, *words: str, answers: Mapping[str, str], **variables: str) -> tuple[int, str]:
        """Run secretsmith on a terminal, typing each answer when its question is shown; give status and what was shown."""
        with self.at_terminal(*words, **variables) as terminal:
            for question, answer in answers.items():
                terminal.expect(question.encode())
                terminal.press(answer.encode() + b"\n")
            return terminal.end(), terminal.shown.decode()

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        while self.running:
            self.stop()
        shutil.rmtree(self.home)
