"""``secretsmith check``: print what is wrong; exit 3 when anything needs attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from secretsmith.cli.arguments.readers import CheckParameters
from secretsmith.cli.places import located
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.findings import Finding
from secretsmith.operations.check import check

_ATTENTION = ("error", "warning")


def run(session: Session, given: CheckParameters) -> ExitCode:
    """Print the findings as JSON, or as two lines each: what, and the command that mends it."""
    project = session.project()
    findings = check(project, located(session, project, given.paths), deep=given.deep)
    if given.json:
        session.json({"findings": [_as_json(finding) for finding in findings]})
    else:
        for finding in findings:
            session.line(f"{finding.severity}: {finding.path}: {finding.message} ({finding.code})")
            if finding.hint:
                session.line(f"  {finding.hint}")
        session.note(_summary(findings))
    found = any(finding.severity in _ATTENTION for finding in findings)
    return ExitCode.FINDINGS if found else ExitCode.OK


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
    }


def _summary(findings: Sequence[Finding]) -> str:
    counted = Counter(finding.severity for finding in findings)
    if not counted:
        return "nothing found"
    return ", ".join(
        f"{counted[severity]} {severity}{'s' if counted[severity] > 1 and severity != 'info' else ''}"
        for severity in ("error", "warning", "info")
        if counted[severity]
    )


__all__ = ["run"]
