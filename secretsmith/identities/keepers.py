"""What may unlock a private key without a question: the kernel's keyring, then the desktop's.

Neither is a reason to fail: whatever goes wrong is a remark on the key, and the prompt comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from secretsmith.errors import Code, SecretsmithError
from secretsmith.identities import kernelkeys
from secretsmith.identities.desktop import DesktopKeyring
from secretsmith.identities.locked import LockedKey, unlock
from secretsmith.interaction import Interaction

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity

    Answer = tuple[tuple[Identity, ...], str]

HELD = "held by the kernel's keyring"
REMEMBERED = "passphrase from the desktop's keyring"


class Keepers:
    """Both keyrings for one run; each is asked at most once for a key. Every answer is (identities, remark)."""

    def __init__(self, environ: Mapping[str, str], interaction: Interaction) -> None:
        self._interaction = interaction
        self._desktop = DesktopKeyring(environ, interaction)
        self._known: dict[tuple[str, str], Answer] = {}

    def from_kernel(self, key: LockedKey, shown: str) -> Answer:
        """Return what the kernel's keyring holds unlocked; a kernel without one is nothing to speak of."""
        if ("kernel", key.entry) not in self._known:
            self._known["kernel", key.entry] = self._by_material(key)
        return self._known["kernel", key.entry]

    def from_desktop(self, key: LockedKey, shown: str) -> Answer:
        """Return what opens with the passphrase that the desktop's keyring knows; ``shown`` is what people call the key."""
        if ("desktop", key.entry) not in self._known:
            self._known["desktop", key.entry] = self._by_passphrase(key, shown)
        return self._known["desktop", key.entry]

    def _by_material(self, key: LockedKey) -> Answer:
        try:
            material = kernelkeys.take(key.entry)
            return ((), "") if material is None else (key.restore(material), HELD)
        except SecretsmithError as error:
            if error.code is Code.UNSUPPORTED:
                return (), ""
            return (), f"what the kernel's keyring holds is not used: {error.message}"

    def _by_passphrase(self, key: LockedKey, shown: str) -> Answer:
        try:
            passphrase = self._desktop.passphrase(key.entry)
        except SecretsmithError as error:
            return (), error.message
        if passphrase is None:
            return (), "its passphrase is not in the desktop's keyring"
        try:
            return unlock(key, passphrase), REMEMBERED
        except SecretsmithError as error:
            if error.code is not Code.PASSPHRASE:
                return (), error.message
        # Said now: on a terminal the prompt comes next, and looks like a passphrase that was never remembered.
        self._interaction.notice(
            f"the desktop's keyring holds a wrong passphrase for {shown}: secretsmith identity remember stores the right one"
        )
        return (), "the desktop's keyring holds a wrong passphrase for it"


__all__ = ["HELD", "REMEMBERED", "Keepers"]
