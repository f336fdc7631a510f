"""``secretsmith build check``: print what would keep hosts from their secrets; exit 3 when anything needs attention."""

from __future__ import annotations

import os
from collections.abc import Iterable

from secretsmith.activation.templates.rendering import render
from secretsmith.cli.arguments.repository import BuildCheckParameters
from secretsmith.cli.findingtext import finding_lines, finding_members, finding_summary
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.findings import Finding
from secretsmith.operations.buildcheck import BuildReport, check_build, read_inputs
from secretsmith.operations.buildopening import Proof

_ATTENTION = ("error", "warning")
_KINDS: tuple[Proof, ...] = ("file", "lock", "untold", "refused")
_PROOFS: tuple[tuple[Proof, str], ...] = (
    ("file", "proven by the file"),
    ("lock", "proven by the lock"),
    ("untold", "not known"),
)


def run(session: Session, given: BuildCheckParameters) -> ExitCode:
    """Print the findings, or JSON in the form of docs/reference/schemas/build-check.schema.json, or build-check-hosts.schema.json."""
    if given.manifest is None:
        return _of_hosts(session, given)
    if given.registry is None or given.hosts or given.builder is not None:
        raise RefusedInput(Code.USAGE, "--manifest wants --registry FILE, and neither HOST nor --builder")
    lock = None if given.lock is None else session.cwd / given.lock
    inputs = read_inputs(session.cwd / given.manifest, session.cwd / given.registry, lock)
    report = check_build(inputs, render)
    if given.json:
        session.json(_as_json(report))
    else:
        _show(session, report)
    return _code(report.findings)


def _of_hosts(session: Session, given: BuildCheckParameters) -> ExitCode:
    if given.registry is not None or given.lock is not None:
        raise RefusedInput(
            Code.USAGE,
            "--registry and --lock go with --manifest; without it those of the repository count",
            hints=("secretsmith build check --help",),
        )
    # Here: inside of a build there is a manifest, and nothing that plugins need.
    from secretsmith.operations.buildcheckhosts import check_hosts

    done = check_hosts(session.project(), given.hosts, given.builder, try_template=render)
    if given.json:
        hosts = [{**_as_json(each.report), "builder": each.builder} for each in done.hosts]
        session.json({"hosts": hosts, "findings": [finding_members(finding) for finding in done.findings]})
    else:
        for each in done.hosts:
            _show(session, each.report, made=each.made)
        for text in finding_lines(done.findings, width=_width(session)):
            session.line(text)
        if not done.hosts:
            session.note("no host is declared")
    return _code([*done.findings, *(finding for each in done.hosts for finding in each.report.findings)])


def _show(session: Session, report: BuildReport, *, made: bool = True) -> None:
    for text in finding_lines(report.findings, width=_width(session)):
        session.line(text)
    session.note(
        _summary(report) if made else f"{report.host}: no manifest; {finding_summary(report.findings)}"
    )


def _code(findings: Iterable[Finding]) -> ExitCode:
    found = any(finding.severity in _ATTENTION for finding in findings)
    return ExitCode.FINDINGS if found else ExitCode.OK


def _as_json(report: BuildReport) -> dict[str, object]:
    return {
        "host": report.host,
        "sources": report.sources,
        "opens": {name: report.proofs.get(name, 0) for name in _KINDS},
        "findings": [finding_members(finding) for finding in report.findings],
    }


def _summary(report: BuildReport) -> str:
    files = "1 file" if report.sources == 1 else f"{report.sources} files"
    counts = [f"{report.proofs[name]} {text}" for name, text in _PROOFS if report.proofs.get(name)]
    opens = f"; opens: {', '.join(counts)}" if counts else ""
    return f"{report.host}: {files}{opens}; {finding_summary(report.findings)}"


def _width(session: Session) -> int | None:
    if not session.stdout_is_terminal:
        return None
    try:
        return os.get_terminal_size(session.stdout.fileno()).columns or None
    except OSError:
        return None


__all__ = ["run"]
