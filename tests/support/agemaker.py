"""Age headers made by hand, well-formed or hostile. The MAC is 32 zero bytes: no key opens these files."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from secretsmith.crypto.header import Stanza

VERSION = b"age-encryption.org/v1\n"
MAC = b"--- " + b"A" * 43 + b"\n"
NONCE = bytes(16)
SHARE = base64.b64encode(bytes(range(1, 33))).decode().rstrip("=")
BODY = base64.b64encode(bytes(32)).rstrip(b"=") + b"\n"


def x25519_stanza(share: str = SHARE) -> bytes:
    """One X25519 stanza."""
    return f"-> X25519 {share}\n".encode() + BODY


def age_file(
    *stanzas: bytes, version: bytes = VERSION, mac: bytes = MAC, payload: bytes = NONCE + bytes(16)
) -> bytes:
    """A binary age file around ``stanzas``."""
    return b"".join((version, *stanzas, mac, payload))


_VCHAR = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
_UNKNOWN_TYPE = st.text(_VCHAR, min_size=1, max_size=20).filter(
    lambda text: text not in ("X25519", "scrypt", "ssh-ed25519", "ssh-rsa", "mlkem768x25519")
)


def unknown_stanzas() -> st.SearchStrategy[Stanza]:
    """Stanzas of types that we do not know, with any arguments and body."""
    return st.builds(
        Stanza,
        type=_UNKNOWN_TYPE,
        args=st.lists(st.text(_VCHAR, min_size=1, max_size=30), max_size=4).map(tuple),
        body=st.binary(max_size=200),
    )


def native_stanzas() -> st.SearchStrategy[Stanza]:
    """Well-formed stanzas of the types that we open, for nobody."""
    key = st.binary(min_size=32, max_size=32)
    # A last byte of 9 to 126 keeps clear of every low-order point.
    share = st.tuples(st.binary(min_size=31, max_size=31), st.integers(9, 126)).map(
        lambda parts: base64.b64encode(parts[0] + bytes((parts[1],))).decode().rstrip("=")
    )
    tag = st.binary(min_size=4, max_size=4).map(lambda raw: base64.b64encode(raw).decode().rstrip("="))
    return st.one_of(
        st.builds(Stanza, st.just("X25519"), st.tuples(share), key),
        st.builds(Stanza, st.just("ssh-ed25519"), st.tuples(tag, share), key),
        st.builds(Stanza, st.just("ssh-rsa"), st.tuples(tag), st.binary(min_size=256, max_size=512)),
    )


__all__ = [
    "BODY",
    "MAC",
    "NONCE",
    "SHARE",
    "VERSION",
    "age_file",
    "native_stanzas",
    "unknown_stanzas",
    "x25519_stanza",
]
