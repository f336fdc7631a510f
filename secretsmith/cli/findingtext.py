"""Findings for people: the grave ones first, what many files have in common said once."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from secretsmith.findings import Finding, Severity

_ORDER: tuple[Severity, ...] = ("error", "warning", "info")
_TOGETHER = 4  # files of which the same is said; fewer are told one by one
_NAMED = 10
_BASIS = {"file": "by the file", "lock": "by the lock", "assumed": "assumed"}


def finding_lines(findings: Sequence[Finding], *, width: int | None = None) -> Iterator[str]:
    """Yield the lines that tell of ``findings``: ``SEVERITY: PATH: MESSAGE (CODE)``, then, indented, what mends it.

    What a finding about readers rests on stands behind its code. ``width`` is the terminal's; messages are broken there and
    commands are not, so that they can be copied. Without it no line is broken.
    """
    for severity in _ORDER:
        groups: dict[tuple[str, ...], list[Finding]] = {}
        for finding in findings:
            if finding.severity == severity:
                groups.setdefault(_likeness(finding), []).append(finding)
        for group in groups.values():
            if len(group) < _TOGETHER:
                for finding in group:
                    yield from _one(finding, width)
            else:
                yield from _many(group, width)


def finding_members(finding: Finding) -> dict[str, str | int]:
    """Return a finding as the schemas of the checks have it."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "path": finding.path,
        "line": finding.line,
        "message": finding.message,
        "hint": finding.hint,
        "basis": finding.basis,
    }


def finding_summary(findings: Sequence[Finding]) -> str:
    """Return "2 errors, 1 warning, 3 info", or "nothing found"."""
    counted = Counter(finding.severity for finding in findings)
    if not counted:
        return "nothing found"
    return ", ".join(
        f"{counted[severity]} {severity}{'s' if counted[severity] > 1 and severity != 'info' else ''}"
        for severity in _ORDER
        if counted[severity]
    )


def _likeness(finding: Finding) -> tuple[str, ...]:
    if not finding.path or finding.line:
        return (finding.code, finding.path, str(finding.line), finding.message)
    hint = finding.hint.replace(shlex.quote(finding.path), "").replace(finding.path, "")
    return (finding.code, finding.message.replace(finding.path, ""), finding.basis, hint)


def _one(finding: Finding, width: int | None) -> Iterator[str]:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    where = f"{finding.severity}: {place}: " if place else f"{finding.severity}: "
    # Errors name the file themselves when they are raised, and it is named once here.
    message = finding.message.removeprefix(f"{finding.path}: ")
    yield from _wrapped(f"{where}{message} {_code(finding)}", width)
    if finding.hint:
        yield f"  {finding.hint}"


def _many(group: Sequence[Finding], width: int | None) -> Iterator[str]:
    first = group[0]
    message = first.message.removeprefix(f"{first.path}: ").replace(first.path, "FILE")
    yield from _wrapped(f"{first.severity}: {len(group)} files: {message} {_code(first)}", width)
    for finding in group[:_NAMED]:
        yield f"    {finding.path}"
    if len(group) > _NAMED:
        yield f"    … and {len(group) - _NAMED} more: --json names all"
    if first.hint:
        yield f"  {_common_hint(group)}"


def _common_hint(group: Sequence[Finding]) -> str:
    first = group[0]
    quoted = shlex.quote(first.path)
    if first.hint == f"secretsmith rekey {quoted}":
        return "secretsmith rekey"
    return first.hint.replace(f"'{first.path}'", "FILE").replace(quoted, "FILE").replace(first.path, "FILE")


def _code(finding: Finding) -> str:
    return f"({finding.code}; {_BASIS[finding.basis]})" if finding.basis else f"({finding.code})"


def _wrapped(text: str, width: int | None) -> list[str]:
    if width is None or len(text) <= width:
        return [text]
    import textwrap  # a terminal that is too narrow, only

    return textwrap.wrap(
        text, max(width, 20), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


__all__ = ["finding_lines", "finding_members", "finding_summary"]
