"""Who can read more than it has a use for: what hosts can open, compared with what their builds declare.

It rests on what the builders last said (:mod:`secretsmith.operations.buildexport`) while that still fits; nothing is evaluated.
Hosts that no builder knows, and people, declare nothing, and nothing is said of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from secretsmith.documents.tree import format_tree_path, parse_tree_path
from secretsmith.errors import SecretsmithError
from secretsmith.operations.blastradius import Opened
from secretsmith.operations.buildexport import Export, last_export
from secretsmith.project import Project
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.plugin.loader import Loader


@record
class Overread:
    """A secret that more hosts can read than declare it, or of which a host declares a part.

    ``readers`` and ``declared`` are hosts that a builder knows. ``unused`` are the keys of a document that none of its readers
    declares, out of ``keys``; both are 0 for whole files, and where somebody declares the whole document.
    """

    path: str
    readers: tuple[str, ...]
    declared: tuple[str, ...]
    keys: int = 0
    unused: int = 0


def overread(
    project: Project, opened: Iterable[Opened], *, loader: Loader | None = None
) -> tuple[Overread, ...] | None:
    """Return those of the secrets ``opened`` that are read by more hosts than need them; None when builds are not known."""
    export = last_export(project, loader=loader)
    if export is None:
        return None
    declared = _declared(export)
    found = []
    for one in opened:
        readers = tuple(name for name in one.hosts if name in declared)
        using = tuple(name for name in readers if one.path in declared[name])
        keys, unused = _unused(one, [declared[name][one.path] for name in using])
        if len(using) < len(readers) or unused:
            found.append(Overread(one.path, readers, using, keys, unused))
    return tuple(found)


def _declared(export: Export) -> dict[str, dict[str, set[str | None]]]:
    """Return for each host the files it declares, each with the keys of it, None for the whole."""
    found: dict[str, dict[str, set[str | None]]] = {}
    for host in export.hosts:
        files = found.setdefault(host.declared.name, {})
        for secret in host.declared.stored:
            files.setdefault(secret.file, set()).add(secret.key or None)
    return found


def _unused(one: Opened, declarations: list[set[str | None]]) -> tuple[int, int]:
    named = {key for keys in declarations for key in keys}
    if one.keys is None or not declarations or None in named:
        return 0, 0
    # A declared key may be a branch: all below it is used.
    branches = tuple(_spelt(key) for key in named if key is not None)
    unused = [
        key for key in one.keys if not any(key == each or key.startswith(f"{each}/") for each in branches)
    ]
    return (len(one.keys), len(unused)) if unused else (0, 0)


def _spelt(key: str) -> str:
    try:
        return format_tree_path(parse_tree_path(key))
    except SecretsmithError:
        return key


__all__ = ["Overread", "overread"]
