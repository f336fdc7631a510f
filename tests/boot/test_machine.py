"""The machine itself: it boots Debian's systemd, and nothing of it is left, not even after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boothost import BootHost
from bootmachine import Machine

_STARTS_AND_HANGS = """
import sys, time
from pathlib import Path
from bootmachine import Machine
machine = Machine(Path(sys.argv[1]))
machine.boot()
print(machine.leader, flush=True)
time.sleep(600)
"""


def mounts(host: BootHost) -> list[str]:
    """Mounts that the machine could have left; other tests may run at the same time."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point in ("/run", "/proc") or str(host.machine.root) in point]


def processes_below(root: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/root"):
        try:
            where = os.readlink(path)
        except OSError:
            continue
        command = path.with_name("cmdline").read_bytes()
        if where.startswith(str(root)) or b"--directory=" + bytes(root) in command:
            found.append(int(path.parent.name))
    return found


def gone(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        )  # nobody's child yet
    except OSError:
        return True


def test_systemd_boots_and_goes(host: BootHost) -> None:
    machine, before = host.machine, mounts(host)
    machine.boot()
    assert machine.run("cat", "/proc/1/comm").stdout.strip() == "systemd"
    assert machine.run("id", "-un", user="app").stdout == "app\n"
    assert machine.systemctl("is-system-running").strip() == "running"
    assert machine.run("ls", "/sys/class/net").stdout.split() == ["lo"]
    assert mounts(host) == before, "mounts are in a namespace of their own"
    leader = machine.leader
    machine.shut_down()
    assert gone(leader) and not processes_below(machine.root)
    assert any("Powering off" in line or "shut" in line.lower() for line in machine.journal())


def test_the_same_root_boots_again(host: BootHost) -> None:
    machine = host.machine
    machine.boot()
    machine.run("touch", "/etc/kept", "/run/lost")
    machine.shut_down()
    machine.boot()
    assert machine.run("ls", "/etc/kept").returncode == 0
    assert machine.run("ls", "/run/lost", check=False).returncode != 0
    assert machine.journal(boot="-1") and machine.journal()


def test_a_pulled_plug_leaves_nothing(host: BootHost) -> None:
    machine, before = host.machine, mounts(host)
    machine.boot()
    leader, cgroups = machine.leader, machine.cgroups
    assert all(place.is_dir() for place in cgroups)
    machine.kill()
    machine.kill()
    assert gone(leader) and not processes_below(machine.root) and mounts(host) == before
    assert not any(place.exists() for place in cgroups)


def test_a_killed_test_leaves_no_process(host: BootHost) -> None:
    before = mounts(host)
    started = subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_HANGS, str(host.machine.root)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "support")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    leader = int(started.stdout.readline())
    orphan = Machine(host.machine.root, of=started.pid)
    try:
        started.send_signal(signal.SIGKILL)
        started.wait(20)
        started.stdout.close()
        deadline = time.monotonic() + 20
        while processes_below(host.machine.root) or not gone(leader):
            assert time.monotonic() < deadline, "processes are left"
            time.sleep(0.05)
        assert mounts(host) == before
    finally:
        orphan.kill()


def test_a_machine_that_cannot_start_says_why(host: BootHost) -> None:
    host.path("/usr/lib/systemd/systemd").unlink()
    with pytest.raises(AssertionError, match=r"(?s)systemd-nspawn ended.*No such file|.*init"):
        host.machine.boot()
