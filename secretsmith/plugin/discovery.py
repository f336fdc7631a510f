"""Which plugins there are: a table of our own, and the metadata of installed distributions. Imports no plugin."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from typing import Final

from secretsmith import __version__
from secretsmith.plugin.api import GROUPS
from secretsmith.record import record

BUILT_INS: Final[Mapping[tuple[str, str], str]] = {}
"""(group, name) → "module:factory" of what ships with secretsmith; found without a look at any metadata."""


@record
class Entry:
    """Where a plugin comes from. ``value`` is "module:factory"."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    built_in: bool = False

    @property
    def title(self) -> str:
        """How messages name the plugin: ``builder systemd (secretsmith-systemd 0.1.0)``."""
        kind = self.group.removeprefix("secretsmith.").removesuffix("s").replace("identitie", "identity")
        return f"{kind} {self.name} ({self.distribution} {self.version})"


def built_in_entries() -> Iterator[Entry]:
    """Yield what ships with secretsmith; a look at a table."""
    for (group, name), value in BUILT_INS.items():
        yield Entry(group, name, value, "secretsmith", __version__, built_in=True)


def installed_entries() -> Iterator[Entry]:
    """Yield what the installed distributions declare; never raises for the sake of one of them."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        # Not entry_points(): one distribution with a malformed file would hide the plugins of all others.
        text = _entry_point_text(distribution)
        if "secretsmith." not in text:
            continue
        name, version = (_metadata(distribution, field) for field in ("Name", "Version"))
        if (folded := re.sub(r"[-_.]+", "-", name).lower()) in seen:
            continue  # found again on a later folder of the search path, where no import would reach it
        seen.add(folded)
        try:
            points = [(point.group, point.name, point.value) for point in distribution.entry_points]
        except Exception:
            points = [(group, "?", "") for group in GROUPS if group in text]
        for group, plugin, value in points:
            if group in GROUPS:
                yield Entry(group, plugin, value, name, version)


def _entry_point_text(distribution: importlib.metadata.Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _metadata(distribution: importlib.metadata.Distribution, name: str) -> str:
    found = distribution.metadata
    return found[name] if found and name in found else "unknown"


__all__ = ["BUILT_INS", "Entry", "built_in_entries", "installed_entries"]
