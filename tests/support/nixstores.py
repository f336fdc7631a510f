"""Nix without a network, in a store of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PLUGIN = CHECKOUT / "plugins" / "secretsmith-nix"
LIB = PLUGIN / "nix" / "lib.nix"


@dataclass(frozen=True)
class Nix:
    """Nix with everything it writes below ``root``."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, *argv: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "NIX_CONFIG": "experimental-features = nix-command flakes\nsubstitute = false\nsandbox = false\nbuild-users-group =\n",
            "NIX_STORE_DIR": str(self.root / "store"),
            "NIX_STATE_DIR": str(self.root / "var"),
            "NIX_LOCALSTATE_DIR": str(self.root / "var"),
            "NIX_LOG_DIR": str(self.root / "log"),
            **self.environ,
        }
        return subprocess.run(
            argv,
            env=environ,
            cwd=folder or self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def done(self, *argv: str, folder: Path | None = None) -> str:
        """Standard output of a command that has to succeed."""
        ran = self.run(*argv, folder=folder)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def failed(self, *argv: str, folder: Path | None = None) -> str:
        """What a command that must not succeed says."""
        ran = self.run(*argv, folder=folder)
        assert ran.returncode != 0, ran.stdout
        return ran.stderr

    def value(self, expression: str) -> Any:
        """An expression in which ``secretsmith`` is lib.nix, evaluated to the end."""
        return json.loads(self.done("nix-instantiate", *_strictly(expression)))

    def error(self, expression: str) -> str:
        return self.failed("nix-instantiate", *_strictly(expression))

    def calls(self, expression: str) -> int:
        """How many functions an evaluation calls: a measure of its cost that does not depend on the machine."""
        ran = Nix(self.root, {"NIX_SHOW_STATS": "1"}).run("nix-instantiate", *_strictly(expression))
        assert ran.returncode == 0, ran.stderr
        statistics = json.loads(ran.stderr[ran.stderr.index("{") :])
        return int(statistics["nrFunctionCalls"]) + int(statistics["nrPrimOpCalls"])


def _strictly(expression: str) -> list[str]:
    text = f"let secretsmith = import {LIB}; in {expression}"
    return ["--eval", "--strict", "--json", "--read-write-mode", "-E", text]
