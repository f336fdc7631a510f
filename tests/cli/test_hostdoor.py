"""The program as a deploy installs it on a host: without typer and what else is for people at their own computer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("typer", "tomlkit", "keyring", "click", "rich")


def run(door: str, *words: str) -> subprocess.CompletedProcess[str]:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {LEFT_OUT!r}: sys.modules[name] = None\n"
        f"from secretsmith.cli.{door} import main\nsys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_host_s_commands_are_there() -> None:
    assert run("activate", "--version").returncode == 0
    assert run("door", "--version").returncode == 0
    for command in ("status", "doctor"):
        done = run("door", command, "/nonexistent/manifest.json")
        said = done.stdout + done.stderr
        assert "/nonexistent/manifest.json" in said and "internal" not in said


@pytest.mark.parametrize("words", [("--help",), ("status", "--bogus")])
def test_what_is_not_there_is_said(words: tuple[str, ...]) -> None:
    done = run("door", *words)
    assert done.returncode == 1 and "for the host alone" in done.stderr
    assert "hint: secretsmith status" in done.stderr
