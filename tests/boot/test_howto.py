"""docs/how-to/plain-machine.md from the first command to the last: the workstation's here, root's on a booted Debian."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import console
import pytest
from boothost import BootHost

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "how-to" / "plain-machine.md"


def test_the_howto_for_a_plain_machine(
    new_host: Callable[..., BootHost], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    machine = new_host(has_key=False).machine
    sandbox = console.Sandbox(tmp_path, ROOT)
    request.addfinalizer(sandbox.close)
    key = machine.root / "etc/ssh/ssh_host_ed25519_key"
    booted = False
    for step in console.steps_of(DOCUMENT.read_text()):
        if step.on_host:
            if not booted:
                shutil.copy(sandbox.hosts / "web1", key)
                key.chmod(0o600)
                # "Bring them to the host": what lies in the repository, without any key.
                shutil.copytree(sandbox.repository, machine.root / "root/fleet")
                machine.boot()
                booted = True
            done = machine.run("sh", "-c", f"cd /root/fleet && {{ {step.command}; }} 2>&1", check=False)
            assert done.returncode == step.exit, f"line {step.line}: {step.command}\n{done.stdout}"
            printed = done.stdout
        else:
            printed = sandbox.run(step)
        if step.output:
            assert console.matches(step.output, printed), f"line {step.line}: {step.command}\n{printed}"
    assert machine.run("cat", "/run/secrets/db-password").stdout == "hunter2"
    machine.shut_down()
    machine.boot()
    assert machine.run("cat", "/run/secrets/db-password").stdout == "hunter2", "the units brought it back"
    assert machine.run("secretsmith", "status").returncode == 0
