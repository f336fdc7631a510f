"""The real pass in a home of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gnupg import GnuPG

_KEPT = ("PATH", "LANG", "SECRETSMITH_REQUIRE_PEERS")


class PassStore:
    """``~/.password-store`` of a home that is made; :attr:`environ` is what pass and the source are told."""

    def __init__(self, home: Path, gnupg: GnuPG, program: str) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.folder = home / ".password-store"
        self.gnupg = gnupg
        self.program = program
        self.environ = {
            **{name: value for name, value in os.environ.items() if name in _KEPT},
            "HOME": str(home),
            "GNUPGHOME": str(gnupg.home),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def run(self, *words: str, data: bytes = b"", **variables: str) -> bytes:
        """Run pass, which has to succeed; gives what it prints."""
        done = subprocess.run(
            [self.program, *words],
            env={**self.environ, **variables},
            input=data,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def insert(self, name: str, data: bytes) -> None:
        """Write an entry, byte for byte."""
        self.run("insert", "-m", "-f", name, data=data)

    def git(self, *words: str) -> str:
        """Run git in the store."""
        argv = ["git", "-C", str(self.folder), *words]
        done = subprocess.run(argv, env=self.environ, capture_output=True, check=True, text=True)
        return done.stdout

    def file(self, name: str) -> Path:
        """The encrypted file of an entry."""
        return self.folder / f"{name}.gpg"


__all__ = ["PassStore"]
