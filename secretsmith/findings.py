"""What a check reports, for our own checks and for those of plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that wants attention, as ``check --json`` prints it.

    ``code`` is one of :class:`secretsmith.errors.Code`, or ``E_`` and a name of the plugin's own; ``path`` is relative to the
    root; ``hint`` is the command that mends it, "" when there is none.
    """

    code: str
    severity: Severity
    path: str
    message: str
    hint: str


__all__ = ["Finding", "Severity"]
