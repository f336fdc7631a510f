"""The private keys of whoever runs this, for files that belong to no repository: identities, and PGP through gpg."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from secretsmith.identities.pgp import pgp_opener
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import Interaction
from secretsmith.sensitive import Sensitive


def own_keys(
    environ: Mapping[str, str], interaction: Interaction, cwd: Path
) -> tuple[IdentityRing, Callable[[bytes], Sensitive] | None]:
    """Return the ring of ``environ``, its relative paths starting from ``cwd``, and what opens PGP messages (None: no gpg).

    Nothing is read or run before a file is opened.
    """
    return IdentityRing(environ, interaction, cwd=cwd), pgp_opener(environ, ask=interaction.available)


__all__ = ["own_keys"]
