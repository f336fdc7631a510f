"""``secretsmith check``: print what is wrong; exit 3 when anything needs attention."""

from __future__ import annotations

import os
from collections.abc import Sequence

from secretsmith.cli.arguments.readers import CheckParameters
from secretsmith.cli.findingtext import finding_lines, finding_members, finding_summary
from secretsmith.cli.places import located
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.check import check, folder_in_git

_ATTENTION = ("error", "warning")


def run(session: Session, given: CheckParameters) -> ExitCode:
    """Print the findings in the format that was asked for."""
    form = _format(given)
    try:
        project = session.project()
    except SecretsmithError as error:
        # Whoever reads the output of a machine sees it there too: a broken registry is the first thing to mend.
        if form not in ("text", "json") and error.path is not None:
            _print(session, form, [_refused(error)], "")
        raise
    paths = located(session, project, given.paths)
    findings = check(project, paths, deep=given.deep, build=given.build)
    _print(session, form, findings, folder_in_git(project) if form in ("sarif", "github") else "")
    if form == "text":
        session.note(finding_summary(findings))
    found = any(finding.severity in _ATTENTION for finding in findings)
    return ExitCode.FINDINGS if found else ExitCode.OK


def _format(given: CheckParameters) -> str:
    if given.json and given.format not in (None, "json"):
        raise RefusedInput(
            Code.USAGE,
            f"--json and --format {given.format} do not go together",
            hints=("give one of the two",),
        )
    return "json" if given.json else given.format or "text"


def _print(session: Session, form: str, findings: Sequence[Finding], folder: str) -> None:
    # Each format's module is for itself: a check in a hook must not pay for what it does not print.
    if form == "json":
        session.json({"findings": [finding_members(finding) for finding in findings]})
    elif form == "sarif":
        from secretsmith.cli.sarif import sarif_log

        session.json(sarif_log(findings, folder))
    elif form == "github":
        from secretsmith.cli.workflow import workflow_command

        for finding in findings:
            session.line(workflow_command(finding, folder))
    else:
        for text in finding_lines(findings, width=_width(session)):
            session.line(text)


def _refused(error: SecretsmithError) -> Finding:
    """Give a registry or lock that cannot be read as a finding; its message begins with ``FILE:LINE:COLUMN: ``."""
    path = error.path or ""
    parts = error.message.removeprefix(f"{path}:").split(":", 2)
    line = int(parts[0]) if len(parts) == 3 and parts[0].isdecimal() and len(parts[0]) < 9 else 0
    return Finding(error.code, "error", path, error.message, error.hints[0] if error.hints else "", line=line)


def _width(session: Session) -> int | None:
    """Return the width of the terminal; None in a pipe, where every finding is one line."""
    if not session.stdout_is_terminal:
        return None
    try:
        return os.get_terminal_size(session.stdout.fileno()).columns or None
    except OSError:
        return None


__all__ = ["run"]
