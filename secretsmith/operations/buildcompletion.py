"""What a manifest that was made by Nix alone does not say, and the registry knows: the ``age1…`` forms of ssh keys.

Nix has no field of 255 bits. With the standard library alone, as it runs inside of a build.
"""

from __future__ import annotations

from secretsmith.crypto import bech32
from secretsmith.crypto.curve import x25519_name
from secretsmith.crypto.publickey import KeyKind
from secretsmith.manifest import Manifest, ManifestPrincipal
from secretsmith.policy.registry import Registry
from secretsmith.record import replace


def completed_principals(manifest: Manifest, registry: Registry) -> Manifest:
    """Return the manifest with the recipient of each principal, so that the host can say who reads an X25519 stanza.

    What it says already stays, and so does a key that the registry never named.
    """
    found = {key: _completed(registry, key, who) for key, who in manifest.principals.items()}
    return replace(manifest, principals=found)


def _completed(registry: Registry, fingerprint: str, who: ManifestPrincipal) -> ManifestPrincipal:
    uses = registry.key_owner(fingerprint)
    if who.recipient is not None or not uses or uses[0].key.kind is not KeyKind.ED25519:
        return who
    return replace(who, recipient=bech32.encode("age", x25519_name(uses[0].key.blob[-32:])))


__all__ = ["completed_principals"]
