"""What ``secretsmith doctor`` says: facts, which are only told, and findings, which want attention."""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.findings import Finding
from secretsmith.record import record


@record
class Fact:
    """One thing that was looked at, and what it is."""

    about: str
    text: str


@record
class Examination:
    """All that was found. ``manifest`` is its path."""

    manifest: str
    facts: Sequence[Fact]
    findings: Sequence[Finding]

    @property
    def is_well(self) -> bool:
        """Whether nothing wants attention."""
        return not any(finding.severity in ("error", "warning") for finding in self.findings)


Said = Fact | Finding

__all__ = ["Examination", "Fact", "Said"]
