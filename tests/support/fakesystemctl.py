"""A systemctl that plays units from a file and records how it is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -IS
import json, os, pathlib, sys, time

folder = pathlib.Path({folder!r})
words = sys.argv[1:]
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([words, dict(os.environ)]) + "\\n")
words = [word for word in words if word not in ("--user", "--no-ask-password", "--no-pager", "--no-block")]
verb = words.pop(0)
script = json.loads((folder / "script.json").read_text())
act = script["acts"].get(verb, {{}})
if verb == "show":
    wanted = words.pop(0).removeprefix("--property=").split(",")
    if words:
        assert words.pop(0) == "--"
        blocks = []
        for name in words:
            given = {{"Id": name, "LoadState": "not-found", "ActiveState": "inactive", **script["units"].get(name, {{}})}}
            blocks.append("\\n".join(f"{{key}}={{given[key]}}" for key in sorted(given) if key in wanted))
        print("\\n\\n".join(blocks))
    else:
        print("SystemState=" + script["system"])
else:
    for name, change in act.get("then", {{}}).items():
        script["units"].setdefault(name, {{}}).update(change)
    (folder / "script.json").write_text(json.dumps(script))
time.sleep(act.get("seconds", 0))
sys.stderr.write(act.get("says", ""))
sys.exit(act.get("status", 0))
"""
ACTIVE = {"LoadState": "loaded", "ActiveState": "active", "InactiveExitTimestampMonotonic": "7", "Job": ""}
INACTIVE = {**ACTIVE, "ActiveState": "inactive"}
FAILED = {**ACTIVE, "ActiveState": "failed", "Result": "exit-code"}
NEVER_RAN = {**INACTIVE, "InactiveExitTimestampMonotonic": "0"}


class FakeSystemctl:
    """What it plays is in ``units`` (name → properties), ``system`` and ``acts`` (verb → status, says, seconds, then)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units: dict[str, dict[str, str]] = {"multi-user.target": ACTIVE}
        self.system = "running"
        self.acts: dict[str, dict[str, Any]] = {}
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.program = self.bin / "systemctl"
        self.program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o755)

    def prepare(self) -> None:
        """Write down what is to be played; forget the calls so far."""
        script = {"units": self.units, "system": self.system, "acts": self.acts}
        (self.folder / "script.json").write_text(json.dumps(script))
        (self.folder / "calls").write_text("")

    def records(self) -> list[tuple[list[str], dict[str, str]]]:
        """Arguments and environment of each call."""
        return [(words, environ) for words, environ in map(json.loads, self._lines())]

    def calls(self) -> list[str]:
        """The arguments of each call that was no question, as one text without the options that every call has."""
        common = ("--no-ask-password", "--no-pager")
        texts = [" ".join(word for word in words if word not in common) for words, _ in self.records()]
        return [text for text in texts if not text.removeprefix("--user ").startswith("show")]

    def _lines(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()
