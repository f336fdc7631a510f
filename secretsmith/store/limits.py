"""How large the files of a repository may be. Larger ones are refused before they are read."""

from __future__ import annotations

from typing import Final

MAX_REGISTRY_BYTES: Final = 16 * 1024 * 1024
MAX_LOCK_BYTES: Final = 64 * 1024 * 1024
MAX_SECRET_BYTES: Final = 64 * 1024 * 1024

__all__ = ["MAX_LOCK_BYTES", "MAX_REGISTRY_BYTES", "MAX_SECRET_BYTES"]
