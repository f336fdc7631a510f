"""Matching the regular expressions of rules in time linear in the text, as RE2 does.

Python's :mod:`re` backtracks: ``(a+)+$`` takes a year on a key of 60 letters, and a rule is written by
whoever may write to the repository. This is the construction of Thompson
(https://swtch.com/~rsc/regexp/regexp1.html): all states at once, so a text of n characters takes at most
n times the number of instructions, which is bounded.
"""

from __future__ import annotations

from typing import Final

from secretsmith.errors import Code, RefusedInput
from secretsmith.record import record
from secretsmith.regex.syntax import MAX_REGEX, Assertion, Choice, Node, OneOf, Repeat, Sequence, parse_regex

MAX_INSTRUCTIONS: Final = 3000
"""Size of a compiled expression; ``(x{50}){50}`` fits, ``(x{1000}){1000}`` does not."""


@record(frozen=False)
class _Split:
    """Go on at both places."""

    first: int
    second: int


@record
class _Match:
    """The expression has matched."""


_Instruction = OneOf | Assertion | _Split | _Match


class LinearRegex:
    """One compiled expression."""

    __slots__ = ("_most", "_program", "_steps", "pattern")

    def __init__(self, pattern: str, *, longest: int = MAX_REGEX, most: int = MAX_INSTRUCTIONS) -> None:
        self.pattern = pattern
        self._steps = 0
        self._most = most
        self._program: list[_Instruction] = []
        self._emit(parse_regex(pattern, longest))
        self._program.append(_Match())

    @property
    def size(self) -> int:
        """How many instructions it has: a search takes at most so many steps for each character."""
        return len(self._program)

    def search(self, text: str) -> bool:
        """Say whether the expression matches anywhere in ``text`` (RE2's unanchored search)."""
        states: set[int] = set()
        for position in range(len(text) + 1):
            if self._close(states, text, position):
                return True
            if position == len(text):
                break
            character = text[position]
            states = self._step(states, character)
        return False

    def _step(self, states: set[int], character: str) -> set[int]:
        following: set[int] = set()
        # Repetitions share their character classes; each one is asked once.
        verdicts: dict[int, bool] = {}
        for pc in states:
            instruction = self._program[pc]
            if not isinstance(instruction, OneOf):
                continue
            verdict = verdicts.get(id(instruction))
            if verdict is None:
                verdict = verdicts[id(instruction)] = instruction.accepts(character)
            if verdict:
                following.add(pc + 1)
        return following

    def _close(self, states: set[int], text: str, position: int) -> bool:
        """Add to ``states`` the start and what is reached without a character; say whether that matches."""
        work = [*states, 0]
        seen = set(work)
        while work:
            instruction = self._program[(pc := work.pop())]
            following: tuple[int, ...] = ()
            if isinstance(instruction, _Match):
                return True
            if isinstance(instruction, _Split):
                following = (instruction.first, instruction.second)
            elif isinstance(instruction, Assertion) and _holds(instruction.kind, text, position):
                following = (pc + 1,)
            for target in following:
                if target not in seen:
                    seen.add(target)
                    work.append(target)
        states |= seen
        return False

    def _add(self, instruction: _Instruction) -> None:
        if len(self._program) >= self._most:
            raise _too_large()
        self._program.append(instruction)

    def _emit(self, node: Node) -> None:
        # Nothing repeated a thousand times a thousand times adds no instruction and takes as long.
        self._steps += 1
        if self._steps > 10 * self._most:
            raise _too_large()
        match node:
            case OneOf() | Assertion():
                self._add(node)
            case Sequence():
                for part in node.parts:
                    self._emit(part)
            case Choice():
                self._emit_choice(node.parts)
            case Repeat():
                self._emit_repeat(node)

    def _emit_choice(self, parts: tuple[Node, ...]) -> None:
        ends = []
        for part in parts[:-1]:
            split = self._split()
            self._emit(part)
            ends.append(self._split())
            split.second = len(self._program)
        self._emit(parts[-1])
        for end in ends:
            end.first = end.second = len(self._program)

    def _emit_repeat(self, node: Repeat) -> None:
        for _ in range(node.low):
            self._emit(node.part)
        if node.high is None:
            start = len(self._program)
            split = self._split()
            self._emit(node.part)
            self._add(_Split(start, start))
            split.second = len(self._program)
            return
        splits = []
        for _ in range(node.high - node.low):
            splits.append(self._split())
            self._emit(node.part)
        for split in splits:
            split.second = len(self._program)

    def _split(self) -> _Split:
        """Add a split whose first way is the next instruction; the second is set later."""
        here = len(self._program) + 1
        split = _Split(here, here)
        self._add(split)
        return split


def _too_large() -> RefusedInput:
    return RefusedInput(Code.REG_RULES, "this regular expression is too large: its repetitions multiply")


def _holds(kind: str, text: str, position: int) -> bool:
    match kind:
        case "start":
            return position == 0
        case "end":
            return position == len(text)
        case "line-start":
            return position == 0 or text[position - 1] == "\n"
        case "line-end":
            return position == len(text) or text[position] == "\n"
        case _:
            before = position > 0 and _is_word(text[position - 1])
            after = position < len(text) and _is_word(text[position])
            return (before != after) is (kind == "word")


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


def compile_regex(pattern: str, *, longest: int = MAX_REGEX, most: int = MAX_INSTRUCTIONS) -> LinearRegex:
    """Compile ``pattern``, of at most ``longest`` characters and ``most`` instructions.

    Raises:
        RefusedInput: REG_RULES, larger, or outside of what RE2 and Python share.
    """
    return LinearRegex(pattern, longest=longest, most=most)


__all__ = ["MAX_INSTRUCTIONS", "LinearRegex", "compile_regex"]
