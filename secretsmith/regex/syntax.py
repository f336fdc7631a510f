r"""The regular expressions of ``*_regex`` fields: what RE2 and Python both read, and read alike.

sops uses Go's RE2 and treats a pattern that RE2 refuses as one that matches nothing, so that every value
stays in clear (sops-format: invalid patterns are silently "no match"). A pattern outside the common
subset is therefore refused here, with the reason: look-around, back references, possessive repetition,
POSIX classes, ``\p``, ``\z``, octal escapes.
Syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re
from typing import Final

from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record

MAX_REGEX: Final = 1000
"""Characters of one expression."""

_MAX_DEPTH: Final = 40
_MAX_REPEAT: Final = 1000  # RE2: parse.go, the same limit
_TOP: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]

_DIGIT: Final[Ranges] = ((0x30, 0x39),)
_WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final[Ranges] = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS = re.compile(r"\(\?([ims]+)([:)])")
_NAMED = re.compile(r"\(\?P<[A-Za-z_][A-Za-z0-9_]*>")


@record
class OneOf:
    """One character out of ``ranges``, or out of all others.

    ``fold``: whatever its case; ``ranges`` are ASCII then.
    """

    ranges: Ranges
    negated: bool = False
    fold: bool = False

    def accepts(self, character: str) -> bool:
        """Say whether ``character`` is one of them."""
        if not self.fold:
            return self._has(ord(character)) is not self.negated
        cases = (character, character.lower(), character.upper())
        return any(len(case) == 1 and self._has(ord(case)) for case in cases) is not self.negated

    def _has(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges)


@record
class Assertion:
    """A place: ``start``, ``end`` (of the text), ``line-start``, ``line-end``, ``word``, ``no-word``."""

    kind: str


@record
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@record
class Choice:
    """One of them."""

    parts: tuple[Node, ...]


@record
class Repeat:
    """From ``low`` to ``high`` times; ``None`` is without bound."""

    part: Node
    low: int
    high: int | None


Node = OneOf | Assertion | Sequence | Choice | Repeat


def parse_regex(pattern: str, longest: int = MAX_REGEX) -> Node:
    """Parse ``pattern``. Raises ``RefusedInput`` (REG_RULES) with the reason."""
    if len(pattern) > longest:
        raise _refused(f"it is longer than {longest} characters")
    parser = _Parser(pattern)
    node = parser.choice(0)
    if parser.at < len(pattern):
        raise _refused("a closing parenthesis without an opening one")
    return node


def _refused(reason: str) -> RefusedInput:
    return RefusedInput(
        Code.REG_RULES,
        f"not a regular expression that sops and secretsmith read alike: {reason}",
        hints=(
            "sops takes an expression that it cannot read for one without a match, and leaves values clear",
        ),
    )


class _Parser:
    """Recursive descent; the depth of recursion is that of the parentheses, which is bounded."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._flags = frozenset[str]()
        leading = _FLAGS.match(text)
        if leading is not None and leading[2] == ")":
            self._flags = frozenset(leading[1])
            self.at = leading.end()

    def choice(self, depth: int) -> Node:
        """Read alternatives up to a closing parenthesis or the end."""
        if depth > _MAX_DEPTH:
            raise _refused("parentheses are nested too deeply")
        parts = [self._sequence(depth)]
        while self._looking_at("|"):
            self.at += 1
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _looking_at(self, text: str) -> bool:
        return self._text.startswith(text, self.at)

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self.at < len(self._text) and self._text[self.at] not in "|)":
            node = self._atom(depth)
            parts.append(self._repeated(node))
        return Sequence(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        if isinstance(node, Assertion):
            raise _refused("a repeated '^', '$' or '\\b'")
        if self._looking_at("?"):  # the lazy kind; whether there is a match does not depend on it
            self.at += 1
        if self.at < len(self._text) and (self._text[self.at] in "*+?" or _REPEAT.match(self._text, self.at)):
            raise _refused("two repetitions in a row")
        return Repeat(node, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        character = self._text[self.at : self.at + 1]
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if character in simple:
            self.at += 1
            return simple[character]
        if character != "{":
            return None
        if re.match(r"\{,\d*\}", self._text[self.at :]):
            raise _refused("'{,n}' means different things; write '{0,n}'")
        found = _REPEAT.match(self._text, self.at)
        if found is None:
            return None
        if any(len(digits) > 4 for digits in (found[1], found[3] or "")):
            raise _refused(f"more than {_MAX_REPEAT} repetitions")
        low = int(found[1])
        high = low if found[2] is None else int(found[3]) if found[3] else None
        if max(low, high or 0) > _MAX_REPEAT or (high is not None and high < low):
            raise _refused(f"repetition bounds must grow and be at most {_MAX_REPEAT}")
        self.at = found.end()
        return low, high

    def _atom(self, depth: int) -> Node:
        character = self._text[self.at]
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in "*+?" or _REPEAT.match(self._text, self.at):
            raise _refused("a repetition of nothing")
        self.at += 1
        if character == "^":
            return Assertion("line-start" if "m" in self._flags else "start")
        if character == "$":
            return Assertion("line-end" if "m" in self._flags else "end")
        if character == ".":
            return OneOf((), negated=True) if "s" in self._flags else OneOf(((10, 10),), negated=True)
        return self._literal(character)

    def _literal(self, character: str) -> OneOf:
        return self._one_of(((ord(character), ord(character)),))

    def _one_of(self, ranges: Ranges, negated: bool = False) -> OneOf:
        fold = "i" in self._flags
        if fold and any(high > 0x7F for _, high in ranges):
            raise _refused("'(?i)' with characters outside of ASCII, whose cases differ between programs")
        return OneOf(ranges, negated, fold)

    def _group(self, depth: int) -> Node:
        outer = self._flags
        scoped, named = _FLAGS.match(self._text, self.at), _NAMED.match(self._text, self.at)
        if scoped is not None:
            if scoped[2] == ")":
                raise _refused("flags stand at the start, or in '(?i:…)'")
            self._flags |= frozenset(scoped[1])
            self.at = scoped.end()
        elif named is not None:
            self.at = named.end()
        elif self._looking_at("(?:"):
            self.at += 3
        elif self._looking_at("(?"):
            raise _refused("look-around, conditions, comments and other '(?…' are not in both")
        else:
            self.at += 1
        node = self.choice(depth + 1)
        if not self._looking_at(")"):
            raise _refused("an opening parenthesis without a closing one")
        self.at += 1
        self._flags = outer
        return node

    def _escape(self) -> Node:
        letter = self._text[self.at + 1 : self.at + 2]
        boundary = {"b": "word", "B": "no-word", "A": "start"}.get(letter)
        if boundary is not None:
            self.at += 2
            return Assertion(boundary)
        return self._one_of(*self._escaped())

    def _escaped(self) -> tuple[Ranges, bool]:
        """Read an escape that may stand in a class too: its ranges, and whether they are negated."""
        letter = self._text[self.at + 1 : self.at + 2]
        self.at += 2
        if letter and letter.lower() in _CLASSES:
            return _CLASSES[letter.lower()], letter.isupper()
        if letter in _CONTROLS:
            code = ord(_CONTROLS[letter])
        elif letter == "x" and re.match(r"[0-9A-Fa-f]{2}", self._text[self.at : self.at + 2]):
            code = int(self._text[self.at : self.at + 2], 16)
            self.at += 2
        elif letter.isascii() and letter.isprintable() and letter and not letter.isalnum():
            code = ord(letter)
        else:
            raise _refused("an escape that is not in both, or a backslash at the end")
        return ((code, code),), False

    def _class(self) -> OneOf:
        self.at += 1
        negated = self._looking_at("^")
        self.at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._looking_at("]"):
            ranges.extend(self._class_item(first))
            first = False
        self.at += 1
        return self._one_of(tuple(ranges), negated)

    def _class_item(self, first: bool) -> Ranges:
        low = self._class_part(first)
        # A dash before the closing bracket is itself.
        if not self._looking_at("-") or self._text[self.at + 1 : self.at + 2] in ("]", ""):
            return low
        self.at += 1
        high = self._class_part(False)
        one = len(low) == len(high) == 1 and low[0][0] == low[0][1] and high[0][0] == high[0][1]
        if not one or high[0][0] < low[0][0]:
            raise _refused("a character range that has no order")
        return ((low[0][0], high[0][0]),)

    def _class_part(self, first: bool) -> Ranges:
        character = self._text[self.at : self.at + 1]
        if not character:
            raise _refused("an opening bracket without a closing one")
        if character == "\\":
            ranges, negated = self._escaped()
            return _complement(ranges) if negated else ranges
        if character == "[" or self._text[self.at : self.at + 2] in ("--", "&&", "||", "~~"):
            raise _refused("'[', '--', '&&', '||' or '~~' inside of brackets; escape it")
        if character == "]" and not first:
            raise _refused("a character range without an end")
        self.at += 1
        return ((ord(character), ord(character)),)


def _complement(ranges: Ranges) -> Ranges:
    found, after = [], 0
    for low, high in ranges:
        if after < low:
            found.append((after, low - 1))
        after = high + 1
    return (*found, (after, _TOP))


__all__ = ["MAX_REGEX", "Assertion", "Choice", "Node", "OneOf", "Repeat", "Sequence", "parse_regex"]
