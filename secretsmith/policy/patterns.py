"""The patterns of rules: which paths they match, in time linear in the path.

A pattern is anchored at the registry's folder and matches a whole path, case and all:

- ``?`` is one character of a segment, ``*`` any number of them, none included;
- ``**`` is any number of characters and crosses ``/``; as a whole segment (``a/**/b``) it is any number of
  folders, none included, so ``a/b`` matches too;
- everything else is itself. ``[``, ``]``, ``{``, ``}`` and a backslash are refused rather than taken
  literally, because whoever writes them expects them to mean something.

All patterns of a registry become one automaton (one bit for each place in each pattern), whose
transitions are kept as they are met. No input makes it slower than one step a character, which a
translation to :mod:`re` cannot promise.
"""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.errors import Code, RefusedInput

MAX_PATTERN = 1024
"""Characters of one pattern. Longer than any sensible path; bounds the automaton."""

_KEPT_STATES = 4096
_KEPT_BYTES = 32 * 1024 * 1024
_REFUSED = {
    "[": "character classes are not supported; use ? or several rules",
    "]": "character classes are not supported; use ? or several rules",
    "{": "alternatives are not supported; use several rules",
    "}": "alternatives are not supported; use several rules",
    "\\": "there is no escape character; a path is written with /",
}


def check_pattern(pattern: str) -> None:
    """Raise ``RefusedInput`` (REG_RULES) with the reason if ``pattern`` is none."""
    reason = _fault(pattern)
    if reason is not None:
        raise RefusedInput(Code.REG_RULES, f"not a path pattern: {reason}")


def _fault(pattern: str) -> str | None:
    if not pattern:
        return "it is empty"
    if len(pattern) > MAX_PATTERN:
        return f"it is longer than {MAX_PATTERN} characters"
    if not pattern.isprintable():
        return "it holds a character that does not print"
    for mark, reason in _REFUSED.items():
        if mark in pattern:
            return f"it holds {mark!r}: {reason}"
    if "***" in pattern:
        return "'***' means nothing; use '*' or '**'"
    return _segment_fault(pattern)


def _segment_fault(pattern: str) -> str | None:
    if pattern.startswith("/"):
        return "it is absolute; write it from the folder of the registry"
    if pattern.endswith("/"):
        return f"it names a folder; write '{pattern}**' for everything below it"
    for segment in pattern.split("/"):
        if segment in ("", ".", ".."):
            return (
                f"it has the segment {segment!r}; write it from the folder of the registry, without detours"
            )
    return None


class PatternSet:
    """All patterns of a registry as one automaton.

    Bit ``i`` of a state says "at place ``i``". A place either consumes one given character and moves on
    (a literal), consumes and stays (inside ``*`` or ``**``), or is passed for free. Pure, but for the
    transitions it remembers.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._literals: dict[str, int] = {}
        self._one = self._stay_segment = self._stay_any = self._enter = self._leave = 0
        self._free = self._free_folders = 0
        self._accept: dict[int, int] = {}
        self._start = 0
        place = 0
        for number, pattern in enumerate(patterns):
            check_pattern(pattern)
            self._start |= 1 << place
            place = self._add(pattern, place)
            self._accept[place] = number
            place += 1
        self._accepting = sum(1 << bit for bit in self._accept)
        self._start = self._pass_free(self._start)
        self._kept = max(16, min(_KEPT_STATES, _KEPT_BYTES // (place // 8 + 64)))
        self._forget()

    def matching(self, path: str) -> tuple[int, ...]:
        """Give the positions of the patterns that match ``path``, in their order."""
        if len(self._states) > self._kept:
            self._forget()
        here = 0
        steps = self._steps
        for character in path:
            following = steps[here].get(character)
            here = self._walk(here, character) if following is None else following
        return self._verdict(here)

    def _add(self, pattern: str, place: int) -> int:
        """Lay ``pattern`` out from ``place`` on; gives its accepting place."""
        at = 0
        while at < len(pattern):
            bit = 1 << place
            if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
                # Two places: here nothing of a folder is read yet, there we are inside one.
                self._enter |= bit
                self._free_folders |= bit
                self._stay_any |= bit << 1
                self._leave |= bit << 1
                at += 3
                while pattern.startswith("**/", at):
                    at += 3
                place += 2
                continue
            if pattern.startswith("**", at):
                self._stay_any |= bit
                self._free |= bit
                at += 2
            elif pattern[at] == "*":
                self._stay_segment |= bit
                self._free |= bit
                at += 1
            else:
                self._add_one(pattern[at], bit)
                at += 1
            place += 1
        return place

    def _add_one(self, character: str, bit: int) -> None:
        if character == "?":
            self._one |= bit
        else:
            self._literals[character] = self._literals.get(character, 0) | bit

    def _forget(self) -> None:
        self._states: list[int] = [self._start]
        self._numbers: dict[int, int] = {self._start: 0}
        self._steps: list[dict[str, int]] = [{}]
        self._verdicts: list[tuple[int, ...] | None] = [None]

    def _walk(self, here: int, character: str) -> int:
        state = self._step(self._states[here], character)
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            self._steps.append({})
            self._verdicts.append(None)
        self._steps[here][character] = number
        return number

    def _step(self, state: int, character: str) -> int:
        moving = state & (self._literals.get(character, 0) | self._enter)
        if character == "/":
            moving |= state & self._leave
            staying = state & self._stay_any
        else:
            moving |= state & self._one
            staying = state & (self._stay_any | self._stay_segment)
        return self._pass_free(staying | moving << 1)

    def _pass_free(self, state: int) -> int:
        while True:
            more = state | (state & self._free) << 1 | (state & self._free_folders) << 2
            if more == state:
                return state
            state = more

    def _verdict(self, here: int) -> tuple[int, ...]:
        known = self._verdicts[here]
        if known is None:
            bits = self._states[here] & self._accepting
            found = []
            while bits:
                lowest = bits & -bits
                found.append(self._accept[lowest.bit_length() - 1])
                bits ^= lowest
            known = self._verdicts[here] = tuple(found)
        return known


__all__ = ["MAX_PATTERN", "PatternSet", "check_pattern"]
