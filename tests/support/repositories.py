"""A small repository for tests of the value commands: alice (admin), bob, web1, web2, all with real keys."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import keys

from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.policy import edit
from secretsmith.project import Project, open_project

CHECKOUT = Path(__file__).resolve().parents[2]
_NOTHING: Mapping[str, str] = MappingProxyType({})
PRINCIPALS = ("alice", "bob", "web1", "web2")


@dataclass
class Fleet:
    """A repository below ``folder`` and the home of alice, whose environment is ``environ``."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.folder / "fleet"
        self.home = self.folder / "home"
        self.private = self.folder / "private"
        for path in (self.root, self.home / ".ssh", self.private):
            path.mkdir(parents=True)
        for name in PRINCIPALS:
            key = keys.ed25519_key(name)
            key.write(self.private, name)
            self.public[name] = key.public
        (self.private / "alice").rename(self.home / ".ssh/id_ed25519")
        self.environ = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "TERM": "xterm",
            **{name: value for name, value in os.environ.items() if name.startswith(("GIT_", "LANG", "LC_"))},
        }
        text = edit.new_registry("alice", [self.public["alice"]])
        text = edit.add_user(text, "bob", [self.public["bob"]])
        for host in ("web1", "web2"):
            text = edit.add_host(text, host, [self.public[host]])
        self.write_registry(edit.grant(text, ["secrets/web/**"], ["web1"]))
        self.accept_all()

    def at(self, folder: Path) -> Fleet:
        """Return this fleet as it is after its folder was copied to ``folder``."""
        moved = Fleet.__new__(Fleet)
        moved.folder, moved.public = folder, self.public
        moved.root, moved.home, moved.private = folder / "fleet", folder / "home", folder / "private"
        moved.environ = {**self.environ, "HOME": str(moved.home)}
        return moved

    @property
    def registry(self) -> str:
        return (self.root / "secretsmith.toml").read_text()

    def write_registry(self, text: str) -> None:
        (self.root / "secretsmith.toml").write_text(text)

    def change_registry(self, change: Callable[[str], str]) -> None:
        self.write_registry(change(self.registry))

    def accept_all(self) -> None:
        project = self.project()
        project.accepted.add(*(key.fingerprint for user in project.registry.everyone() for key in user.keys))
        project.accepted.save()

    def project(self, interaction: Interaction | None = None, **variables: str) -> Project:
        return open_project(
            self.root, environ={**self.environ, **variables}, interaction=interaction or NoInteraction()
        )

    def run(
        self,
        *argv: str,
        stdin: bytes = b"",
        cwd: Path | None = None,
        code: int = 0,
        extra: Mapping[str, str] = _NOTHING,
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the real program without a terminal; it has to end with ``code``."""
        done = subprocess.run(
            [sys.executable, "-m", "secretsmith", *argv],
            input=stdin,
            capture_output=True,
            cwd=cwd or self.root,
            env={**self.environ, **extra, **variables},
            start_new_session=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (argv, done.returncode, done.stdout, done.stderr.decode())
        assert b"Traceback" not in done.stderr
        return done

    def encrypt(
        self, path: str, *recipients: str, value: bytes = b"of the real age", armor: bool = False
    ) -> Path:
        """Make a file below the repository with the real age."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        words = [word for recipient in recipients for word in ("-r", recipient)]
        subprocess.run(
            ["age", *(["-a"] if armor else []), *words, "-o", str(target)], input=value, check=True
        )
        return target

    def set(self, path: str, value: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        return self.run("set", path, *options, stdin=value)

    def opens(self, name: str, path: str) -> bytes | None:
        """Return what the real age gives NAME for a file, None when it refuses."""
        key = self.home / ".ssh/id_ed25519" if name == "alice" else self.private / name
        done = subprocess.run(["age", "-d", "-i", key, self.root / path], capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def readers(self, path: str) -> list[str]:
        """Return who opens a file, by trying every private key with the real age."""
        return [name for name in PRINCIPALS if self.opens(name, path) is not None]

    def files(self) -> dict[str, bytes]:
        """Return every file of the repository but git's, to compare before and after."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
            and ".git" not in path.relative_to(self.root).parts
            and ".secretsmith" not in path.parts
        }

    def holds(self, canary: bytes) -> list[str]:
        """Return the files on disk that hold ``canary``: in the repository, the home, and the usual temporary places."""
        found = []
        for base in (self.folder, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")):
            for folder, folders, names in os.walk(base):
                if base != self.folder:
                    # Other programs' folders are not ours to read.
                    folders[:] = [n for n in folders if n.startswith(("secretsmith", "vim", "nano", "v"))]
                for name in names:
                    path = os.path.join(folder, name)
                    try:
                        if (
                            os.path.isfile(path)
                            and not os.path.islink(path)
                            and os.path.getsize(path) < 1 << 24
                        ):
                            data = Path(path).read_bytes()
                        else:
                            continue
                    except OSError:
                        continue
                    if canary in data:
                        found.append(path)
        return found
