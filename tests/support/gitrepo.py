"""A fleet in a real git repository, with commits of a chosen day."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(root: Path, *arguments: str, day: str = "") -> str:
    """Run git in ``root`` and return what it says; ``day`` (YYYY-MM-DD) is when a commit says it was made."""
    environ = dict(os.environ)
    if day:
        environ |= {"GIT_AUTHOR_DATE": f"{day}T12:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def start(root: Path) -> None:
    """Make ``root`` a repository."""
    git(root, "init", "-q", "-b", "main")


def commit(root: Path, day: str = "2026-01-01") -> str:
    """Commit everything as it is on the disk; return the commit."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", day, day=day)
    return git(root, "rev-parse", "HEAD")
