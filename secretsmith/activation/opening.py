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
        if secret.source in sources.failures:
            found[secret.name] = sources.failures[secret.source]
        elif secret.format is not SourceFormat.AGE:
            found[secret.name] = _unbuilt(secret)
        else:
            if secret.source not in decrypted:
                decrypted[secret.source] = _decrypt(manifest, secret, sources, keys)
                if isinstance(decrypted[secret.source], Sensitive):
                    # Not all sources and all values in memory at once; what failed is still asked for its readers.
                    del sources.contents[secret.source]
            found[secret.name] = decrypted[secret.source]
    return found


def _decrypt(manifest: Manifest, secret: ManifestSecret, sources: Sources, keys: HostKeys) -> Opened:
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


def _unbuilt(secret: ManifestSecret) -> RefusedInput:
    text = f"{secret.source}: not built yet in this version: format {secret.format}"
    return RefusedInput(Code.UNSUPPORTED, text, path=secret.source)


__all__ = ["Opened", "open_secrets"]
