"""How a repository is a Nix one, and which of its files its declarations are made from. Nothing is evaluated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from secretsmith.plugin.api import PluginContext

ENTRIES: Final = ("flake.nix", "hive.nix", "default.nix")
"""Where configurations are looked for, in this order; the first that names secretsmith counts."""

# What Nix can read as data. The registry and the lock are left out: they change all the time and declare nothing.
_READ = (".nix", ".json", ".toml", ".lock")
_NOT_READ = frozenset({"secretsmith.toml", "secretsmith.lock"})
_SKIPPED = frozenset({".git", ".direnv", ".secretsmith", "node_modules"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The file that holds the configurations, and whether it is a flake."""

    entry: str

    @property
    def is_flake(self) -> bool:
        """Whether it is evaluated as a flake, purely; else restricted."""
        return self.entry == "flake.nix"


def layout_of(context: PluginContext) -> Layout | None:
    """Return how the repository is evaluated; None when no Nix file at its root names secretsmith."""
    there = context.list_files("")
    for name in ENTRIES:
        # A flake of something else, beside a registry, is none of ours.
        if name in there and b"secretsmith" in context.read_file(name):
            return Layout(name)
    return None


def input_files(context: PluginContext, layout: Layout) -> list[str]:
    """Return the files that an evaluation may read, sorted: of a flake in git the tracked ones, since it sees no others."""
    found = _tracked(context) if layout.is_flake else None
    paths = found if found is not None else list(_walked(context))
    return sorted(path for path in paths if path.endswith(_READ) and path not in _NOT_READ)


def _tracked(context: PluginContext) -> list[str] | None:
    if not any((folder / ".git").exists() for folder in (context.root, *context.root.parents)):
        return None
    done = context.run(["git", "ls-files", "-z"])
    if done.status:
        return None
    # Names that are no UTF-8 are none that Nix can read either.
    return [os.fsdecode(name) for name in done.output.expose().split(b"\0") if name]


def _walked(context: PluginContext) -> Iterator[str]:
    root = str(context.root)
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        inside = os.path.relpath(folder, root)
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                yield name if inside == "." else f"{inside}/{name}"


__all__ = ["ENTRIES", "Layout", "input_files", "layout_of"]
