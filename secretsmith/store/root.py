"""Which folder is the repository: a look at file names, for those who must know it before they load anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

REGISTRY_NAME: Final = "secretsmith.toml"


def find_root(start: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the folder with the registry: $SECRETSMITH_ROOT, else ``start`` or the nearest folder above it."""
    if configured := environ.get("SECRETSMITH_ROOT"):
        return Path(configured).absolute()
    here = start.absolute()
    for folder in (here, *here.parents):
        if (folder / REGISTRY_NAME).is_file():
            return folder
    return None


__all__ = ["REGISTRY_NAME", "find_root"]
