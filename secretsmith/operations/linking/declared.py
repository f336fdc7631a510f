"""Which files hosts declare with a source, and which of these declarations cannot be followed, and why."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import SecretsmithError
from secretsmith.operations.build import BuiltHost
from secretsmith.operations.grantbuild import LeftOut, declared_path
from secretsmith.operations.linking.sources import parse_reference
from secretsmith.plugin.api import SecretDeclaration
from secretsmith.policy.lock import BY_BUILD
from secretsmith.project import Project
from secretsmith.record import record


@record
class DeclaredSources:
    """``sources``: file → reference, of what can be followed; ``left`` is the rest. ``files`` are all that anybody declares.

    ``sourced`` are those that are declared with a source, whether or not it can be followed.
    """

    sources: Mapping[str, str]
    left: tuple[LeftOut, ...]
    files: frozenset[str]
    sourced: frozenset[str]


def declared_sources(project: Project, hosts: Iterable[BuiltHost]) -> DeclaredSources:
    """Sort out what ``hosts`` declare.

    Raises:
        RefusedInput: as :func:`secretsmith.operations.grantbuild.declared_path`.
    """
    wanted: dict[str, dict[str, str]] = {}  # file → source → where it is declared first
    files: set[str] = set()
    left: list[LeftOut] = []
    for host in hosts:
        for secret in host.declared.stored:
            path = declared_path(secret.file, host.declared.name, secret.origin)
            files.add(path)
            if secret.source is None:
                continue
            where = wanted.setdefault(path, {})
            reason = _unfit(secret, path)
            if reason is not None:
                left.append(reason)
            else:
                where.setdefault(secret.source, secret.origin)
    sources: dict[str, str] = {}
    for path, where in sorted(wanted.items()):
        reason = _in_the_way(project, path, where)
        if reason is not None:
            left.append(reason)
        elif where:
            sources[path] = next(iter(where))
    return DeclaredSources(sources, tuple(dict.fromkeys(left)), frozenset(files), frozenset(wanted))


def _unfit(secret: SecretDeclaration, path: str) -> LeftOut | None:
    if format_of(path) is not Format.AGE or secret.key is not None:
        return LeftOut(
            f"{secret.origin}: {path} is not one value, and only files whose name ends in .age can have a source",
            "give file another name, or leave it out; and no key",
        )
    try:
        parse_reference(secret.source or "")
    except SecretsmithError as error:
        return LeftOut(f"{secret.origin}: {error.message}", error.hints[0])
    return None


def _in_the_way(project: Project, path: str, where: Mapping[str, str]) -> LeftOut | None:
    if len(where) > 1:
        said = " and ".join(f"{source} ({origin})" for source, origin in where.items())
        return LeftOut(f"{path}: two sources are declared: {said}", "give each a file of its own")
    link, quoted = project.lock.links.get(path), shlex.quote(path)
    for source in where:
        if link is None and os.path.lexists(project.root / path):
            return LeftOut(
                f"{path}: is there and not linked, and its value stays",
                f"if that of {source} is to take its place: secretsmith link {shlex.quote(source)} {quoted} --replace",
            )
        if link is not None and link.by != BY_BUILD and link.source != source:
            return LeftOut(
                f"{path}: is linked to {link.source} by hand and declared with {source}",
                f"end the link first: secretsmith unlink {quoted} --keep-file, or declare the same source",
            )
    return None


__all__ = ["DeclaredSources", "declared_sources"]
