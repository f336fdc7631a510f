"""Public keys as principals have them: OpenSSH lines, ``age1…`` recipients, plugin recipients.

Every key is normalised here before another library sees it: pyrage 1.4 reads the first line of a text and silently
drops the rest, and passes over NUL and CR after a key. Parsing is cheap (no library, no curve arithmetic).
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

from secretsmith.crypto import base64text, bech32, convert, curve, parameters
from secretsmith.crypto.sshwire import WireReader
from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record


class KeyKind(StrEnum):
    """What a public key is."""

    ED25519 = "ssh-ed25519"
    RSA = "ssh-rsa"
    X25519 = "x25519"
    HYBRID = "hybrid"  # age1pq1…: recognised, but not written by this version
    TAG = "tag"  # age1tag1…, age1tagpq1…: a hardware key, written without its plugin
    PLUGIN = "plugin"


class Form(StrEnum):
    """The two recipient forms of one ed25519 ssh key; neither opens the other's files."""

    NATIVE = "native"  # `-> ssh-ed25519` stanza: age, agenix
    DERIVED = "derived"  # `-> X25519` stanza: ssh-to-age, sops-nix


@record
class PublicKey:
    """A key of a principal.

    ``text`` is normalised and has no comment: "ssh-ed25519 AAAA…" or "age1…". ``comment`` is printable: control, bidi
    and other invisible characters are escaped as in Python source. ``fingerprint`` is "SHA256:" and unpadded base64,
    of the ssh blob (as ssh-keygen prints it), of the 32 bytes of an X25519 ``age1…``, or of the whole text of any other
    ``age1NAME1…``. ``plugin`` is the plugin's name.
    """

    kind: KeyKind
    text: str
    comment: str
    fingerprint: str
    plugin: str | None = None

    @property
    def line(self) -> str:
        """The key with its comment, as it stands in the registry."""
        return f"{self.text} {self.comment}" if self.comment else self.text

    @property
    def is_ssh(self) -> bool:
        """Whether this is an OpenSSH key."""
        return self.kind in (KeyKind.ED25519, KeyKind.RSA)

    @property
    def blob(self) -> bytes:
        """The decoded bytes: the ssh wire encoding, or the data of ``age1…``."""
        if self.is_ssh:
            return base64text.decode(self.text.split(" ")[1].encode("ascii"), padded=True) or b""
        return bech32.decode(self.text)[1]

    @property
    def tag(self) -> str | None:
        """The tag that age writes into ssh stanzas: the first 4 bytes of the fingerprint, base64; ``None`` for age1…."""
        if not self.is_ssh:
            return None
        # 4 bytes end inside the sixth character of the fingerprint's base64, whose low 4 bits must be zero.
        return base64text.encode(hashlib.sha256(self.blob).digest()[: parameters.SSH_TAG_BYTES])

    @property
    def derived(self) -> str:
        """The ``age1…`` of an ed25519 key, as ssh-to-age prints it; every other key gives its own text.

        Raises:
            RefusedInput: KEY_WEAK when the ed25519 key is no point of the curve.
        """
        if self.kind is not KeyKind.ED25519:
            return self.text
        return bech32.encode("age", convert.ed25519_public_to_x25519(self.blob[-32:]))

    def recipient(self, form: Form) -> str:
        """Give the recipient text in ``form``; only ed25519 ssh keys have two."""
        return self.text if form is Form.NATIVE else self.derived


def fingerprint_of(blob: bytes) -> str:
    """Give "SHA256:" and the unpadded base64 of the digest of ``blob``, as ssh-keygen -l prints it."""
    return "SHA256:" + base64text.encode(hashlib.sha256(blob).digest())


_UNSUPPORTED: Final = (
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-dss",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_KEY_TYPES: Final = frozenset({"ssh-ed25519", "ssh-rsa", *_UNSUPPORTED})
_BLANK: Final = re.compile(r"[ \t]+")
_ANOTHER_KEY: Final = re.compile(r"AAAA[A-Za-z0-9+/]{20}|age1[0-9a-z]{40}", re.IGNORECASE)
_PLUGIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+._-]{0,63}")
_SHORT: Final = 256  # what is remembered of hostile input stays below a MiB
_SECRET: Final = re.compile(r"AGE-(SECRET-KEY|PLUGIN)-|-----BEGIN [A-Z0-9 ]*PRIVATE KEY", re.IGNORECASE)


def parse_public_key(line: str) -> PublicKey:
    """Parse one public key line: ``TYPE BASE64 [COMMENT]`` or ``age1… [COMMENT]``.

    Blanks and one line end around it are dropped. Private key text is never repeated in an error.

    Raises:
        RefusedInput: KEY_FORMAT, KEY_OPTIONS, KEY_PRIVATE, KEY_WEAK, KEY_UNSUPPORTED, PLUGIN_NAME.
    """
    if len(line) > parameters.MAX_KEY_LINE:
        raise _format("longer than any key")
    if _SECRET.search(line):
        raise RefusedInput(
            Code.KEY_PRIVATE,
            "this is a private key; a public key is wanted",
            hints=(
                "give the .pub file, or the age1… line that age-keygen -y prints",
                "treat that private key as seen",
            ),
        )
    text = line.strip(" \t").removesuffix("\n").removesuffix("\r").strip(" \t")
    if not text:
        raise _format("empty")
    # A second line or a NUL is where another reader would stop, and see another key list than we do.
    if re.search(r"[\x00\n\r\v\f\x85\u2028\u2029]", text):
        raise _format("more than one line, or a NUL", hint="give one key at a time")
    word, *rest = _BLANK.split(text, maxsplit=1)
    if word in _KEY_TYPES or word.endswith("-cert-v01@openssh.com"):
        return _parse_ssh(word, rest[0] if rest else "")
    if word.lower().startswith("age1"):
        # Documents spell out their recipients, and a fleet's all name the same few.
        parse = _parse_age_once if len(text) <= _SHORT else _parse_age
        return parse(word, rest[0] if rest else "")
    raise _refusal(text)


def _format(why: str, hint: str = "a key looks like: ssh-ed25519 AAAA… comment, or age1…") -> RefusedInput:
    return RefusedInput(Code.KEY_FORMAT, f"malformed public key: {why}", hints=(hint,))


def _refusal(text: str) -> RefusedInput:
    """Say why text that starts with no key type is refused."""
    if any(kind in text for kind in _KEY_TYPES):
        return RefusedInput(
            Code.KEY_OPTIONS,
            "there is text before the key type (options of authorized_keys, or a host name)",
            hints=("give the line from the key type on: ssh-ed25519 AAAA…",),
        )
    return _format("its type is unknown")


def printable(text: str) -> str:
    """Escape what is not printable: ESC would steer a terminal, bidi characters deceive a reviewer."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _comment(text: str) -> str:
    text = text.strip(" \t")
    if len(text) > parameters.MAX_COMMENT:
        raise _format(f"a comment of more than {parameters.MAX_COMMENT} characters")
    if _ANOTHER_KEY.search(text):
        raise _format("a second key on the line", hint="give one key at a time")
    return printable(text)


def _parse_ssh(kind: str, rest: str) -> PublicKey:
    if kind not in ("ssh-ed25519", "ssh-rsa"):
        raise unsupported_key(kind)
    encoded, *comment = _BLANK.split(rest, maxsplit=1)
    blob = base64text.decode(encoded.encode("ascii", "replace"), padded=True)
    if not blob:
        raise _format("its second word is not canonical base64")
    key = public_key_of_blob(blob, _comment(comment[0] if comment else ""))
    if key.kind != kind:
        raise _format(f"the line says {kind}, the key itself {key.kind}")
    return key


def unsupported_key(kind: str) -> RefusedInput:
    """Give the error for an ssh key type that no age file can be encrypted to; ``kind`` is shown."""
    if kind.endswith("-cert-v01@openssh.com"):
        reason, hint = "a certificate", "give the public key itself, without -cert in the name"
    elif kind.startswith("sk-"):
        reason = "a key on a security token, which can sign but not decrypt"
        hint = "use age-plugin-fido2-hmac or age-plugin-yubikey with that token"
    else:
        reason = "a key type that age has no recipient for"
        hint = "make an ed25519 key: ssh-keygen -t ed25519"
    return RefusedInput(Code.KEY_UNSUPPORTED, f"{kind[:60]} is {reason}", hints=(hint,))


def public_key_of_blob(blob: bytes, comment: str = "") -> PublicKey:
    """Give the key of an ssh wire blob (RFC 4253 §6.6, RFC 8709 §4). ``comment`` must be printable already.

    Raises:
        RefusedInput: KEY_FORMAT, KEY_WEAK, KEY_UNSUPPORTED.
    """
    reader = WireReader(blob)
    kind = reader.string()
    if kind == b"ssh-ed25519":
        point = reader.string()
        if len(point) != 32:
            raise _format("an ed25519 key has 32 bytes")
        weakness = curve.weakness_of_ed25519(point)
    elif kind == b"ssh-rsa":
        weakness = _weakness_of_rsa(reader.mpint(), reader.mpint())
    elif kind.decode("ascii", "replace") in _UNSUPPORTED:
        raise unsupported_key(kind.decode("ascii"))
    else:
        raise _format("the type inside its base64 is unknown")
    reader.finish()
    if weakness is not None:
        raise _weak(f"the {kind.decode()} key is {weakness}")
    text = f"{kind.decode()} {base64text.encode(blob, padded=True)}"
    return PublicKey(KeyKind(kind.decode()), text, comment, fingerprint_of(blob))


def _weak(message: str) -> RefusedInput:
    return RefusedInput(
        Code.KEY_WEAK, message, hints=("make a new one: ssh-keygen -t ed25519, or age-keygen",)
    )


def _weakness_of_rsa(exponent: int, modulus: int) -> str | None:
    bits = modulus.bit_length()
    if bits < parameters.RSA_MIN_BITS:
        return f"of {bits} bits; {parameters.RSA_MIN_BITS} are needed"
    if bits > parameters.RSA_MAX_BITS:
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            f"the ssh-rsa key is of {bits} bits; no more than {parameters.RSA_MAX_BITS} can be encrypted to",
            hints=("make an ed25519 key, which is stronger and shorter: ssh-keygen -t ed25519",),
        )
    # An even modulus or exponent, or exponent 1, is no RSA key at all; a huge exponent is a slow one (RFC 8017 §3.1).
    if not modulus & 1 or not exponent & 1 or not 3 <= exponent < 1 << 33:
        return "no usable RSA key: its exponent or modulus is out of range"
    return None


def _parse_age(word: str, comment: str) -> PublicKey:
    if word != word.lower():
        raise _format("an age1… key is written in lower case")
    if "," in word:
        raise _format("a second key on the line", hint="give one key at a time")
    name = word[len("age1") :].rpartition("1")[0]
    if name and not _PLUGIN_NAME.fullmatch(name):
        raise plugin_name_refused()
    hrp, data = bech32.decode(word)
    kind = _age_kind(hrp)
    if kind is not KeyKind.X25519:
        # The data of a plugin's key is free: an ssh blob in it would borrow the fingerprint of an accepted ssh key.
        plugin = None if kind is KeyKind.HYBRID else hrp.removeprefix("age1")
        return PublicKey(kind, word, _comment(comment), fingerprint_of(word.encode("ascii")), plugin)
    if len(data) != parameters.X25519_SHARE_BYTES:
        raise _format("an age1… key has 32 bytes")
    weakness = curve.weakness_of_x25519(data)
    if weakness is not None:
        raise _weak(f"the age1… key is {weakness}")
    return PublicKey(kind, word, _comment(comment), fingerprint_of(data))


def _age_kind(hrp: str) -> KeyKind:
    if hrp == "age":
        return KeyKind.X25519
    if not hrp.startswith("age1"):
        raise _format("its prefix is unknown")
    return {"age1pq": KeyKind.HYBRID, "age1tag": KeyKind.TAG, "age1tagpq": KeyKind.TAG}.get(
        hrp, KeyKind.PLUGIN
    )


def is_plugin_name(name: str) -> bool:
    """Tell whether ``name`` may become ``age-plugin-NAME``: no path, no dot first (GHSA-4fg7-vxc8-qx5w)."""
    return _PLUGIN_NAME.fullmatch(name) is not None


def plugin_name_refused() -> RefusedInput:
    """Give the error for a plugin name that could be a path; the name itself is not repeated."""
    return RefusedInput(
        Code.PLUGIN_NAME,
        "the name of the age plugin is refused: a letter or digit, then up to 63 of a-z 0-9 + . _ -",
        hints=("check where the key comes from: such a name can point outside of PATH",),
    )


def require_host_key(key: PublicKey, host: str) -> None:
    """Refuse every key that is no ed25519 ssh key on the curve; hosts have nothing else.

    Raises:
        RefusedInput: KEY_UNSUPPORTED, KEY_WEAK.
    """
    if key.kind is not KeyKind.ED25519:
        what = f"{key.kind} key" if key.is_ssh else "key that is no ssh host key"
        raise RefusedInput(
            Code.KEY_UNSUPPORTED,
            f"{host}: a {what} cannot be a host's: only ed25519 keys have both recipient forms,"
            " native (age, agenix) and derived (sops-nix)",
            hints=(
                f"on {host}: ssh-keygen -A makes the missing host keys; the public key is"
                " /etc/ssh/ssh_host_ed25519_key.pub",
            ),
        )
    convert.ed25519_public_to_x25519(key.blob[-32:])


_parse_age_once = lru_cache(maxsize=1024)(_parse_age)

__all__ = [
    "Form",
    "KeyKind",
    "PublicKey",
    "fingerprint_of",
    "is_plugin_name",
    "parse_public_key",
    "plugin_name_refused",
    "printable",
    "public_key_of_blob",
    "require_host_key",
    "unsupported_key",
]
