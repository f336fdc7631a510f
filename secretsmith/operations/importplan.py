"""Which entries of a store ``import`` would copy into which files: nothing is decrypted for it."""

from __future__ import annotations

import difflib
import os
import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.locate import SUFFIX, locate_target
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import StoringSource
from secretsmith.plugin.loader import Loader
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.paths import safe_relative

_KEPT: Final = "._@+="  # besides letters and digits; what else a name holds becomes a dash


@record
class Copy:
    """One value to copy: ``source`` is ``SCHEME:REFERENCE``, ``path`` the file; ``exists`` when there is one already."""

    source: str
    path: str
    exists: bool


def plan_import(
    project: Project,
    scheme: str,
    subtree: str | None = None,
    *,
    maps: Sequence[str] = (),
    select: str | None = None,
    cwd: Path,
    loader: Loader | None = None,
) -> tuple[Copy, ...]:
    """Say which entries would become which files; nothing is decrypted.

    ``subtree`` is an entry or folder of the store; without it and without ``maps`` all entries are meant. ``maps`` are
    ``NAME=PATH``: a further entry, or another place for one. ``select`` is what of each entry is taken (``*``, a key).

    Raises:
        NotFound: PLUGIN_MISSING; nothing in the store is called so.
        RefusedInput: USAGE, a source that cannot list, a malformed map; NAME, two entries for one file, or no name for one.
    """
    given = dict(_mapped(project, scheme, text, cwd) for text in maps)
    names = _listed(project, scheme, subtree, loader or Loader()) if subtree is not None or not maps else ()
    part = "" if select is None else f"#{select}"
    found = {
        f"{name}{part}": given.pop(name) if name in given else _path_for(project, scheme, name)
        for name in names
    }
    found.update({name if "#" in name else f"{name}{part}": path for name, path in given.items()})
    _refuse_doubles(scheme, found)
    return tuple(
        Copy(f"{scheme}:{name}", path, os.path.lexists(project.root / path)) for name, path in found.items()
    )


def _mapped(project: Project, scheme: str, text: str, cwd: Path) -> tuple[str, str]:
    name, equals, path = text.rpartition("=")
    name = name.removeprefix(f"{scheme}:")
    if not equals or not name or not path:
        raise RefusedInput(
            Code.USAGE, "--map wants NAME=PATH", hints=("for instance --map web/db=web/db-password.age",)
        )
    return name, _one_value(locate_target(project, path, cwd=cwd))


def _one_value(path: str) -> str:
    if not path.endswith(SUFFIX):
        raise RefusedInput(
            Code.USAGE,
            f"{path}: a value is copied into a file of its own, whose name ends in {SUFFIX}",
            path=path,
        )
    return path


def _listed(project: Project, scheme: str, subtree: str | None, loader: Loader) -> tuple[str, ...]:
    """Return the references of a subtree, or of all."""
    loaded = loader.source(scheme)
    plugin = loaded.plugin
    if not isinstance(plugin, StoringSource):
        raise RefusedInput(
            Code.USAGE,
            f"{loaded.entry.title} cannot list what it has",
            hints=(f"name each value: secretsmith import {scheme} --map NAME=PATH",),
        )
    wanted, asked, query = (subtree or "").partition("?")
    store, wanted = f"{asked}{query}", wanted.rstrip("/")
    with loaded.guard():
        found = plugin.references(f"{wanted}{store}", RepositoryContext(project))
    inside = [ref for ref in found if not wanted or ref == f"{wanted}{store}" or ref.startswith(f"{wanted}/")]
    if not inside:
        with loaded.guard():
            everything = plugin.references(store, RepositoryContext(project))
        raise _nothing(scheme, subtree, everything)
    return tuple(inside)


def _nothing(scheme: str, subtree: str | None, names: Sequence[str]) -> NotFound:
    if subtree is None:
        return NotFound(Code.NOT_FOUND, f"{scheme}: the store has no entries")
    folders = {name.rpartition("/")[0] for name in names} - {""}
    near = difflib.get_close_matches(subtree, [*names, *folders], n=3)
    hints = [f"did you mean {name}?" for name in near]
    return NotFound(Code.NOT_FOUND, f"{scheme}:{subtree}: no such entry or folder in the store", hints=hints)


def _path_for(project: Project, scheme: str, name: str) -> str:
    """Return the file for an entry: its name below the secrets, without what paths and shells stumble over."""
    # A reference writes a few characters as %XX, which here become dashes like others.
    parts = [_plain(unquote(part)) for part in name.partition("?")[0].split("/")]
    if not all(part.strip(".") for part in parts):
        raise RefusedInput(
            Code.NAME,
            f"{scheme}:{name}: makes no name of a file",
            hints=(f"give it one: --map {shlex.quote(f'{name}=PATH')}",),
        )
    return safe_relative(project.root, f"{project.registry.secrets}/{'/'.join(parts)}{SUFFIX}")


def _plain(part: str) -> str:
    letters = [c for c in unicodedata.normalize("NFKD", part) if not unicodedata.combining(c)]
    text = "".join(c if c.isalnum() or c in _KEPT else "-" for c in letters)
    return "-".join(piece for piece in text.split("-") if piece)


def _refuse_doubles(scheme: str, found: dict[str, str]) -> None:
    places: dict[str, str] = {}
    for name, path in found.items():
        if other := places.get(path):
            raise RefusedInput(
                Code.NAME_CLASH,
                f"{scheme}:{other} and {scheme}:{name} would both become {path}",
                hints=(f"give one another place: --map {shlex.quote(f'{name}=PATH')}",),
                path=path,
            )
        places[path] = name


__all__ = ["Copy", "plan_import"]
