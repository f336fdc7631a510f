"""What ``check`` says of the secrets that builds declare: those a host does not get, and those it gets and has no use for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import read_document
from secretsmith.documents.tree import parse_tree_path
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.buildexport import Exported, export_build, last_export
from secretsmith.operations.narrowing import granting, narrowing
from secretsmith.operations.readers import wanted_by
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.store.paths import relative

if TYPE_CHECKING:
    from secretsmith.plugin.api import SecretDeclaration
    from secretsmith.plugin.loader import Loader

_PLACE = re.compile(r"(.+):([0-9]+)\Z")


def build_findings(
    project: Project,
    files: Sequence[str],
    *,
    evaluate: bool = False,
    keys: bool = False,
    limited: bool = False,
    loader: Loader | None = None,
) -> Iterator[Finding]:
    """Compare what the builders declare with the registry and with ``files``.

    ``evaluate`` asks them now; else their last answer counts. ``keys`` looks into documents for the keys that are declared.
    ``limited``: ``files`` are not all secrets, and only they are spoken of.
    """
    noticed: tuple[Finding, ...] = ()
    if evaluate:
        try:
            built = export_build(project, loader=loader)
        except SecretsmithError as error:
            hint = error.hints[0] if error.hints else "secretsmith build hosts"
            yield _placed(project, Finding(error.code, "error", error.path or "", error.message, hint))
            return
        hosts = [Exported(host.builder, host.declared) for host in built.hosts]
        noticed = built.findings
    else:
        export = last_export(project, loader=loader)
        if export is None:
            yield Finding(
                Code.BUILD_STALE,
                "info",
                "",
                "what the hosts declare has changed since the builders were asked, so it was not compared",
                "secretsmith check --build",
            )
            return
        hosts = list(export.hosts)
    found = [*_declared(project, hosts, keys), *_undeclared(project, hosts, files)]
    # A builder that looks for itself often finds the same, at the same place.
    said = {(finding.path, finding.line) for finding in found if finding.severity == "error"}
    theirs = [_placed(project, finding) for finding in noticed]
    found += [finding for finding in theirs if (finding.path, finding.line) not in said]
    chosen = {*files, *(path for path in _origins(project, hosts, files))} if limited else None
    yield from (finding for finding in found if chosen is None or finding.path in chosen)


def _origins(project: Project, hosts: Iterable[Exported], files: Sequence[str]) -> Iterator[str]:
    known = set(files)
    for host in hosts:
        for secret in host.declared.stored:
            if secret.file in known:
                yield _place(project, secret.origin, secret.file)[0]


def _declared(project: Project, hosts: Iterable[Exported], keys: bool) -> Iterator[Finding]:
    """Find what a host declares and does not get."""
    for host in hosts:
        name, registered = host.declared.name, project.registry.hosts.get(host.declared.name)
        if registered is None:
            path, line = _place(project, host.declared.origin, REGISTRY_NAME)
            message = f"{name} declares secrets, and the registry has no such host"
            yield Finding(
                Code.REG_UNKNOWN, "error", path, message, f"secretsmith host add {name} --scan", line=line
            )
            continue
        for secret in host.declared.stored:
            yield from _secret(project, name, secret, keys)


def _secret(project: Project, host: str, secret: SecretDeclaration, keys: bool) -> Iterator[Finding]:
    path, line = _place(project, secret.origin, secret.file)
    quoted = shlex.quote(secret.file)
    if not _exists(project, secret.file):
        message = f"{host} declares {secret.file}, and there is no such file"
        hint = "secretsmith sync --build" if secret.source else f"secretsmith set {quoted}"
        yield Finding(Code.NOT_FOUND, "error", path, message, hint, line=line)
    elif keys and secret.key and not _has_key(project, secret.file, secret.key):
        message = f"{host} declares {secret.key} of {secret.file}, and there is no such key in it"
        hint = f"secretsmith set {quoted} {shlex.quote(secret.key)}"
        yield Finding(Code.NOT_FOUND, "error", path, message, hint, line=line)
    try:
        wanted = wanted_by(project, secret.file)
    except SecretsmithError:
        return  # rules that contradict each other: said of the file itself
    if host in wanted.names or host in wanted.pending:
        return
    registered = project.registry.hosts[host]
    if not registered.reads:
        message = f"{host} declares {secret.file}, and is {registered.status} in the registry"
        hint = f"secretsmith host reprovision {host} --scan, or take it out of the build"
    else:
        message = f"{host} declares {secret.file}, which no rule lets it read"
        hint = "secretsmith sync --build" if secret.source else granting(project.registry, secret.file, host)
    yield Finding(Code.NOT_GRANTED, "error", path, message, hint, line=line)


def _exists(project: Project, file: str) -> bool:
    try:
        return (project.root / relative(file)).is_file()
    except SecretsmithError:
        return False


def _has_key(project: Project, file: str, key: str) -> bool:
    """Say whether a document has something at ``key``; the names in it are not encrypted."""
    form = format_of(file)
    if form is Format.AGE:
        return True  # nobody can tell without opening it
    try:
        wanted = tuple(map(str, parse_tree_path(key)))
        named = read_document(form, project.read(file)).by_name
    except SecretsmithError:
        return True  # said of the file itself
    return any(tuple(map(str, path[: len(wanted)])) == wanted for path in named)


def _undeclared(project: Project, hosts: Iterable[Exported], files: Sequence[str]) -> Iterator[Finding]:
    """Find what a host may read and does not declare; of hosts that no builder knows, nothing can be said."""
    declared: dict[str, set[str]] = {}
    for host in hosts:
        if host.declared.name in project.registry.hosts:
            declared.setdefault(host.declared.name, set()).update(each.file for each in host.declared.stored)
    known: dict[tuple[object, ...], str] = {}
    for path in files:
        try:
            wanted = wanted_by(project, path)
        except SecretsmithError:
            continue
        if idle := tuple(name for name in wanted.names if path not in declared.get(name, {path})):
            who, does = ", ".join(idle), "do" if len(idle) > 1 else "does"
            message = f"{who} may read it and {does} not declare it"
            case = (idle, *(rule.line for rule in wanted.rules))
            if case not in known:
                known[case] = narrowing(wanted, idle, declared)
            yield Finding(Code.UNDECLARED, "info", path, message, known[case])


def _placed(project: Project, finding: Finding) -> Finding:
    """Give a finding of a builder, whose path is a place, the path and line of a file of the repository."""
    path, line = _place(project, finding.path, finding.path)
    return Finding(
        finding.code,
        finding.severity,
        path,
        finding.message,
        finding.hint,
        finding.basis,
        line or finding.line,
    )


def _place(project: Project, origin: str, otherwise: str) -> tuple[str, int]:
    """Split ``FILE:LINE`` or ``FILE``; an origin that is no file of the repository (an option) gives ``otherwise``."""
    match = _PLACE.match(origin)
    for path, line in ((origin, 0), *([(match[1], int(match[2][:9]))] if match else [])):
        if path and _exists(project, path):
            return path, line
    return otherwise, 0


__all__ = ["build_findings"]
