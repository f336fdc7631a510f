"""Facts of units for ``status`` and ``doctor``: whether they run, since when, and which of our files they read.

``systemctl show`` prints ``LoadCredential=[unprintable]`` (252), so that setting is read from the unit's own files.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

from secretsmith.activation.units.states import first, read_properties
from secretsmith.record import record

FACTS = (
    "Id,Names,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,EnvironmentFiles,"
    "ActiveEnterTimestampMonotonic,ExecMainStartTimestampMonotonic"
)
_MAX_BYTES = 1024 * 1024
_ENVIRONMENT_FILE = re.compile(r"(?P<path>/.*) \(ignore_errors=(yes|no)\)\Z")
_CREDENTIAL = re.compile(r"LoadCredential(Encrypted)?\s*=\s*(?P<value>.*)\Z")


@record
class UnitFacts:
    """One unit. Times are seconds of CLOCK_MONOTONIC, None for never.

    ``entered`` is when it became active; ``started`` when its main process was started, or else ``entered``: what it read
    before it ran, it read before that. ``load`` is ``not-found`` for a name that systemd does not know. ``enabled`` is
    systemd's word: ``enabled``, ``disabled``, ``static`` … ``credentials`` and ``environment_files`` are paths. ``aliases`` are
    all its names, its own too, as far as they are known.
    """

    name: str
    load: str
    active: str
    sub: str
    result: str
    enabled: str
    fragment: str | None
    entered: float | None
    started: float | None
    credentials: tuple[str, ...]
    environment_files: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    def is_called(self, names: Iterable[str]) -> bool:
        """Whether one of ``names`` is the unit's, or an alias of it (``sshd.service`` is ``ssh.service`` on Debian)."""
        return not {self.name, *self.aliases}.isdisjoint(names)

    @property
    def is_running(self) -> bool:
        """Whether it is active, or about to be."""
        return self.active in ("active", "reloading", "refreshing", "activating")


def read_facts(text: str) -> list[UnitFacts]:
    """Read what ``systemctl show --property=FACTS`` printed, and the files of the units that it names."""
    return [_facts(block) for block in read_properties(text)]


def _facts(block: Mapping[str, Sequence[str]]) -> UnitFacts:
    fragment = first(block, "FragmentPath")
    files = (
        [fragment, *first(block, "DropInPaths").split()] if fragment else first(block, "DropInPaths").split()
    )
    entered = _seconds(first(block, "ActiveEnterTimestampMonotonic"))
    environment = map(_ENVIRONMENT_FILE.match, block.get("EnvironmentFiles", []))
    return UnitFacts(
        name=first(block, "Id"),
        load=first(block, "LoadState"),
        active=first(block, "ActiveState"),
        sub=first(block, "SubState"),
        result=first(block, "Result"),
        enabled=first(block, "UnitFileState"),
        fragment=fragment or None,
        entered=entered,
        started=_seconds(first(block, "ExecMainStartTimestampMonotonic")) or entered,
        credentials=credential_paths(map(_read, files)),
        environment_files=tuple(found["path"] for found in environment if found),
        aliases=tuple(first(block, "Names").split()),
    )


def _seconds(microseconds: str) -> float | None:
    number = int(microseconds) if microseconds.isascii() and microseconds.isdigit() else 0
    return number / 1e6 if number else None


def credential_paths(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the absolute paths of ``LoadCredential=ID:PATH`` in a unit's files, which are given in systemd's order.

    A setting without value forgets those before it (systemd.exec(5)); the same ID later replaces an earlier one.
    """
    found: dict[str, str] = {}
    for line in (line for text in texts for line in _logical_lines(text)):
        if matched := _CREDENTIAL.match(line):
            name, colon, path = matched["value"].partition(":")
            if not matched["value"]:
                found.clear()
            elif colon and path.startswith("/"):
                found[name] = path.replace("%%", "%")
    return tuple(dict.fromkeys(found.values()))


def _logical_lines(text: str) -> Iterator[str]:
    """Give lines without comments, and those that end in a backslash joined with the next (systemd.syntax(7))."""
    held = ""
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            held += f"{line[:-1]} "
            continue
        yield held + line
        held = ""


def _read(path: str) -> str:
    """Read a unit's file; what cannot be read says nothing of credentials."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, _MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


__all__ = ["FACTS", "UnitFacts", "credential_paths", "read_facts"]
