"""How the real systemd reads a unit's Environment= and a file of variables, without booting anything."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

MANAGER = "/usr/lib/systemd/systemd"
GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "s": " "}


def read_unit(folder: Path, inside_quotes: Sequence[bytes]) -> list[bytes]:
    """Give what a service would have in its variables, if each text stood in ``Environment="…"``."""
    units = folder / "units"
    units.mkdir(exist_ok=True)
    for name in ("basic", "default", "shutdown"):
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    lines = [b'Environment="V%d=begin%send"\n' % (number, text) for number, text in enumerate(inside_quotes)]
    (units / "t.service").write_bytes(b"[Service]\nExecStart=/bin/true\n" + b"".join(lines))
    # As root it refuses to test; in a user namespace we are nobody, and still the owner of these files.
    stranger = ["unshare", "-U"] if os.geteuid() == 0 else []
    said = subprocess.run(
        [*stranger, MANAGER, "--test", "--user", "--unit=t.service"],
        env={"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "SYSTEMD_UNIT_PATH": str(units)},
        capture_output=True,
        check=True,
    ).stdout
    found = []
    for number in range(len(inside_quotes)):
        match = re.search(rb"\t\tEnvironment: V%d=begin(.*?)end\n\t\t[A-Z]" % number, said, re.DOTALL)
        assert match is not None, f"systemd did not take variable {number}"
        found.append(match[1])
    return found


def read_environment_file(folder: Path, content: bytes) -> dict[str, str]:
    """Give the variables of a file that systemd reads; values without a dollar sign, which it would expand here."""
    configuration = folder / "environment.d"
    configuration.mkdir(exist_ok=True)
    (configuration / "t.conf").write_bytes(content)
    said = subprocess.run(
        [GENERATOR],
        env={"XDG_CONFIG_HOME": str(folder), "HOME": str(folder)},
        capture_output=True,
        check=True,
    ).stdout.decode()
    return dict(_assignment(line) for line in said.removesuffix("\n").split("\n"))


def _assignment(line: str) -> tuple[str, str]:
    name, _, text = line.partition("=")
    if text.startswith("$'"):
        text = text[2:-1]
    elif text.startswith('"'):
        text = text[1:-1]
    return name, _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


__all__ = ["GENERATOR", "MANAGER", "read_environment_file", "read_unit"]
