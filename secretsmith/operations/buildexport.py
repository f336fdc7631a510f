"""What the builders last declared, kept in the state of the clone while what it was made from stays the same.

Asking a builder may mean to evaluate a whole configuration, which only happens when somebody asks for it. Without it,
``check`` and ``explain`` still know which host wants which secret, as long as the inputs of the builders fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from secretsmith.errors import NotFound, SecretsmithError
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.paths import safe_relative

if TYPE_CHECKING:
    from secretsmith.operations.build import BuiltHost, BuiltHosts
    from secretsmith.plugin.api import Builder, HostDeclaration, PluginContext
    from secretsmith.plugin.loader import Loaded, Loader

# Imports in functions: a check in a repository without builders must not pay for what knows plugins.

EXPORT_FILE: Final = "build.json"
_VERSION: Final = 1
_MAX_BYTES: Final = 64 * 1024 * 1024


@record
class Exported:
    """A host as ``builder`` declares it."""

    builder: str
    declared: HostDeclaration


@record
class Export:
    """What all builders declared on the day ``made`` (YYYY-MM-DD), by host; several builders may know one host."""

    made: str
    hosts: tuple[Exported, ...]


def has_export(project: Project) -> bool:
    """Say whether builders were ever asked in this clone; whether their answer still fits, :func:`last_export` knows."""
    return (project.state / EXPORT_FILE).is_file()


def export_build(project: Project, builder: str | None = None, *, loader: Loader | None = None) -> BuiltHosts:
    """Ask ``builder``, or every builder that recognises the repository, and keep what it declares.

    A builder that cannot tell its inputs is asked and not kept: nobody could say later whether its answer still fits.

    Raises:
        NotFound, SecretsmithError: as :func:`secretsmith.operations.build.list_hosts`.
    """
    from secretsmith.operations.build import BuiltHosts, declared_hosts, recognising
    from secretsmith.operations.plugincontext import RepositoryContext
    from secretsmith.plugin.loader import Loader

    loader = loader or Loader()
    context = RepositoryContext(project)
    builders, findings = recognising(context, builder, loader)
    # One that was named replaces its own answer; all replace all.
    records = {} if builder is None else dict(_stored(project) or {})
    hosts: list[BuiltHost] = []
    for loaded in builders:
        before = _inputs(
            project, context, loaded
        )  # before: what changes meanwhile must not count as looked at
        answer = declared_hosts(project, context, loaded)
        hosts += answer.hosts
        findings += answer.findings
        records.pop(loaded.entry.name, None)
        if before is not None:
            records[loaded.entry.name] = _record(project, before, answer)
    _store(project, records, absent_builders(project, loader, before=True))
    return BuiltHosts(
        tuple(sorted(hosts, key=lambda host: (host.declared.name, host.builder))), tuple(findings)
    )


def refresh_export(project: Project, builder: str | None = None, *, loader: Loader | None = None) -> None:
    """Ask the builders anew if what they last declared does not fit any more; what goes wrong is for others to tell."""
    with suppress(SecretsmithError):
        if last_export(project, loader=loader) is None:
            export_build(project, builder, loader=loader)


def last_export(project: Project, *, loader: Loader | None = None) -> Export | None:
    """Return what the builders last declared; None when they never did, or when what any of them made it from has changed."""
    records = _stored(project)
    if not records:
        return None
    from secretsmith.operations.plugincontext import RepositoryContext
    from secretsmith.plugin.loader import Loader

    loader = loader or Loader()
    context = RepositoryContext(project)
    hosts: list[Exported] = []
    made = ""
    try:
        for name, record in records.items():
            if _inputs(project, context, loader.builder(name)) != record["inputs"]:
                return None
            made = max(made, str(record["made"]))
            hosts += [Exported(name, _declaration(host)) for host in record["hosts"]]
    except (SecretsmithError, KeyError, TypeError, ValueError):
        return None  # the builder is gone or broken, or the file is none of ours: asking anew mends it
    return Export(made, tuple(sorted(hosts, key=lambda host: (host.declared.name, host.builder))))


def _inputs(project: Project, context: PluginContext, loaded: Loaded[Builder]) -> str | None:
    """Return a digest of the builder and of all that its declarations are made from; None when it does not tell."""
    from secretsmith.plugin.api import Traceable

    if not isinstance(loaded.plugin, Traceable):
        return None
    with loaded.guard():
        paths = sorted({str(path) for path in loaded.plugin.inputs(context)})
    digest = hashlib.sha256(f"{loaded.entry.title}\n".encode())
    for path in paths:
        try:
            content = project.index.digest(project.root, safe_relative(project.root, path))
        except NotFound:
            content = "absent"
        digest.update(f"{len(path)} {path} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _record(project: Project, inputs: str, answer: BuiltHosts) -> dict[str, Any]:
    from secretsmith.record import as_dict

    hosts = [as_dict(host.declared) for host in answer.hosts]
    return {"inputs": inputs, "made": project.today, "hosts": hosts}


def _declaration(raw: Mapping[str, Any]) -> HostDeclaration:
    from secretsmith.plugin.api import HostDeclaration, SecretDeclaration

    secrets = [
        SecretDeclaration(**{**each, "units": tuple(each.get("units", ()))}) for each in raw["secrets"]
    ]
    return HostDeclaration(raw["name"], raw["origin"], tuple(secrets), tuple(raw.get("elsewhere", ())))


def absent_builders(project: Project, loader: Loader, *, before: bool = False) -> tuple[str, ...]:
    """Return the builders that declared something in this clone once, and are not installed any more.

    ``before`` the records of the last answer are replaced, those of builders that are gone count as well.
    """
    known = _file(project).get("absent", [])
    names = {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()
    names |= set(_stored(project) or {}) if before else set()
    return tuple(sorted(names - set(loader.names("secretsmith.builders"))))


def forget_absent(project: Project) -> None:
    """Somebody said that the builders which are not installed any more are gone for good."""
    if _file(project).get("absent"):
        _store(project, _stored(project) or {}, ())


def _stored(project: Project) -> Mapping[str, Any] | None:
    builders = _file(project).get("builders")
    return builders if isinstance(builders, dict) else None


def _file(project: Project) -> Mapping[str, Any]:
    import json

    try:
        found = json.loads(read_file(project.state / EXPORT_FILE, _MAX_BYTES))
    except (SecretsmithError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("version") == _VERSION else {}


def _store(project: Project, records: Mapping[str, Any], absent: Sequence[str]) -> None:
    import json

    tree = {"version": _VERSION, "builders": records, "absent": absent}
    text = json.dumps(tree, separators=(",", ":"))
    # A state folder that cannot be written is no error: builders are asked again.
    with suppress(SecretsmithError):
        write_atomic(project.state / EXPORT_FILE, text.encode(), mode=0o600, durable=False)
    project.index.save()


__all__ = [
    "EXPORT_FILE",
    "Export",
    "Exported",
    "absent_builders",
    "export_build",
    "forget_absent",
    "has_export",
    "last_export",
    "refresh_export",
]
