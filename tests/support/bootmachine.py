"""A machine that systemd-nspawn boots from a folder, with systemd as process 1, and no network but loopback.

Nothing of it outlives the test, not even one that is killed: its mounts are in a mount namespace of its own, and its processes in
a pid namespace that dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Own cgroups, so that two machines do not share nspawn's; /run in memory, for what nspawn leaves there.
_LAUNCH = """
while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done
shift
mount -t tmpfs -o mode=0755 tmpfs /run
"$@"
exit $?
"""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_WAIT = 60.0  # for anything at all; a boot takes one or two seconds


class Machine:
    """One root folder that is booted, perhaps several times."""

    def __init__(self, root: Path, *, of: int | None = None) -> None:
        """``of``: the process that starts it, when it is not this one."""
        self.root = root
        self.console = root.with_name(f"{root.name}.console")
        self.leader = 0  # systemd's number outside
        self.cgroups = [place / f"secretsmith-{of or os.getpid()}-{root.name}" for place in _cgroup_places()]
        self._nspawn: subprocess.Popen[bytes] | None = None

    def boot(self, *, wait_for: str = "multi-user.target") -> None:
        """Boot, and wait until a unit is active and no job is left."""
        assert self._nspawn is None, "it runs already"
        for place in self.cgroups:
            place.mkdir(exist_ok=True)
        nspawn = [
            *("systemd-nspawn", f"--directory={self.root}", "--boot", "--register=no", "--keep-unit"),
            *("--private-network", "--console=pipe", "--link-journal=no", "--resolv-conf=off"),
            *("--timezone=off", f"--machine={self.root.name}", "--hostname=web1"),
        ]
        # Dies with us, whatever happens to us. systemd-nspawn alone would leave its systemd behind when it is killed.
        alone = [
            *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"),
            *("--pid", "--fork", "--kill-child", "--mount-proc"),
        ]
        with open(self.console, "ab") as console:
            self._nspawn = subprocess.Popen(
                [*alone, "sh", "-ec", _LAUNCH, "sh", *map(str, self.cgroups), "--", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.leader = self._await_leader()
        self.await_unit(wait_for)
        self.settle()

    def run(
        self, *command: str, user: str | None = None, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as a user; with ``check`` it has to succeed."""
        become = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(
            ["nsenter", "--all", "--target", str(self.leader), *become, *command],
            input=stdin,
            capture_output=True,
            env=_ENVIRONMENT,
            cwd="/",
            check=False,
            timeout=_WAIT,
        )
        out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{out}{err}"
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """What systemctl says."""
        return self.run("systemctl", "--no-pager", "--no-legend", *arguments, check=check).stdout

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, by name."""
        lines = self.systemctl("show", f"--property={','.join(names)}", "--", unit).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def state(self, unit: str) -> str:
        """The unit's ActiveState."""
        return self.properties(unit, "ActiveState")["ActiveState"]

    def await_unit(self, unit: str, state: str = "active") -> None:
        """Wait until a unit has a state."""
        self.until(lambda: self.state(unit) == state, f"{unit} is not {state}")

    def settle(self) -> None:
        """Wait until systemd has no job left."""
        self.until(lambda: not self.systemctl("list-jobs", check=False).strip(), "jobs are left")

    def until(self, condition: Any, otherwise: str) -> None:
        """Wait for a condition. A machine that ended, or took too long, is an error with its journal's end."""
        deadline = time.monotonic() + _WAIT
        while True:
            assert self._nspawn is not None and self._nspawn.poll() is None, (
                f"the machine ended\n{self._last()}"
            )
            try:
                if condition():
                    return
            except AssertionError:  # systemctl before systemd listens
                pass
            assert time.monotonic() < deadline, f"{otherwise}\n{self._last()}"
            time.sleep(0.05)

    def journal(self, unit: str | None = None, *, boot: str = "0") -> list[str]:
        """The messages of one boot, or of one unit in it, oldest first; read from outside."""
        chosen = [f"--unit={unit}"] if unit else []
        if self._nspawn is not None:
            self.run("journalctl", "--sync")
            text = self.run("journalctl", "--no-pager", "--output=json", f"--boot={boot}", *chosen).stdout
        else:
            text = subprocess.run(
                ["journalctl", f"--root={self.root}", "--output=json", f"--boot={boot}", *chosen],
                capture_output=True,
                text=True,
                check=True,
                timeout=_WAIT,
            ).stdout
        return [str(json.loads(line).get("MESSAGE", "")) for line in text.splitlines()]

    def shut_down(self) -> None:
        """Power off as an administrator would, and be rid of what is left."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            try:
                self.run("systemctl", "poweroff", check=False)
                self._nspawn.wait(20)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """Pull the plug. Safe to call at any time, and twice."""
        if self._nspawn is not None:
            if self._nspawn.poll() is None and self.leader:
                _end(self.leader)  # and nspawn, which waits for it, ends in order
            try:
                self._nspawn.wait(10)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(_WAIT)
            self._nspawn, self.leader = None, 0
        for place in self.cgroups:
            _remove_cgroup(place)

    def _await_leader(self) -> int:
        """The process that is number 1 in the second pid namespace; the first is that of systemd-nspawn."""
        assert self._nspawn is not None
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline:
            assert self._nspawn.poll() is None, f"systemd-nspawn ended\n{self._last()}"
            for pid in _below(self._nspawn.pid):
                # It is still preparing the root until it has become systemd.
                if _status(pid, "NSpid")[2:] == ["1"] and _status(pid, "Name") == ["systemd"]:
                    return pid
            time.sleep(0.02)
        raise AssertionError(f"systemd did not start\n{self._last()}")

    def _last(self) -> str:
        lines = self.console.read_text(errors="replace").splitlines()[-40:]
        if self._nspawn is not None and self._nspawn.poll() is None and self.leader:
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                lines += self.journal()[-60:]
        return "\n".join(lines)


def _cgroup_places() -> list[Path]:
    """Our own cgroups of the hierarchies that systemd uses: version 2 and, on older machines, its named one."""
    groups = dict[str, str]()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        groups[kind] = path
    places = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        point, kind, options = left.split()[4], right.split()[0], right.split()[2].split(",")
        name = (
            ""
            if kind == "cgroup2"
            else "name=systemd"
            if kind == "cgroup" and "name=systemd" in options
            else None
        )
        if name is not None and name in groups:
            places.append(Path(point) / groups[name].lstrip("/"))
    return places


def _remove_cgroup(place: Path) -> None:
    deadline = time.monotonic() + _WAIT
    while place.is_dir():
        for folder, _, _ in os.walk(place, topdown=False):
            for pid in Path(folder, "cgroup.procs").read_text().split():
                _end(int(pid))
            try:
                os.rmdir(folder)
            except OSError:  # a process that is still ending
                assert time.monotonic() < deadline, f"{folder} cannot be removed"
                time.sleep(0.02)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it ended
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def _status(pid: int, name: str) -> list[str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []
    return next((line.split()[1:] for line in lines if line.startswith(f"{name}:")), [])


__all__ = ["Machine"]
