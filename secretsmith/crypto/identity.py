"""Private keys that open age files, behind one protocol.

An identity says without any private operation whether it may open a file, so that nobody is asked for a passphrase or
a touch in vain.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from secretsmith.crypto import _pyrage, hybrid, reader
from secretsmith.crypto.header import Header, is_grease
from secretsmith.crypto.plugins import PluginSettings
from secretsmith.crypto.privatekey import AgeSecret, PluginSecret, SshPrivateKey
from secretsmith.crypto.publickey import KeyKind, PublicKey, fingerprint_of
from secretsmith.interaction import Interaction
from secretsmith.sensitive import Sensitive


class Identity(Protocol):
    """A private key, or the way to one."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its public key ("SHA256:…"); of its own text where only a plugin knows that key."""
        ...

    @property
    def label(self) -> str:
        """Where it comes from, for messages: a path or the name of an environment variable."""
        ...

    @property
    def public(self) -> PublicKey | None:
        """Its public key, when it is known without asking a plugin."""
        ...

    def may_open(self, header: Header) -> bool:
        """Tell whether it could open a file with this header; false only when the header proves that it cannot."""
        ...

    def open_file(self, data: bytes, header: Header) -> Sensitive | None:
        """Decrypt a binary age file; ``None`` when no stanza is for this identity.

        Raises:
            IntegrityFailure: AGE_MAC, AGE_PAYLOAD, AGE_TRUNCATED: the file is for it, but was altered.
        """
        ...


class SshIdentity:
    """An OpenSSH private key. An ed25519 key opens native stanzas and those of its derived X25519 key."""

    def __init__(self, key: SshPrivateKey, label: str) -> None:
        self.label = label
        self._key = key

    def __repr__(self) -> str:
        return f"<ssh identity {self.fingerprint} from {self.label}>"

    @property
    def fingerprint(self) -> str:
        """The fingerprint as ssh-keygen prints it."""
        return self._key.public.fingerprint

    @property
    def public(self) -> PublicKey:
        """The public key."""
        return self._key.public

    def may_open(self, header: Header) -> bool:
        """Tell whether a stanza carries this key's tag, or is an anonymous X25519 one."""
        tag, native = self._tag, self._key.kind.value
        for stanza in header.stanzas:
            if stanza.type == native and stanza.args[0] == tag:
                return True
            if stanza.type == "X25519" and self._key.kind is KeyKind.ED25519:
                return True
        return False

    def open_file(self, data: bytes, header: Header) -> Sensitive | None:
        """Decrypt with either form."""
        return reader.open_file(data, header, self._unwrappers)

    @cached_property
    def _tag(self) -> str | None:
        return self._key.public.tag

    @cached_property
    def _unwrappers(self) -> reader.Unwrappers:
        scalar, public = self._key.x25519, self._key.public
        if scalar is None:
            return {"ssh-rsa": reader.SshRsaKey(self._key.openssh, public).unwrap}
        derived = reader.X25519Key(scalar)
        return {
            "ssh-ed25519": reader.SshEd25519Key(derived, public).unwrap,
            "X25519": derived.unwrap,
        }


class AgeIdentity:
    """An age key: X25519 (``AGE-SECRET-KEY-1…``) or post-quantum (``AGE-SECRET-KEY-PQ-1…``)."""

    def __init__(self, secret: AgeSecret, label: str) -> None:
        self.label = label
        self._secret = secret

    def __repr__(self) -> str:
        return f"<age identity {self.fingerprint} from {self.label}>"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the 32 bytes of its ``age1…``, or of the text of its ``age1pq1…``."""
        return self.public.fingerprint

    @cached_property
    def public(self) -> PublicKey:
        """The ``age1…`` key."""
        return self._secret.public

    def may_open(self, header: Header) -> bool:
        """Tell whether there is a stanza of its type; they are anonymous."""
        return any(stanza.type in self._unwrappers for stanza in header.stanzas)

    def open_file(self, data: bytes, header: Header) -> Sensitive | None:
        """Decrypt with this key."""
        return reader.open_file(data, header, self._unwrappers)

    @cached_property
    def _unwrappers(self) -> reader.Unwrappers:
        if self._secret.kind is KeyKind.HYBRID:
            return {"mlkem768x25519": hybrid.HybridKey(self._secret.raw).unwrap}
        return {"X25519": reader.X25519Key(self._secret.raw).unwrap}


class PluginIdentity:
    """A key that only an age plugin can use (``AGE-PLUGIN-NAME-1…``)."""

    public = None

    def __init__(
        self,
        secret: PluginSecret,
        label: str,
        interaction: Interaction,
        settings: PluginSettings | None = None,
    ) -> None:
        self.label = label
        self._secret = secret
        self._interaction = interaction
        self._settings = settings

    def __repr__(self) -> str:
        return f"<{self._secret.plugin} plugin identity from {self.label}>"

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the identity's own text."""
        return fingerprint_of(self._secret.text.expose())

    def may_open(self, header: Header) -> bool:
        """Tell whether there is a stanza that a plugin could be for.

        Plugins name their own stanza types, and some hold ordinary X25519 keys (age-plugin-openpgp-card); only
        OpenSSH and passphrase stanzas are for nobody but their key.
        """
        closed = ("ssh-ed25519", "ssh-rsa", "scrypt")
        return any(stanza.type not in closed and not is_grease(stanza) for stanza in header.stanzas)

    def open_file(self, data: bytes, header: Header) -> Sensitive | None:
        """Decrypt through the plugin, in a worker process with a deadline.

        Raises:
            CannotDecrypt: PLUGIN_MISSING, PLUGIN_FAILED, PLUGIN_TIMEOUT.
            IntegrityFailure: as in the protocol.
        """
        settings = self._settings or PluginSettings.from_environ()
        return _pyrage.decrypt_with_plugin(
            data, self._secret.plugin, self._secret.text, self._interaction, settings
        )


if TYPE_CHECKING:

    def _satisfied(ssh: SshIdentity, age: AgeIdentity, plugin: PluginIdentity) -> tuple[Identity, ...]:
        return ssh, age, plugin


__all__ = ["AgeIdentity", "Identity", "PluginIdentity", "SshIdentity"]
