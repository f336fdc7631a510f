"""The plain-machine builder of secretsmith: ``secretsmith.d/HOST.toml`` says which secrets a host gets."""

from __future__ import annotations

from secretsmith.plugin.api import Builder

__version__ = "0.1.0"


def builder() -> Builder:
    """Make the builder; the entry point ``systemd`` of the group ``secretsmith.builders``."""
    from secretsmith_systemd.builder import (
        SystemdBuilder,  # here, so that a look at the version costs nothing
    )

    return SystemdBuilder()


__all__ = ["__version__", "builder"]
