"""A repository with a token, and the real ``keyring`` that is asked for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from repositories import Fleet

UPLOADS = "https://upload.example.org/legacy/"
TOKEN = "t0ken-canary"


class Logins(Fleet):
    """The fleet of the other tests, whose alice has a token."""

    def map(
        self, service: str, secret: str, username: str | None = "__token__", key: str | None = None
    ) -> None:
        """Write a ``[[keyring]]``."""
        lines = ["", "[[keyring]]", f'service = "{service}"', f'secret = "{secret}"']
        lines += [f'username = "{username}"'] if username is not None else []
        lines += [f'key = "{key}"'] if key is not None else []
        self.write_registry(self.registry + "\n".join(lines) + "\n")

    def python(
        self, *words: str, cwd: Path | None = None, given: str = "", **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run python as alice without a terminal."""
        return subprocess.run(
            [sys.executable, *words],
            input=given,
            capture_output=True,
            text=True,
            cwd=cwd or self.root,
            env={**self.environ, **variables},
            start_new_session=True,
            timeout=120,
            check=False,
        )

    def keyring(
        self, *words: str, cwd: Path | None = None, given: str = "", **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the real ``keyring``."""
        return self.python("-m", "keyring", *words, cwd=cwd, given=given, **variables)

    def get(self, service: str, username: str, **variables: Any) -> str | None:
        """Give what ``keyring get`` prints, None when it has nothing; it never breaks."""
        done = self.keyring("get", service, username, **variables)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.removesuffix("\n") if done.returncode == 0 else None


__all__ = ["TOKEN", "UPLOADS", "Logins"]
