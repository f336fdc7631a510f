"""Looks at the hosts of activation tests, as ``secretsmith status`` does, and what came of them in short."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hosts import IS_ROOT, Host

from secretsmith.activation.inspection.facts import EntryFacts, HostFacts
from secretsmith.activation.inspection.inspecting import inspect_host
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.state import Moment
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.record import replace

SOURCE = "/etc/secretsmith/manifest.json"
# As root on a real filesystem in memory, so that nothing at all is off; elsewhere the plain folder is.
MEMORY = Memory.MOUNT if IS_ROOT else Memory.PLAIN_FOLDER


def install(host: Host, **changes: object) -> None:
    host.run_all(memory=MEMORY, source=SOURCE, **changes)


def install_two(host: Host) -> Host:
    """A host with two secrets, one of them in a folder."""
    host.add("db", b"hunter2")
    host.add("web/tls.key", b"hunter2 too", mode="0440")
    install(host)
    return host


def install_placed(host: Host) -> Host:
    """A host with a link and a copy at custom paths."""
    place = host.folder / "app"
    place.mkdir()
    host.add("link", b"hunter2", path=str(place / "link"))
    host.add("copy", b"hunter2", path=str(place / "copy"), method="copy", plaintext_on_disk=True)
    install(host)
    return host


def inspect(host: Host, known: Sequence[UnitFacts] = (), **changes: object) -> HostFacts:
    """Look at the host as `secretsmith status` does."""
    options = host.options(**{"source": SOURCE, **changes})
    answer = list(known)
    before = tree(host.folder)
    found = inspect_host(
        host.data(), options, clock=lambda: host.moment, ask_units=lambda patterns, given: answer
    )
    assert tree(host.folder) == before, "a look changes nothing"
    assert "hunter2" not in repr(found)
    return found


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path): (status.st_ino, status.st_mode, status.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for status in [path.lstat()]
    }


def off(facts: HostFacts) -> list[Finding]:
    """What makes the exit status 3, but for the plain folder of tests without root."""
    return [
        finding
        for finding in facts.findings
        if finding.severity != "info" and (IS_ROOT or finding.code != Code.NO_TMPFS)
    ]


def only(facts: HostFacts) -> Finding:
    (found,) = off(facts)
    return found


def entry(facts: HostFacts, name: str) -> EntryFacts:
    (found,) = [item for item in facts.entries if item.name == name]
    return found


def states(facts: HostFacts) -> dict[str, str]:
    return {item.name: str(item.state) for item in facts.entries}


def live(host: Host, name: str) -> Path:
    return host.directory.resolve() / name


def later(host: Host, seconds: float) -> None:
    now = host.moment
    host.moment = Moment(now.wall + seconds, now.boot + seconds, now.up + seconds)


def unit(name: str, started: float | None, active: str = "active", **more: object) -> UnitFacts:
    facts = UnitFacts(name, "loaded", active, "running", "success", "enabled", None, started, started, (), ())
    return replace(facts, **more)
