"""Reading one JSON object of a manifest: each member once, by type, with an error that names the place."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NoReturn, TypeVar

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest.patterns import COMPILED

MAX_ENTRIES = 10_000

_Enum = TypeVar("_Enum", bound=StrEnum)
_CODES = {"entry": Code.NAME, "principal": Code.NAME, "mode": Code.MODE, "account": Code.OWNER}
_CODES |= {"path": Code.PATH_UNSAFE, "place": Code.PATH_UNSAFE}
_WANTED = {
    "entry": "a relative name of letters, digits and ._@%+- without . or .. parts, at most 8 deep",
    "mode": 'a text of three octal digits such as "0400", without set-id bits, not writable by others',
    "account": "a user or group name, or its number as a text",
    "path": "an absolute path without . or .. parts",
    "place": "an absolute path without . or .. parts",
    "fingerprint": '"SHA256:" and 43 base64 characters',
    "unit": 'a unit name with its suffix, such as "nginx.service"',
    "credential": 'a service, socket or mount and the name of the credential in it, such as "web.service:db"',
    "reference": 'a reference such as "pass:web/db"',
    "duration": 'a number and one of s m h d w, such as "30d"',
    "key": "a slash path without empty parts",
}


class Members:
    """The members of one JSON object, each read once by type; what nobody read is an error."""

    def __init__(self, value: object, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            self.refuse("wants an object")
        self.left: dict[str, object] = dict(value)

    def refuse(self, why: str, code: Code = Code.MANIFEST) -> NoReturn:
        """Raise RefusedInput naming this object."""
        raise RefusedInput(code, f"manifest: {self.where}: {why}")

    def take(self, name: str) -> object:
        """Remove and return a member that must be there."""
        if name not in self.left:
            self.refuse(f"{name} is missing")
        return self.left.pop(name)

    def checked(self, name: str, value: object, kind: str) -> str:
        """Return ``value`` if it is a text of the pattern ``kind``."""
        if not isinstance(value, str) or not COMPILED[kind].match(value) or has_surrogates(value):
            wanted = _WANTED.get(kind, "a short text without control characters")
            self.refuse(f"{name}: wants {wanted}, not {shown(value)}", _CODES.get(kind, Code.MANIFEST))
        return value

    def text(self, name: str, kind: str, default: str | None = None) -> str:
        """Take a text; without a default it must be there."""
        if default is not None and name not in self.left:
            return default
        return self.checked(name, self.take(name), kind)

    def maybe(self, name: str, kind: str) -> str | None:
        """Take a text if it is there."""
        return self.text(name, kind) if name in self.left else None

    def texts(self, name: str, kind: str, *, least: int = 0) -> tuple[str, ...]:
        """Take a list of texts; a missing one counts as empty."""
        items = self.items(name, least=least)
        return tuple(self.checked(f"{name}[{at}]", item, kind) for at, item in items)

    def items(self, name: str, *, least: int | None = None) -> Iterable[tuple[int, object]]:
        """Take a list and number it; with ``least`` a missing one counts as empty."""
        value = self.take(name) if least is None else self.left.pop(name, [])
        if not isinstance(value, list) or not (least or 0) <= len(value) <= MAX_ENTRIES:
            self.refuse(f"{name}: wants a list of {least or 0} to {MAX_ENTRIES}")
        return enumerate(value)

    def members(self, name: str) -> dict[str, object]:
        """Take an object with free names; a missing one counts as empty."""
        value = self.left.pop(name, {})
        if not isinstance(value, dict) or len(value) > MAX_ENTRIES:
            self.refuse(f"{name}: wants an object of at most {MAX_ENTRIES}")
        return value

    def choice(self, name: str, kind: type[_Enum], default: _Enum | None = None) -> _Enum:
        """Take one of the words of ``kind``."""
        value = self.take(name) if default is None else self.left.pop(name, default)
        try:
            if isinstance(value, str):
                return kind(value)
        except ValueError:
            pass  # told below, as what is no text at all
        return self.refuse(f"{name}: wants one of {', '.join(kind)}, not {shown(value)}")

    def flag(self, name: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self.left.pop(name, default)
        if not isinstance(value, bool):
            self.refuse(f"{name}: wants true or false, not {shown(value)}")
        return value

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Take a whole number within bounds."""
        value = self.take(name) if default is None else self.left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(f"{name}: wants a whole number from {least} to {most}, not {shown(value)}")
        return value

    def end(self) -> None:
        """Refuse what is left: a misspelt field must not pass as a default."""
        if self.left:
            self.refuse(f"unknown field {shown(min(self.left))}")


def has_surrogates(text: str) -> bool:
    """Whether JSON escapes left half characters, which no file name or file can hold."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def shown(value: object) -> str:
    """Quote a value of the manifest for a message: ASCII, at most 80 characters."""
    # ascii() keeps control characters of a hostile manifest away from the terminal.
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
