"""Findings as workflow commands of GitHub Actions, which shows them beside the lines of a pull request.

GitHub's reference "Workflow commands for GitHub Actions": ``::error file=F,line=N,title=T::MESSAGE``. A
``%``, a line break and, in a property, ``:`` and ``,`` are written as ``%`` and their hex code (actions/toolkit, command.ts).
"""

from __future__ import annotations

from secretsmith.cli.render import printable
from secretsmith.findings import Finding

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def workflow_command(finding: Finding, folder: str) -> str:
    """Return one line for ``finding``; ``folder`` is the registry's as seen from the top of the work tree."""
    properties = []
    if finding.path:
        properties.append(f"file={_property(f'{folder}/{finding.path}' if folder else finding.path)}")
        if finding.line:
            properties.append(f"line={finding.line}")
    properties.append(f"title={_property(f'secretsmith {finding.code}')}")
    about = f" ({finding.basis})" if finding.basis else ""
    message = f"{finding.path}: {finding.message.removeprefix(f'{finding.path}: ')}{about}".removeprefix(": ")
    lines = [message, *([finding.hint] if finding.hint else [])]
    text = "%0A".join(_data(line) for line in lines)
    return f"::{_LEVELS[finding.severity]} {','.join(properties)}::{text}"


def _data(text: str) -> str:
    # Escaped as for a terminal first: what is left of line breaks then is none, and a name cannot end the command.
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


__all__ = ["workflow_command"]
