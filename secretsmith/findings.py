"""What a check reports, for our own checks and for those of plugins."""

from __future__ import annotations

from typing import Literal

from secretsmith.record import record

Severity = Literal["error", "warning", "info"]
Basis = Literal["", "file", "lock", "assumed"]


@record
class Finding:
    """Something that wants attention, as ``check --json`` prints it.

    ``code`` is one of :class:`secretsmith.errors.Code`, or ``E_`` and a name of the plugin's own; ``path`` is relative to the
    root, ``line`` counts from 1 and is 0 when it concerns the whole file; ``hint`` is the command that mends it, "" when
    there is none. ``basis`` says what a finding about readers rests on: the file itself, the lock, or that who they are is
    assumed; "" when it is about something else.
    """

    code: str
    severity: Severity
    path: str
    message: str
    hint: str
    basis: Basis = ""
    line: int = 0


__all__ = ["Basis", "Finding", "Severity"]
