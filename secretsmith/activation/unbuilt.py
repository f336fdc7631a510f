"""What a valid manifest may ask for and this version cannot do yet; refused whole, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Manifest, Method, Phase, Scope


def refuse_unbuilt(manifest: Manifest) -> None:
    """Raise RefusedInput UNSUPPORTED for the first thing that is not built; doing half of it would look like all."""
    for what in _unbuilt(manifest):
        raise RefusedInput(Code.UNSUPPORTED, f"manifest: not built yet in this version: {what}")


def _unbuilt(manifest: Manifest) -> Iterator[str]:
    if manifest.scope is not Scope.SYSTEM:
        yield f"scope {manifest.scope}"
    if manifest.templates:
        yield f"templates ({manifest.templates[0].name})"
    for secret in manifest.secrets:
        if secret.phase is not Phase.SERVICES:
            yield f"phase {secret.phase} ({secret.name})"
        if secret.method is not Method.LINK:
            yield f"method {secret.method} ({secret.name})"
        if secret.restart_units or secret.reload_units:
            yield f"restart_units and reload_units ({secret.name})"


__all__ = ["refuse_unbuilt"]
