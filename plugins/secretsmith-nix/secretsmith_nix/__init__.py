"""secretsmith for Nix. The modules are in the folder ``nix`` beside this package; they need nothing of it."""

from __future__ import annotations

from secretsmith.plugin.api import Builder

__version__ = "0.1.0"


def builder() -> Builder:
    """Make the builder; the entry point ``nix`` of the group ``secretsmith.builders``."""
    # Here, so that a look at the version costs nothing. No module may be called as this function (its import takes its place).
    from secretsmith_nix.nixbuilder import NixBuilder

    return NixBuilder()


__all__ = ["__version__", "builder"]
