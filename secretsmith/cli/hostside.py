"""What ``status`` and ``doctor`` share: which manifest this host is about, and how findings are said."""

from __future__ import annotations

import os
from collections.abc import Sequence

from secretsmith.activation.accounts import Caller
from secretsmith.activation.scope import surroundings
from secretsmith.activation.status import load_status
from secretsmith.cli.findingtext import finding_lines
from secretsmith.cli.session import Session
from secretsmith.errors import SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Scope


def manifest_path(session: Session, given: str | None, status: str | None) -> str | None:
    """Return the absolute path of the manifest that was ``given``, else of the one that was last activated here.

    ``status`` is the status file, None for the usual one. None if nothing tells.
    """
    if given is not None:
        return os.path.normpath(session.cwd / given)
    caller = Caller.current()
    scope = Scope.SYSTEM if caller.uid == 0 else Scope.USER
    path = status_path(session, status) or surroundings(scope, session.environ, caller).status
    if path is None:
        return None
    try:
        known = load_status(path, caller)
    except (SecretsmithError, OSError):
        return None
    recorded = None if known is None else known.tree.get("manifest")
    return recorded if isinstance(recorded, str) and recorded.startswith("/") else None


def status_path(session: Session, given: str | None) -> str | None:
    """Return the absolute path of a file that was named on the command line."""
    return None if given is None else os.path.normpath(session.cwd / given)


def findings_as_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Return findings as the schemas of both commands have them."""
    return [
        {
            "code": str(finding.code),
            "severity": finding.severity,
            "path": finding.path,
            "message": finding.message,
            "hints": finding.hint.split("\n") if finding.hint else [],
        }
        for finding in findings
    ]


def print_findings(session: Session, findings: Sequence[Finding]) -> None:
    """Print findings as ``check`` does, the grave ones first; every hint is a line."""
    for text in finding_lines(findings, width=_width(session)):
        first, *more = text.split("\n")
        session.line(first)
        for line in more:
            session.line(f"  {line}")


def _width(session: Session) -> int | None:
    if not session.stdout_is_terminal:
        return None
    try:
        return os.get_terminal_size(session.stdout.fileno()).columns or None
    except OSError:
        return None


__all__ = ["findings_as_json", "manifest_path", "print_findings", "status_path"]
