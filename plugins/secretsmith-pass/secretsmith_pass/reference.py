"""The text behind the scheme's colon: ``NAME``, ``NAME#SELECTOR``, ``NAME?store=STORE#SELECTOR``.

A name may hold any character that a file's name may. ``%23`` stands for ``#``, ``%3F`` for ``?``, ``%25`` for ``%`` where what
follows would be read as such, ``%0A`` for a newline: a reference is always one printable line (RFC 3986 §2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from secretsmith.errors import Code, RefusedInput

ALL: Final = "*"
OTP: Final = "otp"
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_STORE = re.compile(r"store=([A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z")
_MAX_NAME: Final = 1024
_OWN_FOLDERS: Final = (".git", ".extensions")


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of a store, and what of it.

    ``name`` is the path in the store without suffix. ``selector`` is None for the first line, else "*", "otp", a line's
    number or a key. ``store`` is the name of another store than the default one.
    """

    scheme: str
    name: str
    selector: str | None = None
    store: str | None = None

    @property
    def entry(self) -> str:
        """The reference of the entry, without a selector, in the spelling that reads back."""
        store = f"?store={self.store}" if self.store else ""
        return f"{escaped(self.name)}{store}"

    @property
    def shown(self) -> str:
        """The whole reference with its scheme, for messages."""
        return f"{self.scheme}:{self.entry}" + (f"#{escaped(self.selector)}" if self.selector else "")


def parse_reference(scheme: str, text: str) -> Reference:
    """Read the text behind ``scheme:``.

    Raises:
        RefusedInput: USAGE, NAME: it is no reference, or names something outside of a store.
    """
    front, hashed, selector = text.partition("#")
    raw_name, asked, query = front.partition("?")
    named = _STORE.match(query)
    name = _plain(scheme, text, raw_name)
    if asked and named is None:
        raise _wrong(scheme, text, "what follows ? is not store=NAME; a ? of a name itself is written %3F")
    if hashed and not selector:
        raise _wrong(scheme, text, "nothing follows the #; a # of a name itself is written %23")
    _require_inside(scheme, text, name)
    chosen = _plain(scheme, text, selector) if hashed else None
    found = Reference(scheme, name, chosen, named[1] if named else None)
    plainly = selector.replace("#", "%23").replace("?", "%3F")  # which mean nothing in a selector
    if found.shown != f"{scheme}:{front}{hashed}{plainly}":
        # `%62ank/card` would not look like the entry that it is, and `#%2A` not like all of it.
        raise _wrong(scheme, text, f"is written {found.shown}")
    return found


def escaped(name: str) -> str:
    """Return ``name`` as it stands in a reference: one printable line that :func:`parse_reference` reads back."""
    return "".join(_escape(name, place, character) for place, character in enumerate(name))


def _escape(name: str, place: int, character: str) -> str:
    if character == "%":
        literal = _ESCAPED.match(name[place : place + 3].encode("utf-8", "surrogateescape")) is None
        return "%" if literal else "%25"
    if character not in "#?" and character.isprintable():
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _plain(scheme: str, text: str, part: str) -> str:
    data = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), part.encode("utf-8", "surrogateescape"))
    if b"\0" in data:
        raise _wrong(scheme, text, "holds a NUL")
    # As file names: bytes that are no UTF-8 stay what they are.
    return data.decode("utf-8", "surrogateescape")


def _require_inside(scheme: str, text: str, name: str) -> None:
    """A repository names entries; nothing that it says may lead to a file elsewhere."""
    parts = name.split("/")
    if not name:
        raise _wrong(scheme, text, "names no entry")
    if len(name) > _MAX_NAME:
        raise _wrong(scheme, text, f"is longer than {_MAX_NAME} characters")
    if name.startswith("/"):
        raise _wrong(scheme, text, "is an absolute path; names are relative to the store")
    if any(part in ("", ".", "..") for part in parts):
        raise _wrong(scheme, text, 'has an empty part, "." or ".." in it')
    if any(part in _OWN_FOLDERS for part in parts):
        raise _wrong(scheme, text, "lies in a folder of git or of pass itself")


def _wrong(scheme: str, text: str, why: str) -> RefusedInput:
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return RefusedInput(
        Code.NAME,
        f"{scheme}:{shown[:120]}: {why}",
        hints=(f"{scheme}:NAME, NAME#KEY, NAME#2, NAME#*, NAME#otp, NAME?store=STORE",),
    )


__all__ = ["ALL", "OTP", "Reference", "escaped", "parse_reference"]
