"""The rules of the registry as sops reads rules: the first that matches a path holds.

Ours add up: every rule whose pattern matches gives readers. So where patterns meet, what they say together needs a rule of
its own in front. What files of several rules get is never less than what files of fewer get; therefore one rule for each
distinct result is enough, those with more first: no earlier rule can match a path and give it less than it should have.

The work is bounded by counted steps. Past the bound some meeting places stay without a rule of their own, and there sops
gives fewer readers than the registry, never others; paths that exist then get their readers by name
(:attr:`CreationRules.complete` says so).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from secretsmith.policy.globs import (
    DEEP,
    Heads,
    TooMuch,
    Work,
    covers,
    glob_of,
    head_of,
    intersection,
    regex_of,
    uncovered,
)
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted, readers_by_rules
from secretsmith.record import field, record, replace

MAX_STEPS: Final = 600_000
"""Steps of work for one registry: a hundred rules that all meet each other use them up, a usual fleet a small part."""

Groups = tuple[tuple[str, ...], ...]


@record
class Outcome:
    """What a set of rules says of a file together. ``None``: nothing is said of it.

    ``keys`` are fingerprints. ``groups`` are the key groups as words of the registry, () for a file without. ``clash``:
    the rules contradict each other, and no file can have this outcome.
    """

    keys: frozenset[str] = frozenset()
    groups: Groups | None = None
    threshold: int | None = None
    selection: tuple[str, str] | None = None
    mac_only: bool | None = None
    armor: bool | None = None
    clash: bool = False

    def joined(self, other: Outcome) -> Outcome:
        """Give what both say together."""
        if self.clash or other.clash:
            return CLASH
        said: dict[str, object] = {}
        for name in _OPTIONS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine != theirs:
                return CLASH
            said[name] = theirs if mine is None else mine
        keys = self.keys if other.keys <= self.keys else self.keys | other.keys
        return replace(self, keys=keys, **said)

    @property
    def weight(self) -> int:
        """Something that grows whenever more is said."""
        if self.clash:
            return 1 << 62
        return len(self.keys) + sum(getattr(self, name) is not None for name in _OPTIONS)

    @property
    def written(self) -> Outcome:
        """The same without what makes no difference to sops: ``armor``, and what is its default anyway."""
        return replace(self, armor=None, mac_only=self.mac_only or None, groups=self.groups or None)


_OPTIONS: Final = ("groups", "threshold", "selection", "mac_only", "armor")
CLASH: Final = Outcome(clash=True)


@record
class CreationRule:
    """One rule for sops: an anchored expression, and what holds for the paths that it matches.

    ``origins`` are the sets of registry rules, by number, that it speaks for: each set alone has this outcome. An empty one
    stands for files that no rule names.
    """

    path_regex: str
    outcome: Outcome
    origins: tuple[tuple[int, ...], ...]


@record
class CreationRules:
    """The rules in the order in which sops is to try them. ``steps`` is the work they took."""

    rules: tuple[CreationRule, ...]
    complete: bool
    steps: int


def creation_rules(
    registry: Registry, paths: Callable[[], Iterable[str]] = tuple, *, limit: int = MAX_STEPS
) -> CreationRules:
    """Compute the rules for sops. Files named ``*.age`` are left out: sops does not make them.

    Args:
        registry: whose rules.
        paths: gives the files that exist; asked only when the rules would be incomplete.
        limit: steps of work.
    """
    regions = _Regions(registry, limit)
    regions.find()
    if not regions.complete:
        regions.add_paths(paths())
    return CreationRules(regions.rules(), regions.complete, regions.work.done)


@record(frozen=False, slots=False)
class _Regions:
    """Globs, each with the registry rules that match all of its paths (a bit for each)."""

    registry: Registry
    limit: int
    complete: bool = True
    known: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = Work(self.limit)
        self._patterns = [glob_of(rule.pattern) for rule in self.registry.rules]
        self._heads = Heads(self._patterns)
        # One object for equal outcomes: a fleet has few, and what one adds to another is then asked once.
        kinds: dict[Outcome, Outcome] = {}
        single = (_outcome(readers_by_rules(self.registry, (one,))) for one in range(len(self._patterns)))
        self._single = [kinds.setdefault(kind, kind) for kind in single]
        self._met: set[tuple[str, str]] = set()
        self._adds: dict[Outcome, dict[int, bool]] = {}
        self._none = _outcome(readers_by_rules(self.registry, ()))
        self._outcomes: dict[int, Outcome] = {0: self._none}

    def find(self) -> None:
        """Find every place where rules meet and say more together than one alone."""
        for number, glob in enumerate(self._patterns):
            if not glob.endswith(".age"):
                self.known[glob] = self.known.get(glob, 0) | 1 << number
        waiting = list(self.known)
        try:
            for glob in waiting:
                self.known[glob] = self._containing(glob, self.known[glob])
            while waiting:
                # Breadth first: when the work ends early, what few rules share is done.
                waiting = list(dict.fromkeys(part for glob in waiting for part in self._meetings(glob)))
        except TooMuch:
            self.complete = False

    def _containing(self, glob: str, here: int = 0) -> int:
        """Add to ``here`` the rules that match every path of ``glob`` and have something to add."""
        outcome = self._outcome(here)
        for number in self._adding(outcome, self._heads.around(head_of(glob))):
            if not here >> number & 1 and covers(self._patterns[number], glob, self.work):
                here |= 1 << number
        return here

    def _adding(self, outcome: Outcome, numbers: Sequence[int]) -> Iterable[int]:
        """Leave the rules that say nothing new out."""
        self.work.spend(len(numbers) // 8)
        adds = self._adds.setdefault(outcome, {})
        for number in numbers:
            kind = self._single[number]
            known = adds.get(id(kind))
            if known is None:
                self.work.spend(1 + len(kind.keys) // 32)
                known = adds[id(kind)] = outcome.joined(kind) != outcome
            if known:
                yield number

    def _meetings(self, glob: str) -> Iterable[str]:
        """Meet ``glob`` with every rule that adds something; yields what is new, or known to be in more rules than before."""
        here = self.known[glob]
        outcome = self._outcome(here)
        for number in self._adding(outcome, self._heads.touching(head_of(glob))):
            pattern = self._patterns[number]
            if (pattern, glob) in self._met:
                continue
            self._met.add((glob, pattern))
            for part in self._parts(glob, pattern):
                if part.endswith(".age"):
                    continue
                before = self.known.get(part, 0)
                after = before | here | 1 << number
                if not before:
                    after = self._containing(part, after)
                if after != before:
                    self.known[part] = after
                    yield part

    def _parts(self, glob: str, pattern: str) -> tuple[str, ...]:
        try:
            return intersection(glob, pattern, self.work)
        except TooMuch:
            if self.work.done > self.work.limit:
                raise
            self.complete = False
            return ()

    def _outcome(self, numbers: int) -> Outcome:
        known = self._outcomes.get(numbers)
        if known is None:
            known = self._none
            for number in _bits(numbers):
                known = known.joined(self._single[number])
            self._outcomes[numbers] = known
        return known

    def add_paths(self, paths: Iterable[str]) -> None:
        """Name every path that several rules match which say more together than any of them."""
        for path in sorted(paths):
            numbers = self.registry.patterns.matching(path)
            if len(numbers) > 1 and not path.endswith(".age") and path.isprintable():
                together = sum(1 << number for number in numbers)
                outcome = self._outcome(together)
                if all(self._single[number] != outcome for number in numbers):
                    self.known[path] = together

    def rules(self) -> tuple[CreationRule, ...]:
        """Give one rule for each distinct outcome, those that say more first."""
        found: dict[Outcome, dict[str, int]] = {}
        for glob, numbers in self.known.items():
            found.setdefault(self._outcome(numbers).written, {})[glob] = numbers
        if (below := self._unruled()) is not None:
            found.setdefault(self._none.written, {}).setdefault(below, 0)
        made = [self._rule(outcome, globs) for outcome, globs in found.items()]
        return tuple(sorted(made, key=_order))

    def _unruled(self) -> str | None:
        """Give the secrets folder as a whole, unless one rule names all that is in it."""
        below = DEEP if self.registry.secrets == "." else f"{self.registry.secrets}/{DEEP}"
        try:
            whole = (
                covers(self._patterns[one], below, self.work) for one in self._heads.around(head_of(below))
            )
            return None if any(whole) else below
        except TooMuch:
            return below  # behind all others, where it does no harm

    def _rule(self, outcome: Outcome, globs: dict[str, int]) -> CreationRule:
        kept: Sequence[str] = sorted(globs)
        with suppress(TooMuch):  # else it is longer than need be, and as right
            kept = uncovered(kept, self.work)
        masks = dict.fromkeys(globs[glob] for glob in kept)
        origins = tuple(tuple(_bits(mask)) for mask in masks)
        return CreationRule(regex_of(kept), outcome, origins)


def _order(rule: CreationRule) -> tuple[int, int, str]:
    """Order by weight, as must be; for the eye, then by how many rules meet, and by the text."""
    return -rule.outcome.weight, -max(map(len, rule.origins)), rule.path_regex


def _bits(numbers: int) -> Iterable[int]:
    while numbers:
        lowest = numbers & -numbers
        yield lowest.bit_length() - 1
        numbers ^= lowest


def _outcome(wanted: Wanted) -> Outcome:
    return Outcome(
        keys=frozenset(wanted.keys),
        # A rule without key groups beside one with them is a contradiction (policy/resolve.py): it says "none".
        groups=(wanted.key_groups or ()) if wanted.rules else None,
        threshold=wanted.shamir_threshold,
        selection=wanted.selection,
        mac_only=wanted.mac_only_encrypted,
        armor=wanted.armor,
    )


__all__ = ["CLASH", "MAX_STEPS", "CreationRule", "CreationRules", "Outcome", "creation_rules"]
