"""Which systemd units are to hear of a change; what activation remembers until they have."""

from __future__ import annotations

from collections.abc import Iterable

from secretsmith.manifest import ManifestEntry
from secretsmith.record import record


@record
class UnitChanges:
    """Units to restart and units to reload; false when there are none."""

    restart: frozenset[str] = frozenset()
    reload: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether any unit is named."""
        return bool(self.restart or self.reload)

    def __or__(self, other: UnitChanges) -> UnitChanges:
        """Return both together."""
        return UnitChanges(self.restart | other.restart, self.reload | other.reload)

    def __and__(self, other: UnitChanges) -> UnitChanges:
        """Return what both name."""
        return UnitChanges(self.restart & other.restart, self.reload & other.reload)

    @classmethod
    def of(cls, entries: Iterable[ManifestEntry]) -> UnitChanges:
        """Return what the given entries name; for those whose bytes, owner or mode changed."""
        found = list(entries)
        return cls(
            frozenset(unit for entry in found for unit in entry.restart_units),
            frozenset(unit for entry in found for unit in entry.reload_units),
        )


NO_CHANGES = UnitChanges()

__all__ = ["NO_CHANGES", "UnitChanges"]
