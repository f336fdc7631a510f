"""A holder for plaintext and private keys that does not print itself.

Python cannot wipe ``bytes``; what this type promises is that a value does not reach a log, an error, a traceback or a
pickle by accident. The one way out is :meth:`Sensitive.expose`, which is easy to search for.
"""

from __future__ import annotations

from typing import NoReturn, final


@final
class Sensitive:
    """Bytes that are kept out of every textual form."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def expose(self) -> bytes:
        """Return the bytes themselves."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and self._value == other._value

    # A hash would make the value guessable from a dumped dictionary, and nothing needs one.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<sensitive {len(self._value)} bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sensitive value is never pickled")


__all__ = ["Sensitive"]
