"""Encrypted sources to values in memory: each source is decrypted once, and each failure stays with its secrets."""

from __future__ import annotations

from collections.abc import Iterable

from secretsmith.activation.diagnosis import not_a_reader
from secretsmith.activation.hostkeys import HostKeys
from secretsmith.activation.sources import Sources
from secretsmith.crypto.agefile import decrypt_age
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret, SourceFormat
from secretsmith.sensitive import Sensitive

Opened = Sensitive | SecretsmithError


def open_secrets(
    manifest: Manifest, wanted: Iterable[ManifestSecret], sources: Sources, keys: HostKeys
) -> dict[str, Opened]:
    """Return name → value, or the error that kept it; never raises for a single secret."""
    decrypted: dict[str, Opened] = {}
    found: dict[str, Opened] = {}
    for secret in wanted:
        if secret.source not in decrypted:
            decrypted[secret.source] = _decrypt(manifest, secret, sources, keys)
        found[secret.name] = decrypted[secret.source]
    return found


def _decrypt(manifest: Manifest, secret: ManifestSecret, sources: Sources, keys: HostKeys) -> Opened:
    if secret.source in sources.failures:
        return sources.failures[secret.source]
    if secret.format is not SourceFormat.AGE:
        return RefusedInput(
            Code.UNSUPPORTED,
            f"{secret.source}: not built yet in this version: format {secret.format}",
            path=secret.source,
        )
    if not keys.keys:
        return CannotDecrypt(
            Code.NO_IDENTITY, f"{secret.source}: this host has no key to open it with", path=secret.source
        )
    data = sources.contents[secret.source]
    try:
        return decrypt_age(data, keys.identities).plaintext
    except SecretsmithError as error:
        if error.code is Code.NO_IDENTITY:
            return not_a_reader(manifest, secret, data)
        return error.at(secret.source)


__all__ = ["Opened", "open_secrets"]
