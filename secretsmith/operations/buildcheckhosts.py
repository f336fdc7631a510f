"""``build check [HOST…]``: the check of a build for every host that builders know, with the files as they are in this checkout."""

from __future__ import annotations

import re
from collections.abc import Sequence

from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest
from secretsmith.operations.build import checked_manifest, recognising
from secretsmith.operations.buildcheck import BuildInputs, BuildReport, TryTemplate, check_build
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import Builder, PluginContext
from secretsmith.plugin.loader import Loaded, Loader
from secretsmith.policy.words import did_you_mean
from secretsmith.project import Project
from secretsmith.record import record, replace

_Made = Manifest | SecretsmithError


@record
class CheckedHost:
    """What was found for a host as one builder makes it; ``made`` says whether there was a manifest to look at."""

    builder: str
    report: BuildReport
    made: bool


@record
class CheckedHosts:
    """The hosts by name, and what is wrong with the builders themselves."""

    hosts: tuple[CheckedHost, ...]
    findings: tuple[Finding, ...]


def check_hosts(
    project: Project,
    names: Sequence[str] = (),
    builder: str | None = None,
    *,
    try_template: TryTemplate | None = None,
    loader: Loader | None = None,
) -> CheckedHosts:
    """Check the manifests of ``names``, or of all hosts, as ``builder`` makes them, or every builder that recognises the repository.

    What keeps a builder from making one host's manifest is a finding of that host. ``try_template`` as for
    :func:`~secretsmith.operations.buildcheck.check_build`.

    Raises:
        NotFound: PLUGIN_MISSING, no such builder; NOT_FOUND, no builder knows one of ``names``.
        SecretsmithError: PLUGIN_FAILED, and whatever a builder says of its input as a whole.
    """
    context = RepositoryContext(project)
    builders, findings = recognising(context, builder, loader or Loader())
    known = [(loaded, _declared(context, loaded)) for loaded in builders]
    _refuse_unknown(names, {host for _, declared in known for host in declared})
    made: list[tuple[str, str, _Made]] = []
    for loaded, declared in known:
        wanted = [host for host in declared if not names or host in names]
        manifests = _manifests(context, loaded, wanted) if wanted else {}
        made += [(host, loaded.entry.name, manifest) for host, manifest in manifests.items()]
    made.sort(key=lambda each: each[:2])
    reports = [_report(project, host, manifest, try_template) for host, _, manifest in made]
    return CheckedHosts(
        tuple(
            CheckedHost(name, _without_declared(report, made), isinstance(manifest, Manifest))
            for (_, name, manifest), report in zip(made, reports, strict=True)
        ),
        tuple(findings),
    )


def _declared(context: PluginContext, loaded: Loaded[Builder]) -> list[str]:
    with loaded.guard():
        return [host.name for host in loaded.plugin.hosts(context)]


def _refuse_unknown(names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise NotFound(
                Code.NOT_FOUND, f"no builder knows a host {name}", hints=near or ("secretsmith build hosts",)
            )


def _manifests(context: PluginContext, loaded: Loaded[Builder], hosts: Sequence[str]) -> dict[str, _Made]:
    """Make all manifests at once; where that fails each by itself, so that one host's mistake hides no other host."""
    try:
        with loaded.guard():
            made = loaded.plugin.manifests(context, hosts, None)
            found = {host: made[host] for host in hosts}
    except SecretsmithError as error:
        if len(hosts) == 1:
            return {hosts[0]: error}
        if error.code is Code.PLUGIN_TIMEOUT:
            raise  # hours, once more for every host
        return {host: each for name in hosts for host, each in _manifests(context, loaded, [name]).items()}
    return {host: _as_read(manifest, host, loaded) for host, manifest in found.items()}


def _as_read(manifest: Manifest, host: str, loaded: Loaded[Builder]) -> _Made:
    try:
        return checked_manifest(manifest, host, loaded)
    except SecretsmithError as error:
        return error


def _report(project: Project, host: str, made: _Made, try_template: TryTemplate | None) -> BuildReport:
    if isinstance(made, Manifest):
        return check_build(BuildInputs(made, project.registry, project.lock), try_template)
    hint, path, message, line = made.hints[0] if made.hints else "", made.path or "", made.message, 0
    if path and (place := re.match(rf"{re.escape(path)}:([0-9]{{1,9}})(?::[0-9]+)?: ", message)):
        message, line = message[place.end() :], int(place[1])
    return BuildReport(host, 0, {}, (Finding(made.code, "error", path, message, hint, line=line),))


def _without_declared(report: BuildReport, made: Sequence[tuple[str, str, _Made]]) -> BuildReport:
    """Leave out that a host has no use for a file, where another builder of the same host declares it."""
    ours = [manifest for host, _, manifest in made if host == report.host]
    if len(ours) < 2:
        return report
    declared = {secret.id for each in ours if isinstance(each, Manifest) for secret in each.secrets}
    partial = not all(isinstance(each, Manifest) for each in ours)
    kept = [
        finding
        for finding in report.findings
        if finding.code is not Code.UNDECLARED or not (partial or finding.path in declared)
    ]
    return replace(report, findings=tuple(kept))


__all__ = ["CheckedHost", "CheckedHosts", "check_hosts"]
