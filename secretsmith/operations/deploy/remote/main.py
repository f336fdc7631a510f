"""The host's side from the first line to the last: says what it is, takes orders, does them, says what came of it."""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from secretsmith.operations.deploy.remote.channel import PROTOCOL, Channel, Refused, run
from secretsmith.operations.deploy.remote.trees import BASE, Trees, digest_of, glance, held_trees, live_of
from secretsmith.operations.deploy.remote.venvs import (
    VENVS,
    bootstrap,
    command,
    find_program,
    version_of,
    whole_venvs,
)

UNITS = "/etc/systemd/system"
SYSTEMD = "/run/systemd/system"
_ACTIVATE_UNIT = "secretsmith-activate.service"
_REFUSED_MANIFEST = 2
_NEXT = " enable --now "


@dataclass(frozen=True)
class Places:
    """Where things lie on the host; others in tests of this code without a host."""

    base: str = BASE
    venvs: str = VENVS
    units: str = UNITS
    systemd: str = SYSTEMD


class Host:
    """One run on the host."""

    def __init__(self, channel: Channel, places: Places | None = None) -> None:
        self._channel = channel
        self._places = places or Places()

    def serve(self) -> None:
        """Say hello, then do what is asked until there is nothing more."""
        self._hello()
        while (order := self._channel.receive()) is not None:
            try:
                self._channel.send("done", exit=self._obey(order))
            except Refused as refused:
                self._channel.send(
                    "refused", code=refused.code, message=refused.message, hints=list(refused.hints)
                )
                return
            except OSError as error:
                self._failed(order, error)
                return

    def _failed(self, order: dict[str, Any], error: OSError) -> None:
        """Say which disk is full, or what else the system refused; writing by descriptors leaves no name in the error."""
        reason = os.strerror(error.errno or 0).lower()
        base = self._places.venvs if order.get("do") == "bootstrap" else self._places.base
        place = error.filename if isinstance(error.filename, str) and "/" in error.filename else base
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hints = [f"there: df -h {base}; df -i {base}"] if full else []
        self._channel.send(
            "refused", code="E_NOSPC" if full else "E_IO", message=f"{place}: {reason}", hints=hints
        )

    def _hello(self) -> None:
        program = find_program(self._places.venvs)
        current, following = glance(self._places.base)
        self._channel.hello(
            protocol=PROTOCOL,
            uid=os.geteuid(),
            python=list(sys.version_info[:2]),
            machine=platform.machine(),
            libc=list(platform.libc_ver()),
            version=None if program is None else version_of(program),
            current=current,
            next=following,
            digest=None if current is None else digest_of(self._places.base, current),
            live={} if current is None else live_of(self._places.base, current),
            venvs=whole_venvs(self._places.venvs),
        )

    def _obey(self, order: dict[str, Any]) -> int:
        what = order.get("do")
        if what == "bootstrap":
            wheels = list(self._files(order))
            shield()
            bootstrap(
                order["name"],
                order["version"],
                wheels,
                order.get("imports", ()),
                python=sys.executable,
                venvs=self._places.venvs,
            )
            return 0
        if what not in ("deploy", "again", "rollback"):
            raise Refused("E_REMOTE", f"{what!a} is no order that this version knows")
        program = find_program(self._places.venvs)
        if program is None:
            raise Refused("E_NOT_FOUND", "there is no secretsmith-activate")
        dry_run = bool(order.get("dry_run"))
        if not dry_run and not os.path.isdir(self._places.systemd):
            raise Refused("E_UNSUPPORTED", "systemd does not run there, which brings secrets back at boot")
        # Before anything is made, so that a connection that breaks leaves no trace.
        files = list(self._files(order))
        with held_trees(self._places.base) as trees:
            if what == "deploy":
                return self._deploy(program, trees, order, files, dry_run=dry_run)
            if what == "again":
                return self._again(program, trees, order, dry_run=dry_run)
            return self._roll_back(program, trees, order, dry_run=dry_run)

    def _files(self, order: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        for path, size in order.get("files", ()):
            yield str(path), self._channel.receive_bytes(int(size))

    def _deploy(
        self,
        program: str,
        trees: Trees,
        order: dict[str, Any],
        files: list[tuple[str, bytes]],
        *,
        dry_run: bool,
    ) -> int:
        number = int(order["tree"])
        trees.sweep()
        try:
            trees.stage(number, order["seen"], files, order.get("kept", ()))
            status = self._preview(program, trees.manifest(number), say=dry_run)
            if dry_run or status == _REFUSED_MANIFEST:
                return status
            shield()
            trees.switch(number)
        finally:
            trees.sweep()  # the staged tree too, unless the link leads to it
        return self._take_up(program, trees)

    def _again(self, program: str, trees: Trees, order: dict[str, Any], *, dry_run: bool) -> int:
        """Bring the host to the tree that it has: nothing changed, and the one before it stays the one before it."""
        trees.check_seen(order["seen"])
        if trees.current is None:
            raise Refused("E_NOT_FOUND", "nothing is deployed there")
        if dry_run:
            return self._preview(program, trees.manifest(trees.current), say=True)
        shield()
        trees.sweep()
        return self._take_up(program, trees)

    def _roll_back(self, program: str, trees: Trees, order: dict[str, Any], *, dry_run: bool) -> int:
        trees.check_seen(order["seen"])  # or it would take back what somebody deployed a moment ago
        current = trees.current
        before = None if current is None else trees.previous(current)
        if before is None:
            raise Refused("E_NOT_FOUND", "there is no earlier deploy to go back to")
        status = self._preview(program, trees.manifest(before), say=dry_run)
        if dry_run or status == _REFUSED_MANIFEST:
            return status
        shield()
        trees.switch(before)
        trees.sweep()
        return self._take_up(program, trees)

    def _preview(self, program: str, manifest: str, *, say: bool) -> int:
        """Try a manifest that nothing leads to yet: one that the host refuses never becomes the one of the next boot."""
        status, output, errors = run(command(program, "--dry-run", manifest))
        if say or status == _REFUSED_MANIFEST:
            self._channel.said("out", output)
            self._channel.said("err", errors)
        return status

    def _take_up(self, program: str, trees: Trees) -> int:
        """Bring the host to the tree that the link leads to: units, secrets, the unit's state. Returns activation's exit code.

        What fails on the way stops nothing: the secrets are installed in any case, and it is told afterwards.
        """
        manifest = trees.manifest()
        # A link on NixOS, where the system's own build writes the units: there a deploy brings what that build does not.
        own = not os.path.islink(self._places.units)
        starts = self._write_units(program, manifest) if own else []
        problems = (
            []
            if starts or not own
            else ["the units could not be written: the secrets will be gone after a boot"]
        )
        if starts and (self._systemctl("daemon-reload") or self._systemctl("enable", "--quiet", *starts)):
            problems.append("the units could not be enabled: the secrets will be gone after a boot")
        status, output, errors = run(command(program, manifest))
        self._channel.said("out", output)
        self._channel.said("err", errors)
        # A second run, which finds nothing to do: so that the unit's state is that of now, and a failure is tried again.
        if starts and self._systemctl("restart", _ACTIVATE_UNIT, quiet=status != 0) and status == 0:
            problems.append(f"the secrets are installed, but {_ACTIVATE_UNIT} fails")
        others = [name for name in starts if name != _ACTIVATE_UNIT]
        if others and self._systemctl("start", *others):
            problems.append(f"{' '.join(others)} cannot be started")
        if problems:
            raise Refused("E_UNITS", "; ".join(problems), f"there: journalctl -b -u {_ACTIVATE_UNIT}")
        return status

    def _write_units(self, program: str, manifest: str) -> list[str]:
        """Write the units; return those that are to be enabled, none when it failed."""
        status, output, errors = run(command(program, "--write-units", self._places.units, manifest))
        if status != 0:
            self._channel.said("err", errors)
            return []
        self._drop_dangling()
        return output.partition(_NEXT)[2].split()

    def _drop_dangling(self) -> None:
        """Remove links by which a unit of ours that is no more was enabled; what is odd there stops nothing."""
        for folder in os.listdir(self._places.units):
            if not folder.endswith(".wants"):
                continue
            with suppress(OSError):
                for name in os.listdir(f"{self._places.units}/{folder}"):
                    path = f"{self._places.units}/{folder}/{name}"
                    if name.startswith("secretsmith-") and os.path.islink(path) and not os.path.exists(path):
                        os.unlink(path)

    def _systemctl(self, verb: str, *words: str, quiet: bool = False) -> int:
        status, _, errors = run(["systemctl", "--no-ask-password", verb, *words])
        if status != 0 and not quiet:
            self._channel.said("err", errors)
        return status


def shield() -> None:
    """From here on the work is done to its end, even if the connection breaks."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        # Not SIG_IGN: the programs that are started would inherit that.
        signal.signal(number, lambda *_: None)


def main(received: BinaryIO, sent: BinaryIO) -> None:
    """Serve one connection. Not called by an import: what sent the code calls it."""
    os.umask(0o022)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Host(Channel(received, sent)).serve()


__all__ = ["Host", "Places", "main", "shield"]
