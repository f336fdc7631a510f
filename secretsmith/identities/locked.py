"""Keys behind a passphrase: what can be said of them before anybody is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from secretsmith.crypto.agesecret import AgeSecret, LockedIdentityFile, PluginSecret
from secretsmith.crypto.header import Header, is_grease
from secretsmith.crypto.identity import Identity, SshIdentity
from secretsmith.crypto.privatekey import LockedSshKey
from secretsmith.crypto.publickey import KeyKind, PublicKey
from secretsmith.sensitive import Sensitive

# How sure a header makes us that a key is needed: such keys are asked for first.
NAMED = 0  # the header carries the key's tag
POSSIBLE = 1  # an anonymous stanza of a kind that the key could open

_SSH_STANZAS = ("ssh-ed25519", "ssh-rsa")


class LockedKey(Protocol):
    """A private key that needs a passphrase."""

    @property
    def public(self) -> PublicKey | None:
        """The public half, None when only the passphrase would show it."""
        ...

    def rank(self, header: Header) -> int | None:
        """Return :data:`NAMED` or :data:`POSSIBLE`, or None when the key cannot open a file with this header."""
        ...

    def unlock(self, passphrase: Sensitive) -> tuple[Identity, ...]:
        """Return the identities inside; raises ``CannotDecrypt`` (PASSPHRASE) when it is the wrong one."""
        ...


@dataclass(frozen=True, slots=True)
class LockedSsh:
    """An ssh key with a passphrase. ``public`` is in the file itself, or in the ``.pub`` beside it."""

    key: LockedSshKey
    public: PublicKey | None
    label: str

    def rank(self, header: Header) -> int | None:
        """Judge by the tag of ssh stanzas, and by the anonymous stanzas that an ed25519 key may be behind."""
        tag = self.public.tag if self.public is not None else None
        best: int | None = None
        for stanza in header.stanzas:
            if stanza.type in _SSH_STANZAS and stanza.args:
                if tag is not None and stanza.args[0] == tag:
                    return NAMED
                if self.public is None:
                    best = POSSIBLE
            elif stanza.type == "X25519" and (self.public is None or self.public.kind is KeyKind.ED25519):
                best = POSSIBLE
        return best

    def unlock(self, passphrase: Sensitive) -> tuple[Identity, ...]:
        """Return the ssh identity."""
        return (SshIdentity(self.key.unlock(passphrase), self.label),)


@dataclass(frozen=True, slots=True)
class LockedFile:
    """An age identity file encrypted with a passphrase (``age -p``): which keys it holds is not known before."""

    file: LockedIdentityFile
    identities: Callable[[Iterable[AgeSecret | PluginSecret]], tuple[Identity, ...]]
    public: PublicKey | None = None

    def rank(self, header: Header) -> int | None:
        """Possible, unless every stanza is for an ssh key, which such a file cannot hold."""
        other = any(not is_grease(stanza) and stanza.type not in _SSH_STANZAS for stanza in header.stanzas)
        return POSSIBLE if other else None

    def unlock(self, passphrase: Sensitive) -> tuple[Identity, ...]:
        """Return the identities in the file."""
        return self.identities(self.file.unlock(passphrase))


__all__ = ["NAMED", "POSSIBLE", "LockedFile", "LockedKey", "LockedSsh"]
