"""What this host can open, asked for by name: each source once, for all phases and all templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from secretsmith.activation.accounts import Caller
from secretsmith.activation.opening.sources import Sources
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Manifest, ManifestSecret
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.activation.opening.hostkeys import HostKeys
    from secretsmith.activation.opening.openings import Openings


class Values:
    """The secrets of a whole manifest, whose files ``sources`` has read. ``shield`` is called before the first key is read."""

    def __init__(
        self, manifest: Manifest, sources: Sources, caller: Caller, shield: Callable[[], None]
    ) -> None:
        self.manifest = manifest
        self.sources = sources
        self._caller = caller
        self._shield = shield
        self._secrets = {secret.name: secret for secret in manifest.secrets}
        self._keys: HostKeys | None = None
        self._openings: Openings | None = None

    @property
    def keys(self) -> HostKeys:
        """This host's private keys."""
        if self._keys is None:
            # Imported here: an unchanged run must not pay for cryptography.
            from secretsmith.activation.opening.hostkeys import load_host_keys

            self._shield()
            self._keys = load_host_keys(self.manifest.identities, self._caller.trusted)
        return self._keys

    def secret(self, name: str) -> ManifestSecret:
        """Return the secret of that name; the manifest's check made sure that there is one."""
        return self._secrets[name]

    @property
    def openings(self) -> Openings:
        """What opens the sources; made, and the keys read, when first asked for."""
        if self._openings is None:
            from secretsmith.activation.opening.openings import Openings

            self._openings = Openings(self.manifest, self.sources, self.keys)
        return self._openings

    def value(self, name: str) -> Sensitive | SecretsmithError:
        """Return the value of a secret, or why there is none."""
        return self.openings.value(self._secrets[name])


__all__ = ["Values"]
