"""Age identities: ``AGE-SECRET-KEY-1…``, ``AGE-SECRET-KEY-PQ-1…`` and ``AGE-PLUGIN-NAME-1…`` lines.

They stand in plain or passphrase-protected files.
"""

from __future__ import annotations

from typing import Final

from secretsmith.crypto import armor, bech32, hybrid, parameters, passphrase, reader
from secretsmith.crypto.publickey import (
    KeyKind,
    PublicKey,
    is_plugin_name,
    parse_public_key,
    plugin_name_refused,
)
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

_HYBRID_PREFIX: Final = "AGE-SECRET-KEY-PQ-1"
_PREFIXES: Final = {KeyKind.X25519: "AGE-SECRET-KEY-1", KeyKind.HYBRID: _HYBRID_PREFIX}
_PLUGIN_PREFIX: Final = "AGE-PLUGIN-"


@record
class AgeSecret:
    """A key of age's own: ``text`` is its line, ``raw`` its 32 bytes.

    They are the scalar of an X25519 key (``AGE-SECRET-KEY-1…``), the seed of a post-quantum one, whose ``kind`` is
    HYBRID (``AGE-SECRET-KEY-PQ-1…``).
    """

    text: Sensitive
    raw: Sensitive
    kind: KeyKind = KeyKind.X25519

    @property
    def public(self) -> PublicKey:
        """The ``age1…`` or ``age1pq1…`` key; one scalar multiplication, for HYBRID an ML-KEM key generation too."""
        if self.kind is KeyKind.HYBRID:
            return parse_public_key(bech32.encode("age1pq", hybrid.HybridKey(self.raw).public))
        return parse_public_key(bech32.encode("age", reader.X25519Key(self.raw).public))


@record
class PluginSecret:
    """A plugin's identity: ``plugin`` is the NAME of ``age-plugin-NAME``, ``text`` the line."""

    plugin: str
    text: Sensitive


@record
class LockedIdentityFile:
    """An identity file that is itself an age file under a passphrase (``age -p``)."""

    _data: bytes = field(repr=False)

    def unlock(self, given: Sensitive) -> tuple[AgeSecret | PluginSecret, ...]:
        """Decrypt with the passphrase ``given`` (UTF-8) and parse what is inside.

        Raises:
            CannotDecrypt: PASSPHRASE when it is wrong.
            IntegrityFailure, RefusedInput: the file was altered or is malformed.
        """
        return parse_age_identities(passphrase.decrypt_scrypt(self._data, given).expose())


def is_locked_identity_file(data: bytes) -> bool:
    """Tell whether an identity file is an age file itself; :class:`LockedIdentityFile` takes it then."""
    return data.startswith(parameters.VERSION_PREFIX) or b"-----BEGIN AGE ENCRYPTED FILE" in data[:2048]


def locked_identity_file(data: bytes) -> LockedIdentityFile:
    """Check that ``data`` is an age file under a passphrase and hold it.

    Raises:
        RefusedInput: as :func:`secretsmith.crypto.header.parse_header`.
        CannotDecrypt: NO_IDENTITY when it is encrypted to keys.
    """
    passphrase.require_scrypt(armor.dearmor(data) if armor.is_armored(data) else data)
    return LockedIdentityFile(data)


def parse_age_identities(data: bytes) -> tuple[AgeSecret | PluginSecret, ...]:
    """Parse an identity file: one identity a line, ``#`` comments and blank lines.

    Post-quantum keys are passed over when the file has others and the installed ``cryptography`` cannot use them. No
    message repeats a line of the file; it names the line's number.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, KEY_FORMAT, KEY_UNSUPPORTED, PLUGIN_NAME.
    """
    if len(data) > parameters.MAX_IDENTITY_FILE:
        raise RefusedInput(Code.TOO_BIG, "larger than any identity file")
    if is_locked_identity_file(data):
        raise RefusedInput(Code.PASSPHRASE, "the identity file is protected by a passphrase")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise RefusedInput(Code.KEY_FORMAT, "the identity file is no UTF-8 text") from None
    found: list[AgeSecret | PluginSecret] = []
    unusable = False
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(_HYBRID_PREFIX) and not hybrid.is_available():
            unusable = True
            continue
        found.append(_parse_line(line, number))
        if len(found) > parameters.MAX_IDENTITIES:
            raise RefusedInput(Code.TOO_BIG, f"more than {parameters.MAX_IDENTITIES} identities in one file")
    if not found:
        raise _nothing(unusable)
    return tuple(found)


def _nothing(unusable: bool) -> RefusedInput:
    if unusable:
        return RefusedInput(
            Code.KEY_UNSUPPORTED,
            "post-quantum identities (AGE-SECRET-KEY-PQ-1…) need ML-KEM, which the Python package cryptography lacks"
            " here",
            hints=("install a newer cryptography (50 has it), or make another key beside it: age-keygen",),
        )
    return RefusedInput(
        Code.EMPTY, "there is no identity in the file", hints=("make one: age-keygen -o FILE",)
    )


def _parse_line(line: str, number: int) -> AgeSecret | PluginSecret:
    try:
        if line.startswith(_PLUGIN_PREFIX):
            return _parse_plugin(line)
        for kind, prefix in _PREFIXES.items():
            if line.startswith(prefix):
                return _parse_native(line, kind, prefix)
    except RefusedInput as problem:
        raise RefusedInput(problem.code, f"line {number}: {problem.message}", hints=problem.hints) from None
    raise RefusedInput(
        Code.KEY_FORMAT,
        f"line {number}: neither an identity nor a comment",
        hints=("an identity starts with AGE-SECRET-KEY-1 or AGE-PLUGIN-, in upper case",),
    )


def _parse_native(line: str, kind: KeyKind, prefix: str) -> AgeSecret:
    hrp, raw = bech32.decode(line)
    if hrp != prefix.removesuffix("1").lower() or len(raw) != parameters.X25519_SHARE_BYTES:
        raise RefusedInput(Code.KEY_FORMAT, "malformed age key: it has not 32 bytes")
    return AgeSecret(Sensitive(line.encode("ascii")), Sensitive(raw), kind)


def _parse_plugin(line: str) -> PluginSecret:
    # The name is checked before the checksum: what cannot be a plugin is refused whatever follows it.
    name = line[len(_PLUGIN_PREFIX) :].lower().rpartition("1")[0].removesuffix("-")
    if not is_plugin_name(name):
        raise plugin_name_refused()
    bech32.decode(line)
    return PluginSecret(name, Sensitive(line.encode("ascii")))


__all__ = [
    "AgeSecret",
    "LockedIdentityFile",
    "PluginSecret",
    "is_locked_identity_file",
    "locked_identity_file",
    "parse_age_identities",
]
