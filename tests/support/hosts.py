"""A host for activation tests: a key, encrypted files made by pyrage itself, a manifest, and what was installed."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyrage
from keys import SshKey, ed25519_key

from secretsmith.activation.engine import Options, activate
from secretsmith.activation.outcome import Outcome
from secretsmith.activation.preview import dry_run
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.report import Problem, Report
from secretsmith.activation.state import Moment
from secretsmith.errors import Code, ExitCode
from secretsmith.record import replace

ROOT = Path(__file__).resolve().parent.parent.parent
# The real root: in a user namespace uid 0 cannot give files away or mount tmpfs without swap.
IS_ROOT = os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def fingerprint(key: SshKey) -> str:
    """As ssh-keygen prints it."""
    return "SHA256:" + b64encode(sha256(_blob(key)).digest()).decode().rstrip("=")


def ssh_tag(key: SshKey) -> str:
    """The tag of age's ssh stanzas (agessh: the first 4 bytes of SHA-256 of the blob)."""
    return b64encode(sha256(_blob(key)).digest()[:4]).decode().rstrip("=")


def _blob(key: SshKey) -> bytes:
    return b64decode(key.public.split()[1])


def recipient(key: SshKey) -> Any:
    """The key as pyrage wants it."""
    return pyrage.ssh.Recipient.from_str(" ".join(key.public.split()[:2]))


class Host:
    """Everything of one host lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ed25519_key("root@web1")
        self.key_file = self.key.write(folder, "host_key")
        self.generations = folder / "run" / "secrets.d"
        self.directory = folder / "run" / "secrets"
        self.status_file = folder / "status.json"
        self.paths_file = folder / "state" / "paths.json"
        self.manifest: dict[str, Any] = {
            "version": 1,
            "host": "web1",
            "directory": str(self.directory),
            "generations": str(self.generations),
            "identities": [str(self.key_file)],
            "secrets": [],
        }
        self.moment = Moment(1_800_000_000.0, 1000.0)

    def encrypt(self, name: str, value: bytes, *keys: SshKey) -> Path:
        """Write an age file for ``keys`` (this host's without any)."""
        path = self.folder / f"{name.replace('/', '_')}.age"
        path.write_bytes(pyrage.encrypt(value, [recipient(key) for key in keys or (self.key,)]))
        return path

    def add(self, name: str, value: bytes = b"value", *keys: SshKey, **fields: object) -> dict[str, Any]:
        """Declare a secret and encrypt its value."""
        secret = {"name": name, "source": str(self.encrypt(name, value, *keys)), "format": "age", **fields}
        self.manifest["secrets"] = [item for item in self.manifest["secrets"] if item["name"] != name] + [
            secret
        ]
        return secret

    def drop(self, name: str) -> None:
        """Declare a secret no more."""
        self.manifest["secrets"] = [item for item in self.manifest["secrets"] if item["name"] != name]

    def data(self) -> bytes:
        """The manifest as bytes."""
        return json.dumps(self.manifest).encode()

    def options(self, **changes: Any) -> Options:
        """A plain folder unless said otherwise, own uid unless root."""
        usual = Options(
            memory=Memory.PLAIN_FOLDER, owner_self=not IS_ROOT, status=str(self.status_file), wait=5
        )
        return replace(usual, **changes)

    def run(self, **changes: Any) -> Report:
        """Activate a manifest of one phase in this process; what is said of the whole run is in the report too."""
        outcome = self.run_all(**changes)
        if outcome.stopped:
            raise outcome.stopped[0]
        (report,) = outcome.reports
        problems = (*report.problems, *(Problem(error) for error in outcome.failures))
        return replace(report, problems=problems, notes=(*report.notes, *outcome.remarks))

    def run_all(self, **changes: Any) -> Outcome:
        """Activate all phases in this process."""
        accounts = changes.pop("accounts", None)
        return activate(self.data(), self.options(**changes), accounts=accounts, clock=lambda: self.moment)

    def preview(self, **changes: Any) -> Outcome:
        """Say what activation would do."""
        accounts = changes.pop("accounts", None)
        return dry_run(self.data(), self.options(**changes), accounts=accounts, clock=lambda: self.moment)

    def write_manifest(self) -> Path:
        """The manifest as a file."""
        path = self.folder / "manifest.json"
        path.write_bytes(self.data())
        path.chmod(0o644)
        return path

    def command(self, *options: str) -> list[str]:
        """The arguments that run the real program."""
        door = [sys.executable, "-m", "secretsmith.cli.activate", "--status", str(self.status_file)]
        # Never the machine's own record: tests run as root.
        return [*door, "--paths", str(self.paths_file), *options, str(self.write_manifest())]

    def door(self, *options: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the real program; ``before`` is what runs it (unshare, strace)."""
        return subprocess.run(
            [*before, *self.command(*options)],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def installed(self) -> dict[str, bytes]:
        """Name → bytes of the live generation."""
        live = self.directory.resolve()
        return {str(p.relative_to(live)): p.read_bytes() for p in sorted(live.rglob("*")) if p.is_file()}

    def status(self) -> Any:
        """The status file."""
        return json.loads(self.status_file.read_text())

    def states(self) -> dict[str, str]:
        """Name → state, by the status file."""
        return {name: found["state"] for name, found in self.status()["secrets"].items()}

    def reinstall(self) -> SshKey:
        """Give the host a new key; return the old one."""
        old, self.key = self.key, ed25519_key("root@web1")
        self.key.write(self.folder, "host_key")
        return old


def path_refused(host: Host, report: Report, code: Code) -> str:
    """The value itself is installed, what its custom path wants is not, and it is said; return the message."""
    (error,) = report.errors()
    assert (error.code, report.exit_code) == (code, ExitCode.ERROR)
    assert error.message.startswith("web1: db: ")
    assert host.installed() == {"db": b"value", "other": b"value"}
    assert host.status()["secrets"]["db"]["code"] == code
    return error.message


def environment(**more: str) -> dict[str, str]:
    """The environment of a program under test."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **more}


def mounts_below(folder: Path) -> dict[str, tuple[str, set[str]]]:
    """Mount point → (type, options) of what is mounted below a folder; the kernel's own list."""
    found = {}
    # Not splitlines: a mount point may have every line end but a newline.
    for line in os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).strip("\n").split("\n"):
        left, right = line.split(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if fields[4].startswith(str(folder)):
            found[fields[4]] = (kinds[0], {*fields[5].split(","), *kinds[2].split(",")})
    return found


def mount(kind: str, target: Path, options: str, flags: int = 0) -> None:
    """mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    if libc.mount(b"test", str(target).encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unmount_below(folder: Path) -> None:
    """Detach all mounts below a folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in sorted(mounts_below(folder), reverse=True):
        libc.umount2(point.encode(), 2)  # MNT_DETACH
