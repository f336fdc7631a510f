"""OpenSSH and PEM private keys. Age identities are in :mod:`secretsmith.crypto.agesecret` and offered here as well.

Unencrypted OpenSSH keys go through our own strict parser, so that a host's activation needs no other library. Keys
under a passphrase and PEM keys go through ``cryptography`` and come out as unencrypted OpenSSH text in memory, the one
form that the reader takes RSA keys in.
"""

from __future__ import annotations

import binascii
from typing import Final

from secretsmith.crypto import base64text, bech32, convert, parameters
from secretsmith.crypto.agesecret import (
    AgeSecret,
    LockedIdentityFile,
    PluginSecret,
    is_locked_identity_file,
    parse_age_identities,
)
from secretsmith.crypto.publickey import KeyKind, PublicKey, printable, public_key_of_blob, unsupported_key
from secretsmith.crypto.sshwire import WireReader
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.record import field, record
from secretsmith.sensitive import Sensitive

_BEGIN: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END: Final = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC: Final = b"openssh-key-v1\x00"  # OpenSSH, PROTOCOL.key
_PLAIN_BLOCK: Final = 8  # PROTOCOL.key: the padding's block size when there is no cipher
_COLUMNS: Final = 70  # as ssh-keygen wraps


@record
class SshPrivateKey:
    """An unlocked ssh key. ``openssh`` is its unencrypted OpenSSH text; ``seed`` the 32 bytes of an ed25519 key."""

    kind: KeyKind
    public: PublicKey
    openssh: Sensitive
    seed: Sensitive | None

    @property
    def x25519(self) -> Sensitive | None:
        """The 32-byte X25519 scalar of an ed25519 key, as ssh-to-age derives it."""
        return None if self.seed is None else Sensitive(convert.ed25519_seed_to_x25519(self.seed.expose()))

    @property
    def derived(self) -> Sensitive | None:
        """The ``AGE-SECRET-KEY-1…`` of an ed25519 key, as ``ssh-to-age -private-key`` prints it."""
        scalar = self.x25519
        return (
            None
            if scalar is None
            else Sensitive(bech32.encode("AGE-SECRET-KEY-", scalar.expose()).encode("ascii"))
        )


@record
class LockedSshKey:
    """An ssh key under a passphrase. ``public`` is known for OpenSSH files only; ``cipher`` is the file's word."""

    public: PublicKey | None
    cipher: str
    _data: bytes = field(repr=False)

    def unlock(self, passphrase: Sensitive) -> SshPrivateKey:
        """Decrypt with ``passphrase`` (UTF-8).

        Raises:
            CannotDecrypt: PASSPHRASE when it is wrong.
            RefusedInput: KEY_UNSUPPORTED for a cipher that no library here reads.
        """
        if self.cipher.startswith("chacha20-poly1305"):
            raise RefusedInput(
                Code.KEY_UNSUPPORTED,
                f"the ssh key is encrypted with {self.cipher}, which is not read here",
                hints=("re-encrypt it, the passphrase stays the same: ssh-keygen -p -Z aes256-ctr -f KEY",),
            )
        key = _load_foreign(self._data, passphrase)
        if self.public is not None and key.public.text != self.public.text:
            raise _malformed("its public and private halves do not belong together")
        return key


def parse_ssh_private_key(data: bytes) -> SshPrivateKey | LockedSshKey:
    """Parse an ed25519 or RSA private key: OpenSSH, PKCS#1 or PKCS#8 text.

    No message repeats any of ``data``.

    Raises:
        RefusedInput: EMPTY, TOO_BIG, KEY_FORMAT, KEY_WEAK, KEY_UNSUPPORTED.
    """
    if len(data) > parameters.MAX_PRIVATE_KEY_FILE:
        raise RefusedInput(Code.TOO_BIG, "larger than any private key")
    text = data.strip()
    if not text:
        raise RefusedInput(Code.EMPTY, "the private key file is empty")
    if text.startswith(_BEGIN):
        return _parse_openssh(_unwrap(text))
    for kind in (b"EC", b"DSA"):
        if text.startswith(b"-----BEGIN " + kind + b" PRIVATE KEY-----"):
            raise unsupported_key("ssh-dss" if kind == b"DSA" else "ecdsa")
    if text.startswith(
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type:")
    ):
        return LockedSshKey(None, "pem", text)
    if text.startswith((b"-----BEGIN RSA PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----")):
        return _load_foreign(text, None)
    raise _no_private_key(text)


def _malformed(why: str) -> RefusedInput:
    return RefusedInput(
        Code.KEY_FORMAT, f"malformed private key: {why}", hints=("check it: ssh-keygen -y -f KEY",)
    )


def _no_private_key(text: bytes) -> RefusedInput:
    if text.startswith((b"ssh-", b"ecdsa-", b"sk-", b"age1")):
        return _malformed("this is a public key")
    if text.startswith(b"PuTTY-User-Key-File"):
        return RefusedInput(
            Code.KEY_UNSUPPORTED,
            "this is a PuTTY key",
            hints=("convert it: puttygen KEY.ppk -O private-openssh-new -o KEY",),
        )
    return _malformed("no OpenSSH or PEM private key")


def _unwrap(text: bytes) -> bytes:
    lines = text.splitlines()
    if lines[0].strip() != _BEGIN or lines[-1].strip() != _END or text.count(b"-----BEGIN ") != 1:
        raise _malformed("cut off, or something else around it")
    blob = base64text.decode(b"".join(line.strip() for line in lines[1:-1]), padded=True)
    if not blob:
        raise _malformed("no canonical base64")
    return blob


def _wrap(blob: bytes) -> Sensitive:
    text = binascii.b2a_base64(blob, newline=False)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return Sensitive(b"\n".join((_BEGIN, *lines, _END, b"")))


def _parse_openssh(blob: bytes) -> SshPrivateKey | LockedSshKey:
    """Parse PROTOCOL.key: magic, cipher, kdf, kdf options, key count, public key, private section."""
    reader = WireReader(blob)
    if not blob.startswith(_MAGIC):
        raise _malformed("no openssh-key-v1")
    reader.take(len(_MAGIC))
    cipher, kdf, options = reader.string(), reader.string(), reader.string()
    if reader.number() != 1:
        raise _malformed("not exactly one key in it")
    public = public_key_of_blob(reader.string())
    section = reader.string()
    if cipher != b"none":
        _check_kdf(kdf, options)
        return LockedSshKey(public, cipher.decode("ascii", "replace")[:60], bytes(_wrap(blob).expose()))
    if kdf != b"none" or options:
        raise _malformed("a key derivation without a cipher")
    reader.finish()  # only with a cipher may an authentication tag follow
    return _parse_section(blob, public, section)


def _check_kdf(kdf: bytes, options: bytes) -> None:
    if kdf != b"bcrypt":
        raise _malformed("an unknown key derivation")
    reader = WireReader(options)
    reader.string()
    # Rounds are linear in time: 2^31 of them would hang the first command that meets the file.
    if not 0 < reader.number() <= parameters.MAX_BCRYPT_ROUNDS:
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            f"the ssh key wants more than {parameters.MAX_BCRYPT_ROUNDS} rounds of bcrypt",
            hints=("set fewer: ssh-keygen -p -a 100 -f KEY",),
        )


def _parse_section(blob: bytes, public: PublicKey, section: bytes) -> SshPrivateKey:
    if len(section) % _PLAIN_BLOCK:
        raise _malformed("its private half is cut off")
    reader = WireReader(section)
    if reader.number() != reader.number():
        raise _malformed("its check numbers differ")
    if reader.string() != public.kind.encode("ascii"):
        raise _malformed("its public and private halves differ in type")
    seed: Sensitive | None = None
    if public.kind is KeyKind.ED25519:
        seed = _read_ed25519(reader, public)
    else:
        _check_rsa(reader, public)
    comment = printable(reader.string().decode("utf-8", "replace")[: parameters.MAX_COMMENT])
    padding = reader.rest()
    if len(padding) >= _PLAIN_BLOCK or padding != bytes(range(1, len(padding) + 1)):
        raise _malformed("wrong padding")
    named = PublicKey(public.kind, public.text, comment, public.fingerprint)
    return SshPrivateKey(public.kind, named, _wrap(blob), seed)


def _read_ed25519(reader: WireReader, public: PublicKey) -> Sensitive:
    point, pair = reader.string(), reader.string()
    # RFC 8709 and PROTOCOL.key: the private field is seed and public key together.
    if len(pair) != 64 or pair[32:] != point or public.blob[-32:] != point:
        raise _malformed("its public and private halves do not belong together")
    return Sensitive(pair[:32])


def _check_rsa(reader: WireReader, public: PublicKey) -> None:
    modulus, exponent = reader.mpint(), reader.mpint()
    _d, _iqmp, p, q = reader.mpint(), reader.mpint(), reader.mpint(), reader.mpint()
    blob = WireReader(public.blob)
    blob.string()
    if (blob.mpint(), blob.mpint()) != (exponent, modulus) or p * q != modulus:
        raise _malformed("its public and private halves do not belong together")


def _load_foreign(data: bytes, passphrase: Sensitive | None) -> SshPrivateKey:
    """Load through ``cryptography`` and come back with unencrypted OpenSSH text."""
    # 19 ms of import, only for keys under a passphrase and PEM keys.
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    load = (
        serialization.load_ssh_private_key if data.startswith(_BEGIN) else serialization.load_pem_private_key
    )
    try:
        key = load(data, None if passphrase is None else passphrase.expose())
    except UnsupportedAlgorithm:
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            "the private key is encrypted in a way that is not read here",
            hints=("re-encrypt it: ssh-keygen -p -Z aes256-ctr -f KEY",),
        ) from None
    except (ValueError, TypeError, InvalidTag):
        raise _not_loaded(passphrase) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise unsupported_key("this private key")
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    parsed = parse_ssh_private_key(text)
    if isinstance(parsed, LockedSshKey):
        raise _malformed("it cannot be unlocked")
    return parsed


def _not_loaded(passphrase: Sensitive | None) -> SecretsmithError:
    if passphrase is None:
        return _malformed("its PEM text cannot be read")
    return CannotDecrypt(Code.PASSPHRASE, "the passphrase of the private key is wrong")


__all__ = [
    "AgeSecret",
    "LockedIdentityFile",
    "LockedSshKey",
    "PluginSecret",
    "SshPrivateKey",
    "is_locked_identity_file",
    "parse_age_identities",
    "parse_ssh_private_key",
]
