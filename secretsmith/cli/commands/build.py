"""``secretsmith build hosts`` and ``secretsmith build manifest HOST``."""

from __future__ import annotations

from secretsmith.cli.arguments.repository import BuildHostsParameters, BuildManifestParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.manifest import dump_manifest
from secretsmith.operations.build import BuiltHost, make_manifest, write_manifest
from secretsmith.operations.buildexport import export_build, refresh_export
from secretsmith.plugin.loader import Loader
from secretsmith.record import as_dict


def hosts(session: Session, given: BuildHostsParameters) -> ExitCode:
    """List the hosts that builders know, and what is wrong with their declarations."""
    built = export_build(session.project(), given.builder)
    if given.json:
        session.json([_row(host) for host in built.hosts])
    else:
        for host in built.hosts:
            unknown = "" if host.registered else "  not in the registry"
            session.line(
                f"{host.declared.name}  {host.builder}  {_count(len(host.declared.secrets))}{_live(host)}{unknown}"
            )
    for finding in built.findings:
        session.note(f"{finding.severity}: {f'{finding.path}: ' if finding.path else ''}{finding.message}")
        if finding.hint:
            session.note(f"  hint: {finding.hint}")
    wrong = any(finding.severity != "info" for finding in built.findings)
    return ExitCode.FINDINGS if wrong else ExitCode.OK


def manifest(session: Session, given: BuildManifestParameters) -> ExitCode:
    """Print a host's manifest, or write it to a file."""
    project, loader = session.project(), Loader()
    made = make_manifest(project, given.host, given.builder, source_root=given.source_root, loader=loader)
    refresh_export(project, given.builder, loader=loader)
    if given.out is None:
        session.write(dump_manifest(made))
    else:
        write_manifest(made, session.cwd / given.out)
        session.note(f"{given.out}: {_count(len(made.secrets))} for {given.host}")
    return ExitCode.OK


def _count(secrets: int) -> str:
    return "1 secret" if secrets == 1 else f"{secrets} secrets"


def _live(host: BuiltHost) -> str:
    live = len(host.declared.secrets) - len(host.declared.stored)
    return f" ({live} live)" if live else ""


def _row(host: BuiltHost) -> dict[str, object]:
    declared = host.declared
    return {
        "name": declared.name,
        "builder": host.builder,
        "origin": declared.origin,
        "registered": host.registered,
        "secrets": [as_dict(secret) for secret in declared.secrets],
    }


__all__ = ["hosts", "manifest"]
