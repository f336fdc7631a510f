"""``ls``: every secret, who should read it and who can. Needs no key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.operations.locate import SUFFIXES, similar_names
from secretsmith.operations.managed import managed_files, unruled_files
from secretsmith.operations.readers import names_of, quick_drift
from secretsmith.project import Project
from secretsmith.record import record, replace


@record
class Listed:
    """One secret.

    ``wanted`` are names; ``present`` are names and "unknown:…" for recipients that the registry never named. ``problem``
    says why the file could not be judged, "" when it could. ``source`` is the reference that its value comes from, "" for none.
    """

    path: str
    format: Format
    wanted: tuple[str, ...]
    present: tuple[str, ...]
    drift: bool
    problem: str = ""
    source: str = ""


def list_secrets(
    project: Project, paths: Sequence[str] = (), *, cwd: Path | None = None
) -> tuple[Listed, ...]:
    """Return the secrets at or below ``paths`` (as typed in ``cwd``), all without any, sorted by path.

    Files below the secrets folder that no rule names are listed, too, with nobody who should read them.

    Raises:
        NotFound: a path that holds no secret.
    """
    unruled = frozenset(unruled_files(project))
    files = sorted({*managed_files(project), *unruled})
    if paths:
        wanted = [_below(project, files, text, cwd or Path.cwd()) for text in paths]
        chosen = {path for group in wanted for path in group}
        files = [path for path in files if path in chosen]
    links = project.lock.links
    listed = tuple(
        replace(
            _listed(project, path, managed=path not in unruled),
            source=links[path].source if path in links else "",
        )
        for path in files
    )
    project.index.save()
    return listed


def _below(project: Project, files: Sequence[str], text: str, cwd: Path) -> list[str]:
    root = project.root.resolve()
    starts = [cwd / text, root / text, root / project.registry.secrets / text]
    for start in starts:
        place = os.path.relpath(os.path.normpath(start), root)
        exact = {place + suffix for suffix in ("", *SUFFIXES)}
        if found := [path for path in files if place == "." or path in exact or path.startswith(f"{place}/")]:
            return found
    hints = [f"did you mean {name}?" for name in similar_names(text, files, project.registry.secrets)]
    raise NotFound(Code.NOT_FOUND, f"{text}: no secret there", hints=(*hints, "secretsmith ls lists all"))


def _listed(project: Project, path: str, *, managed: bool) -> Listed:
    try:
        judged = quick_drift(project, path)
    except SecretsmithError as error:
        # One damaged file must not hide the others; what a listing cannot judge it does not call fine.
        return Listed(path, format_of(path), (), (), error.code is not Code.UNSUPPORTED, error.message)
    return Listed(
        path,
        format_of(path),
        judged.wanted.names if managed else (),
        (
            *names_of(project, judged.present.keys),
            *(f"unknown:{key}" for key in judged.present.unknown),
        ),
        judged.drifts if managed else bool(judged.present.unknown),
    )


__all__ = ["Listed", "list_secrets"]
