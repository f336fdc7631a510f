"""Keys behind a passphrase: what can be said of them before anybody is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from secretsmith.crypto.agesecret import AgeSecret, LockedIdentityFile, PluginSecret, parse_age_identities
from secretsmith.crypto.header import Header, is_grease
from secretsmith.crypto.identity import Identity, SshIdentity
from secretsmith.crypto.privatekey import LockedSshKey, parse_ssh_private_key
from secretsmith.crypto.publickey import KeyKind, PublicKey
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record
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

    @property
    def entry(self) -> str:
        """The name under which keyrings keep what belongs to it ("SHA256:…").

        An ssh key's fingerprint where the file itself shows it, otherwise the digest of the locked file: both survive a
        move, and neither is taken from a file beside it, which somebody else may have written.
        """
        ...

    def rank(self, header: Header) -> int | None:
        """Return :data:`NAMED` or :data:`POSSIBLE`, or None when the key cannot open a file with this header."""
        ...

    def material(self, passphrase: Sensitive) -> Sensitive:
        """Return what is inside as text, unencrypted; raises ``CannotDecrypt`` (PASSPHRASE) for the wrong one."""
        ...

    def restore(self, material: Sensitive) -> tuple[Identity, ...]:
        """Return the identities of what :meth:`material` gave; raises ``RefusedInput`` for anything else."""
        ...


def unlock(key: LockedKey, passphrase: Sensitive) -> tuple[Identity, ...]:
    """Return the identities behind a passphrase; raises ``CannotDecrypt`` (PASSPHRASE) when it is the wrong one."""
    return key.restore(key.material(passphrase))


@record
class LockedSsh:
    """An ssh key with a passphrase. ``public`` is in the file itself, or in the ``.pub`` beside it."""

    key: LockedSshKey
    public: PublicKey | None
    label: str
    entry: str

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

    def material(self, passphrase: Sensitive) -> Sensitive:
        """Return the key as unencrypted OpenSSH text."""
        return self.key.unlock(passphrase).openssh

    def restore(self, material: Sensitive) -> tuple[Identity, ...]:
        """Return the ssh identity, if it is the key that this file shows."""
        key = parse_ssh_private_key(material.expose())
        shown = self.key.public
        if isinstance(key, LockedSshKey) or (
            shown is not None and key.public.fingerprint != shown.fingerprint
        ):
            raise RefusedInput(Code.KEY_FORMAT, "another key than this file's")
        return (SshIdentity(key, self.label),)


@record
class LockedFile:
    """An age identity file encrypted with a passphrase (``age -p``): which keys it holds is not known before."""

    file: LockedIdentityFile
    identities: Callable[[Iterable[AgeSecret | PluginSecret]], tuple[Identity, ...]]
    entry: str
    public: PublicKey | None = None

    def rank(self, header: Header) -> int | None:
        """Possible, unless every stanza is for an ssh key, which such a file cannot hold."""
        other = any(not is_grease(stanza) and stanza.type not in _SSH_STANZAS for stanza in header.stanzas)
        return POSSIBLE if other else None

    def material(self, passphrase: Sensitive) -> Sensitive:
        """Return the identities in the file, one a line."""
        return Sensitive(b"\n".join(secret.text.expose() for secret in self.file.unlock(passphrase)))

    def restore(self, material: Sensitive) -> tuple[Identity, ...]:
        """Return the identities of these lines."""
        return self.identities(parse_age_identities(material.expose()))


__all__ = ["NAMED", "POSSIBLE", "LockedFile", "LockedKey", "LockedSsh", "unlock"]
