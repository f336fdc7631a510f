"""Where patterns meet: the intersection of two is a union of others, and one may lie inside another.

Patterns are held as strings in which four control characters stand for the wild parts (no pattern has control
characters), so that a folder whose name has a ``*`` can be written too. Only paths are meant: no leading slash, no empty
segment; on those, ``**/`` as a whole segment is either nothing, or anything and a slash.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

ONE: Final = "\x00"  # ?    one character of a segment
STAR: Final = "\x01"  # *    any number of them
DEEP: Final = "\x02"  # **   any number of any characters
FOLD: Final = "\x03"  # **/  any number of whole folders

MAX_PARTS: Final = 64
"""How many patterns the intersection of two may become; more are of no use to a reader."""

_LITERALS: Final = re.compile(r"[^\x00-\x03]*")
_TAIL: Final = re.compile(r"[^\x00-\x03]*\Z")
_STARS: Final = re.compile(r"[\x01\x02]{2,}")
_LATE_ONE: Final = re.compile(r"\x01(\x00+)")
_FOLDERS: Final = re.compile(r"(?:\A|(?<=[/\x03]))\x02/")
_REGEX: Final = {ONE: "[^/]", STAR: "[^/]*", DEEP: ".*", FOLD: "(?:.+/)?"}
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")

State = tuple[int, int]
Edge = tuple[str, State]


class TooMuch(Exception):
    """The work allowed is done, or an intersection has too many parts; not an error, and never shown."""


class Work:
    """Steps counted, so that a hostile registry ends in a bounded time that does not depend on the machine."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.done = 0

    def spend(self, steps: int) -> None:
        """Count ``steps``; raises ``TooMuch`` beyond the limit."""
        self.done += steps
        if self.done > self.limit:
            raise TooMuch


def glob_of(pattern: str) -> str:
    """Give a pattern of a rule (:mod:`secretsmith.policy.patterns`) as a glob."""
    found: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            found.append(FOLD)
            at += 3
        elif pattern.startswith("**", at):
            found.append(DEEP)
            at += 2
        else:
            found.append({"*": STAR, "?": ONE}.get(pattern[at], pattern[at]))
            at += 1
    return canonical("".join(found))


def canonical(glob: str) -> str:
    """Give the same glob as it is written here: adjoining stars become one, ``*?`` becomes ``?*``."""
    while True:
        after = re.sub(FOLD + "{2,}", FOLD, glob).replace(FOLD + DEEP, DEEP)
        after = _STARS.sub(lambda stars: DEEP if DEEP in stars[0] else STAR, after)
        after = _LATE_ONE.sub(lambda found: found[1] + STAR, after)
        if after == glob:
            return glob
        glob = after


def head_of(glob: str) -> str:
    """Give the characters that every path of the glob begins with."""
    found = _LITERALS.match(glob)
    return found[0] if found else ""


def _tail_of(glob: str) -> str:
    found = _TAIL.search(glob)
    return found[0] if found else ""


def _apart(one: str, other: str) -> bool:
    """Say whether a look at both ends is enough to see that two globs have no path in common."""
    heads, tails = (head_of(one), head_of(other)), (_tail_of(one), _tail_of(other))
    return not (heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])) or not (
        tails[0].endswith(tails[1]) or tails[1].endswith(tails[0])
    )


def regex_of(globs: Sequence[str]) -> str:
    """Give an anchored regular expression for the paths of any of ``globs``; RE2 and Python read it alike."""
    if len(globs) == 1:
        return f"^{_regex(globs[0])}$"
    heads = [head_of(glob) for glob in globs]
    low, high = min(heads), max(heads)
    common = next(
        (at for at, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), len(low)
    )
    common = low.rfind("/", 0, common) + 1
    return f"^{_regex(low[:common])}(?:{'|'.join(_regex(glob[common:]) for glob in globs)})$"


def _regex(glob: str) -> str:
    return "".join(_REGEX.get(one) or _SPECIAL.sub(r"\\\g<0>", one) for one in glob)


def covers(outer: str, inner: str, work: Work) -> bool:
    """Say whether ``outer`` has every path of ``inner``. A yes is always right; where ``inner`` is one path, so is a no.

    ``inner`` is read as a word whose wild parts only wild parts of ``outer`` can take.
    """
    work.spend(1)
    head = head_of(outer)
    if not inner.startswith(head) or not _tail_of(inner).endswith(_tail_of(outer)):
        return False
    places, inner = _lowered(outer[len(head) :]), inner[len(head) :]
    work.spend(len(inner) // 8)
    # Every place in here is reached by every path that the symbols so far stand for.
    here = _pass_free(places, {0})
    for symbol in inner:
        if symbol == FOLD:
            here &= _step(places, _step(places, here, DEEP), "/")
        else:
            here = _step(places, here, symbol)
        if not here:
            return False
        work.spend(len(here))
    return len(places) in here


def _lowered(glob: str) -> str:
    """Write ``**/`` out: a mark that is passed for free, past what follows or not, then ``**`` and a slash."""
    return glob.replace(FOLD, f"{FOLD}{DEEP}/")


def _pass_free(places: str, here: set[int]) -> set[int]:
    waiting = list(here)
    while waiting:
        at = waiting.pop()
        kind = places[at : at + 1]
        following = (at + 1, at + 3) if kind == FOLD else (at + 1,) if _is_star(kind) else ()
        waiting.extend(place for place in following if place not in here)
        here.update(following)
    return here


def _step(places: str, here: Iterable[int], symbol: str) -> set[int]:
    found: set[int] = set()
    for at in here:
        kind = places[at : at + 1]
        if kind == DEEP or (kind == STAR and symbol not in ("/", DEEP)):
            found.add(at)
        elif (kind == ONE and symbol not in ("/", STAR, DEEP)) or (
            kind == symbol and kind not in (STAR, FOLD)
        ):
            found.add(at + 1)
    return _pass_free(places, found)


def intersection(one: str, other: str, work: Work) -> tuple[str, ...]:
    """Give globs that together have exactly the paths of both, sorted; none when they have no path in common.

    Raises:
        TooMuch: more than :data:`MAX_PARTS`, or the work is used up.
    """
    work.spend(1)
    if _apart(one, other):
        return ()
    if covers(other, one, work):
        return (one,)
    if covers(one, other, work):
        return (other,)
    start = min(len(head_of(one)), len(head_of(other)))
    rest = _meeting(_lowered(one[start:]), _lowered(other[start:]), work)
    return _tidy({canonical(one[:start] + glob) for glob in rest}, work)


def _meeting(one: str, other: str, work: Work) -> set[str]:
    """Walk both at once; what is eaten on a way to both ends is one part of the intersection."""
    ways: dict[State, tuple[Edge, ...]] = {}
    waiting: list[State] = [(0, 0)]
    while waiting:
        state = waiting.pop()
        if state in ways:
            continue
        work.spend(1)
        ways[state] = _edges(one, other, state)
        waiting.extend(following for _, following in ways[state])
    end = (len(one), len(other))
    if end not in ways:
        return set()
    found: dict[State, set[str]] = {}
    # Every step goes forward in one of both, so the last come first.
    for state in sorted(ways, key=sum, reverse=True):
        here = {""} if state == end else set()
        for eaten, following in ways[state]:
            here.update(eaten + rest for rest in found[following])
        work.spend(len(here) + sum(map(len, here)) // 16)
        if len(here) > 4 * MAX_PARTS:
            raise TooMuch
        found[state] = {canonical(rest) for rest in here} if len(here) > 1 else here
    return found[0, 0]


def _edges(one: str, other: str, state: State) -> tuple[Edge, ...]:
    """Give what can be eaten at a place of both, and where that leads."""
    at, to = state
    left, right = one[at : at + 1], other[to : to + 1]
    if left == FOLD:
        return ("", (at + 1, to)), ("", (at + 3, to))
    if right == FOLD:
        return ("", (at, to + 1)), ("", (at, to + 3))
    if _is_star(left) and _is_star(right):
        # One of the two ends first; up to there both eat the same.
        both = DEEP if left == right == DEEP else STAR
        return (both, (at + 1, to)), (both, (at, to + 1))
    if _is_star(left):
        eats = right and (left == DEEP or right != "/")
        return (("", (at + 1, to)), (right, (at, to + 1))) if eats else (("", (at + 1, to)),)
    if _is_star(right):
        eats = left and (right == DEEP or left != "/")
        return (("", (at, to + 1)), (left, (at + 1, to))) if eats else (("", (at, to + 1)),)
    if not left or not right:
        return ()
    if left == right or (right == ONE and left != "/"):
        return ((left, (at + 1, to + 1)),)
    return ((right, (at + 1, to + 1)),) if left == ONE and right != "/" else ()


def _is_star(kind: str) -> bool:
    return kind in (STAR, DEEP)


def _tidy(globs: set[str], work: Work) -> tuple[str, ...]:
    """Join ``X/Y`` and ``X/**/Y``, and drop what lies inside of another part."""
    joined = True
    while joined:
        joined = False
        for glob in sorted(globs):
            for found in _FOLDERS.finditer(glob):
                without = glob[: found.start()] + glob[found.end() :]
                if without in globs and glob in globs:
                    globs -= {glob, without}
                    globs.add(canonical(glob[: found.start()] + FOLD + glob[found.end() :]))
                    joined = True
    parts = sorted(globs)
    if len(parts) > MAX_PARTS:
        raise TooMuch
    return uncovered(parts, work)


def uncovered(globs: Sequence[str], work: Work) -> tuple[str, ...]:
    """Drop every glob that another of ``globs`` covers; of those that cover each other one stays."""
    heads = Heads(globs)
    kept = [True] * len(globs)
    for number, glob in enumerate(globs):
        for other in heads.around(head_of(glob)):
            if other != number and kept[other] and covers(globs[other], glob, work):
                kept[number] = False
                break
    return tuple(glob for number, glob in enumerate(globs) if kept[number])


class Heads:
    """Finds, among many globs, those that can have anything in common with one: a fleet's rules are mostly apart."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, glob in enumerate(globs):
            self._numbers.setdefault(head_of(glob), []).append(number)
        self._sorted = sorted(self._numbers)

    def around(self, head: str) -> list[int]:
        """Give the numbers of globs whose head is a beginning of ``head``: only they can cover what begins with it."""
        return sorted(number for end in range(len(head) + 1) for number in self._numbers.get(head[:end], ()))

    def touching(self, head: str) -> list[int]:
        """Give the numbers of globs that can meet one that begins with ``head``."""
        found = self.around(head)
        at = bisect_left(self._sorted, head)
        while at < len(self._sorted) and self._sorted[at].startswith(head):
            if self._sorted[at] != head:
                found.extend(self._numbers[self._sorted[at]])
            at += 1
        return sorted(found)


__all__ = [
    "DEEP",
    "FOLD",
    "MAX_PARTS",
    "ONE",
    "STAR",
    "Heads",
    "TooMuch",
    "Work",
    "canonical",
    "covers",
    "glob_of",
    "head_of",
    "intersection",
    "regex_of",
    "uncovered",
]
