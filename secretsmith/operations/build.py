"""``build hosts`` and ``build manifest``: ask the builders, and check what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, dump_manifest, parse_manifest
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import Builder, HostDeclaration, Inspecting, PluginContext
from secretsmith.plugin.loader import Loaded, Loader
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.atomic import write_atomic

_GROUP = "secretsmith.builders"


@record
class BuiltHost:
    """A host as one builder declares it; ``registered`` says whether the registry has it."""

    builder: str
    declared: HostDeclaration
    registered: bool


@record
class BuiltHosts:
    """All declared hosts by name, and what the builders found wrong, their own breakage included."""

    hosts: tuple[BuiltHost, ...]
    findings: tuple[Finding, ...]


def list_hosts(project: Project, builder: str | None = None, *, loader: Loader | None = None) -> BuiltHosts:
    """Return the hosts that ``builder`` declares, or every builder that recognises the repository.

    Raises:
        NotFound: PLUGIN_MISSING, no builder of that name, or none that recognises the repository.
        SecretsmithError: PLUGIN_FAILED, and whatever a builder says of its input.
    """
    context = RepositoryContext(project)
    builders, findings = recognising(context, builder, loader or Loader())
    asked = [declared_hosts(project, context, loaded) for loaded in builders]
    hosts = [host for answer in asked for host in answer.hosts]
    findings += [finding for answer in asked for finding in answer.findings]
    return BuiltHosts(
        tuple(sorted(hosts, key=lambda host: (host.declared.name, host.builder))), tuple(findings)
    )


def declared_hosts(project: Project, context: PluginContext, loaded: Loaded[Builder]) -> BuiltHosts:
    """Return what one builder declares and finds. Raises as :func:`list_hosts`."""
    with loaded.guard():
        declared = loaded.plugin.hosts(context)
        found = loaded.plugin.findings(context) if isinstance(loaded.plugin, Inspecting) else ()
    return BuiltHosts(
        tuple(BuiltHost(loaded.entry.name, host, host.name in project.registry.hosts) for host in declared),
        tuple(found),
    )


def make_manifest(
    project: Project,
    host: str,
    builder: str | None = None,
    *,
    source_root: str | None = None,
    loader: Loader | None = None,
) -> Manifest:
    """Return the manifest of ``host``. ``source_root`` is the folder under which the host finds the repository's files.

    Raises:
        NotFound: as :func:`list_hosts`, and when the host is not declared.
        RefusedInput: AMBIGUOUS, several builders recognise the repository; USAGE, a relative ``source_root``.
        SecretsmithError: PLUGIN_FAILED, a builder that broke or gave a manifest which no host would take.
    """
    if source_root is not None and not source_root.startswith("/"):
        raise RefusedInput(Code.USAGE, f"--source-root {source_root}: wants an absolute path on the host")
    context = RepositoryContext(project)
    builders, _ = recognising(context, builder, loader or Loader())
    if len(builders) > 1:
        names = ", ".join(loaded.entry.name for loaded in builders)
        raise RefusedInput(
            Code.AMBIGUOUS,
            f"several builders recognise this repository: {names}",
            hints=(f"secretsmith build manifest {host} --builder {builders[0].entry.name}",),
        )
    with builders[0].guard():
        manifest = builders[0].plugin.manifests(context, [host], source_root)[host]
    return checked_manifest(manifest, host, builders[0])


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest to ``path``, whole or not at all. It holds no value: anybody may read it."""
    write_atomic(path, dump_manifest(manifest), mode=0o644)


def recognising(
    context: PluginContext, name: str | None, loader: Loader
) -> tuple[Sequence[Loaded[Builder]], list[Finding]]:
    """Return the builder ``name``, or all that recognise the repository, with a finding for each that is broken.

    Raises:
        NotFound, SecretsmithError: as :func:`list_hosts`.
    """
    if name is not None:
        return [loader.builder(name)], []
    found: list[Loaded[Builder]] = []
    broken: list[SecretsmithError] = []
    for candidate in loader.names(_GROUP):
        try:
            loaded = loader.builder(candidate)
            with loaded.guard():
                if loaded.plugin.detect(context):
                    found.append(loaded)
        except SecretsmithError as error:
            broken.append(error)
    if not found:
        raise broken[0] if broken else _none(loader)
    # A broken builder must not stop the others, and must not go unseen either: it might know more hosts.
    return found, [
        Finding(error.code, "warning", "", error.message, "secretsmith plugins list") for error in broken
    ]


def _none(loader: Loader) -> NotFound:
    return NotFound(
        Code.PLUGIN_MISSING,
        "no installed builder recognises this repository",
        hints=(
            f"installed builders: {', '.join(loader.names(_GROUP)) or 'none'}",
            "for hosts without Nix, install secretsmith-systemd and write secretsmith.d/HOST.toml; one that declares nothing may be empty",
        ),
    )


def checked_manifest(manifest: Manifest, host: str, loaded: Loaded[Builder]) -> Manifest:
    """Return what a builder made for ``host`` as the host will read it. Raises SecretsmithError (PLUGIN_FAILED)."""
    try:
        checked = parse_manifest(dump_manifest(manifest))
    except RefusedInput as error:
        raise SecretsmithError(
            Code.PLUGIN_FAILED, f"{loaded.entry.title} made a bad {error.message}"
        ) from None
    if checked.host != host:
        raise SecretsmithError(
            Code.PLUGIN_FAILED, f"{loaded.entry.title} made a manifest for {checked.host}, not for {host}"
        )
    return checked


__all__ = [
    "BuiltHost",
    "BuiltHosts",
    "checked_manifest",
    "declared_hosts",
    "list_hosts",
    "make_manifest",
    "recognising",
    "write_manifest",
]
