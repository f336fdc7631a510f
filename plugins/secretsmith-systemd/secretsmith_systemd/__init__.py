"""The plain-machine builder of secretsmith: ``secretsmith.d/HOST.toml`` says which secrets a host gets."""

from __future__ import annotations

from secretsmith.plugin.api import Builder

__version__ = "0.1.0"


def builder() -> Builder:
    """Make the builder; the entry point ``systemd`` of the group ``secretsmith.builders``."""
    # Here, so that a look at the version costs nothing. No module may be called as this function: its import would take the
    # function's place, and the next call would find a module.
    from secretsmith_systemd.hostfiles import SystemdBuilder

    return SystemdBuilder()


__all__ = ["__version__", "builder"]
