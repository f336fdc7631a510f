"""Whether a host still declares a file: by what builders last said, or by asking them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from secretsmith.errors import Code, Conflict, NotFound, SecretsmithError
from secretsmith.operations.build import recognising
from secretsmith.operations.buildexport import last_export
from secretsmith.operations.grantbuild import asked_hosts
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import HostDeclaration
from secretsmith.plugin.loader import Loader
from secretsmith.project import Project
from secretsmith.store.paths import relative


def refuse_declared(project: Project, path: str, *, build: bool, loader: Loader | None = None) -> None:
    """Stop when a host declares ``path``: without the file its next build, or activation, would fail.

    ``build`` asks the builders now; else their last answer counts while it fits, and where it does not, nobody knows.

    Raises:
        Conflict: LINKED, with what to do.
        SecretsmithError: with ``build``, what builders say of their input.
    """
    quoted = shlex.quote(path)
    declared = _declared(project, build, loader or Loader())
    if declared is None:
        raise Conflict(
            Code.LINKED,
            f"{path}: whether a host declares it is not known here, so it stays",
            hints=(
                f"ask the builders: secretsmith unlink {quoted} --build",
                f"or end the link alone: secretsmith unlink {quoted} --keep-file",
            ),
            path=path,
        )
    origins = sorted(_naming(declared, path))
    if origins:
        raise Conflict(
            Code.LINKED,
            f"{path}: is declared by {', '.join(origins)}, so it stays",
            hints=(
                "take it out of the declarations, then: secretsmith sync --prune",
                f"or end the link alone: secretsmith unlink {quoted} --keep-file",
            ),
            path=path,
        )


def _declared(project: Project, build: bool, loader: Loader) -> list[HostDeclaration] | None:
    """Return what hosts declare, None when that is not known."""
    try:
        builders, broken = recognising(RepositoryContext(project), None, loader)
    except NotFound:
        return []  # no build system here
    except SecretsmithError:
        if build:
            raise
        return None
    if build:
        return [host.declared for host in asked_hosts(project, loader=loader)]
    export = None if broken else last_export(project, loader=loader)
    if export is None or {each.entry.name for each in builders} - {host.builder for host in export.hosts}:
        return None
    return [host.declared for host in export.hosts]


def _naming(declared: Iterable[HostDeclaration], path: str) -> Iterator[str]:
    for host in declared:
        for secret in host.stored:
            try:
                same = relative(secret.file) == path
            except SecretsmithError:
                same = False
            if same:
                yield f"{host.name} ({secret.origin})"


__all__ = ["refuse_declared"]
