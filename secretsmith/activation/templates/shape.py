"""What a rendered template says, as keys, items and leaves, and what of it a value may not change.

A template is read twice: with a harmless number in each placeholder's place (a token), and with the values. Only where
a token stands may the two differ, and only as much as the placeholder's filter lets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Final

from secretsmith.record import field, record

MAX_DEPTH: Final = 200
_SERIAL: Final = 5


class Unreadable(Exception):  # no error of a user yet: the caller knows the template
    """A text is not of its format, at ``line`` if that is known. ``why`` holds nothing of the text."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


@record
class Leaf:
    """One value: its text (``5432``, ``true``), so that the place of a number can be found by the number in it.

    ``bare``: it has no quotes. ``exact``: ``text`` is as it was written. ``mark``: YAML's anchor and tag.
    """

    text: str = field(repr=False)
    bare: bool = False
    exact: bool = True
    mark: str = field(default="", repr=False)


@record
class Branch:
    """A mapping, or a list, which has no keys."""

    items: tuple[Shape, ...]
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    mark: str = field(default="", repr=False)


Shape = Leaf | Branch


@record
class Hole:
    """What may stand in the place of a token.

    ``inserted`` is the text that goes there; ``read`` what a reader of the format must find, or None where the filter
    does not promise that (raw, and filters for other languages).
    """

    inserted: str = field(repr=False)
    read: str | None = field(default=None, repr=False)
    raw: bool = False


class Tokens:
    """Numbers of 15 digits that do not occur in a text: right as a number, in quotes, and as part of a text."""

    def __init__(self, text: str) -> None:
        # Ten different digits in any order: no such number overlaps with itself.
        orders = ("".join(order) for order in permutations("7190346528") if order[0] != "0")
        self._prefix = next(order for order in orders if order not in text)
        self._pattern = re.compile(rf"{self._prefix}(\d{{{_SERIAL}}})")

    def token(self, number: int) -> str:
        """Return the token of placeholder ``number``."""
        return f"{self._prefix}{number:0{_SERIAL}}"

    def numbers(self, text: str) -> list[int]:
        """Return whose tokens are in ``text``."""
        return [int(serial) for serial in self._pattern.findall(text)]

    def filled(self, text: str, fills: Mapping[int, str]) -> str:
        """Return ``text`` with the tokens replaced."""
        return self._pattern.sub(lambda found: fills[int(found[1])], text)


class Comparison:
    """The rules for where a template with values may differ from the same with tokens."""

    def __init__(self, tokens: Tokens, holes: Mapping[int, Hole]) -> None:
        self._tokens = tokens
        self._holes = holes

    def difference(self, wanted: Shape, found: Shape) -> str | None:
        """Return the first thing about ``found`` that no value may change, in words without a value; None if all is well.

        ``wanted`` is the shape with tokens.
        """
        return next(self._differences(wanted, found), None)

    def _differences(self, wanted: Shape, found: Shape) -> Iterator[str]:
        if isinstance(wanted, Leaf):
            if why := self._leaf(wanted, found):
                yield why
        elif not isinstance(found, Branch) or (found.keys is None) is not (wanted.keys is None):
            yield "the value changes what is around it"
        elif wanted.keys is not None and not self._same_keys(wanted.keys, found.keys or ()):
            yield "the value adds, changes or takes away keys"
        elif len(wanted.items) != len(found.items):
            yield "the value adds or takes away items of a list"
        elif wanted.mark != found.mark:
            yield "the value changes an anchor or tag"
        else:
            for ours, theirs in zip(wanted.items, found.items, strict=True):
                yield from self._differences(ours, theirs)

    def _same_keys(self, wanted: tuple[str, ...], found: tuple[str, ...]) -> bool:
        return len(wanted) == len(found) and all(
            ours == theirs or self._key(ours) == theirs for ours, theirs in zip(wanted, found, strict=True)
        )

    def _key(self, key: str) -> str:
        holes = {number: self._holes[number] for number in self._tokens.numbers(key)}
        return self._tokens.filled(
            key, {at: hole.inserted if hole.read is None else hole.read for at, hole in holes.items()}
        )

    def _leaf(self, wanted: Leaf, found: Shape) -> str | None:
        numbers = self._tokens.numbers(wanted.text)
        if not numbers:
            return None if wanted == found else "the value changes what is around it"
        holes = {number: self._holes[number] for number in numbers}
        if wanted.bare and len(wanted.text) == len(self._tokens.token(0)) and holes[numbers[0]].raw:
            return None
        if not isinstance(found, Leaf):
            return "the value becomes a mapping or a list"
        if found.mark != wanted.mark:
            return "the value changes an anchor or tag"
        reads = {number: hole.read for number, hole in holes.items() if hole.read is not None}
        if len(reads) < len(holes) or not found.exact:
            return None
        if self._tokens.filled(wanted.text, reads) != found.text:
            return "the value would be read as another one: the placeholder needs other quotes around it, or none"
        return None


__all__ = ["MAX_DEPTH", "Branch", "Comparison", "Hole", "Leaf", "Shape", "Tokens", "Unreadable"]
