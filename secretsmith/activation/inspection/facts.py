"""What ``secretsmith status`` knows of a host, as data: phases, files, and what is off about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from shlex import quote

from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding, Severity
from secretsmith.record import record

_SHOWN = 10  # names in one line; the JSON has all of them


class EntryState(StrEnum):
    """What a secret or template is now; the first five as status.json says them."""

    FRESH = "fresh"
    UNCHANGED = "unchanged"
    STALE = "stale"
    MISSING = "missing"
    REFUSED = "refused"
    CHANGED = "changed"
    """Not as activation installed it: changed by hand."""
    PENDING = "pending"
    """The manifest or its source is newer than what is installed."""
    UNKNOWN = "unknown"
    """Its phase could not be looked at."""


@record
class EntryFacts:
    """One secret or template. ``owner``, ``group`` and ``mode`` are those of the file, or those wanted if there is none.

    ``age`` is how long ago it was last written, in seconds; ``since`` is since when it is stale, as a date.
    """

    name: str
    phase: str
    kind: str
    state: EntryState
    path: str
    method: str
    owner: str
    group: str
    mode: str
    required: bool
    plaintext_on_disk: bool = False
    age: int | None = None
    since: str | None = None
    code: str | None = None
    message: str | None = None


@record
class Filesystem:
    """Where the generations lie. ``size`` and ``used`` are in bytes; 0 for a filesystem without a limit (ramfs)."""

    kind: str
    options: tuple[str, ...]
    size: int
    used: int
    mounted: bool


@record
class PhaseFacts:
    """One phase. ``current`` is whether what is live was made from this very manifest, its sources, keys and owners."""

    phase: str
    directory: str
    generations: str
    generation: int | None
    current: bool
    filesystem: Filesystem | None = None


@record
class HostFacts:
    """All that is known of a host's secrets. ``activated`` is the time of the last activation that changed anything."""

    host: str
    scope: str
    manifest: str | None
    activated: str | None
    phases: Sequence[PhaseFacts]
    entries: Sequence[EntryFacts]
    findings: Sequence[Finding]

    @property
    def is_well(self) -> bool:
        """Whether nothing wants attention."""
        return not any(finding.severity in ("error", "warning") for finding in self.findings)


def finding_of(
    error: SecretsmithError, severity: Severity, *, path: str = "", message: str | None = None
) -> Finding:
    """Return an error as a finding; its hints are the lines of the finding's."""
    where, text = path or error.path or "", message or error.message
    for start in (f"{where}: ", f"{where} "):  # it is named once, as the finding's path
        text = text.removeprefix(start) if where else text
    return Finding(error.code, severity, where, text, "\n".join(error.hints))


def finding(code: Code, severity: Severity, path: str, message: str, *hints: str) -> Finding:
    """Return a finding of our own; ``hints`` are its lines, the command that mends it among them."""
    return Finding(code, severity, path, message, "\n".join(hints))


def listed(names: Iterable[str]) -> str:
    """Return names for one line."""
    known = list(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def activation(manifest: str | None) -> str:
    """Return the command that activates the manifest at this path."""
    return f"secretsmith-activate {quote(manifest) if manifest else 'MANIFEST'}"


__all__ = [
    "EntryFacts",
    "EntryState",
    "Filesystem",
    "HostFacts",
    "PhaseFacts",
    "activation",
    "finding",
    "finding_of",
    "listed",
]
