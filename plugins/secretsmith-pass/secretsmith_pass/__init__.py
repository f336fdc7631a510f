"""Password stores as sources of secretsmith: ``pass:NAME``, ``passage:NAME``, ``gopass:NAME``."""

from __future__ import annotations

from secretsmith.plugin.api import Source

__version__ = "0.1.0"


def pass_source() -> Source:
    """Make the source of pass's stores; the entry point ``pass`` of the group ``secretsmith.sources``."""
    # Imports in here, so that a look at the version costs nothing.
    from secretsmith_pass.gpgsource import PassSource

    return PassSource()


def passage_source() -> Source:
    """Make the source of passage's stores; the entry point ``passage``."""
    from secretsmith_pass.agesource import PassageSource

    return PassageSource()


def gopass_source() -> Source:
    """Make the source of gopass's stores with age or gpg behind them; the entry point ``gopass``."""
    from secretsmith_pass.agesource import GopassSource

    return GopassSource()


__all__ = ["__version__", "gopass_source", "pass_source", "passage_source"]
