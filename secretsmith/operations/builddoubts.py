"""When what builders say may not be all: hosts that lose access because something is not seen here, and not because it is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from secretsmith.errors import SecretsmithError
from secretsmith.operations.build import BuiltHost
from secretsmith.operations.buildexport import absent_builders
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.loader import Loader
from secretsmith.policy.words import shown
from secretsmith.project import Project

_NIX: Final = ("flake.nix", "hive.nix", "default.nix")


def missing_builders(project: Project, loader: Loader) -> tuple[str, ...]:
    """Return the builders that are not installed here and may declare more: by their files, and by what they declared once."""
    installed = set(loader.names("secretsmith.builders"))
    traces = {name for name in _traces(RepositoryContext(project)) if name not in installed}
    return tuple(sorted({*traces, *absent_builders(project, loader)}))


def _traces(context: RepositoryContext) -> Iterator[str]:
    """Give the builders of our own that this repository has files for; the plugins look for the same."""
    try:
        if any(path.endswith(".toml") for path in context.list_files("secretsmith.d")):
            yield "systemd"
        there = context.list_files("")
        if any(name in there and b"secretsmith" in context.read_file(name) for name in _NIX):
            yield "nix"
    except SecretsmithError:
        return  # a link, or a huge file: the plugins would not read it either


def doubts(
    hosts: Sequence[BuiltHost], losing: Mapping[str, Collection[str]], missing: Sequence[str]
) -> dict[str, str]:
    """Return, for the hosts of which it is to be asked before they lose files (host → paths), why that is in doubt."""
    known = {host.declared.name for host in hosts}
    elsewhere: dict[str, list[str]] = {}
    for host in hosts:
        elsewhere.setdefault(host.declared.name, []).extend(host.declared.elsewhere)
    found = {}
    for name, paths in losing.items():
        if missing:
            names, are = ", ".join(missing), "is" if len(missing) == 1 else "are"
            found[name] = f"what {names} declares is not known here, since {names} {are} not installed"
        elif name not in known:
            found[name] = "no builder here knows it any more"
        elif moved := _moved(paths, elsewhere[name]):
            found[name] = f"it declares {shown(moved)}, outside of this repository"
    return found


def _moved(paths: Collection[str], elsewhere: Collection[str]) -> str | None:
    """Return a file that is declared from another copy of the repository, as a ``secretsmith.root`` elsewhere makes it."""
    return next((file for file in elsewhere for path in paths if file.endswith(f"/{path}")), None)


__all__ = ["doubts", "missing_builders"]
