"""Who the words of a rule or a group mean, and whether they mean anybody. Linear, without recursion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code
from secretsmith.policy.principals import Principal
from secretsmith.policy.reading import Table
from secretsmith.policy.rules import Rule
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.record import record

Groups = Mapping[str, tuple[str, ...]]

MAX_REMEMBERED: Final = 1_000_000
"""About how many readers are remembered, counted once for each set of words or rules."""

_SHOWN_GROUPS: Final = 8
_REGISTER: Final = "register it first: secretsmith user add, host add or group add"


def expand(words: Iterable[str], groups: Groups) -> dict[str, tuple[str, ...]]:
    """Give every principal that ``words`` mean, each with the groups on the shortest way to it.

    No groups: it is named itself. Each group is opened once, so the work is bounded by the size of the
    groups however they contain each other.
    """
    found: dict[str, tuple[str, ...]] = {}
    opened: set[str] = set()
    level: list[tuple[str, tuple[str, ...]]] = [(word, ()) for word in words]
    while level:
        below: list[tuple[str, tuple[str, ...]]] = []
        for word, way in level:
            if not word.startswith("@"):
                found.setdefault(word, way)
            elif word not in opened:
                opened.add(word)
                # A very deep nest keeps the ends of the way only; quadratic text would be no explanation.
                longer = (*way, word[1:]) if len(way) < _SHOWN_GROUPS else (*way[:-1], word[1:])
                below.extend((member, longer) for member in groups.get(word[1:], ()))
        level = below
    return found


@record
class Members:
    """Whom words mean: who reads, in the order of the registry, with which keys; and hosts without a key."""

    names: tuple[str, ...]
    keys: Mapping[str, PublicKey]
    pending: tuple[str, ...]


class Membership:
    """Whom the words of one registry mean, remembered: files are many, the sets of words in rules few."""

    def __init__(self, groups: Groups, everyone: Sequence[Principal]) -> None:
        self._groups = groups
        self._everyone = {principal.name: principal for principal in everyone}
        self._order = {name: place for place, name in enumerate(self._everyone)}
        self._known: dict[frozenset[str], Members] = {}
        self._covered: dict[frozenset[str], frozenset[str]] = {}

    def readers_of(self, words: AbstractSet[str]) -> Members:
        """Give whom all ``words`` mean together. A name that a group contains anyway makes no difference."""
        groups = frozenset(word for word in words if word.startswith("@"))
        covered = self._covered.get(groups)
        if covered is None:
            covered = self._covered[groups] = frozenset(expand(groups, self._groups))
        return self._union(groups.union(word for word in words - groups if word not in covered))

    def _union(self, words: frozenset[str]) -> Members:
        known = self._known.get(words)
        if known is None:
            known = self._collect(expand(words, self._groups)) if len(words) == 1 else self._merge(words)
            if len(self._known) > MAX_REMEMBERED // (len(known.names) + 1):
                self._known.clear()
                self._covered.clear()
            self._known[words] = known
        return known

    def _merge(self, words: frozenset[str]) -> Members:
        keys: dict[str, PublicKey] = {}
        names: set[str] = set()
        pending: set[str] = set()
        for word in sorted(words):
            part = self._union(frozenset((word,)))
            keys.update(part.keys)
            names.update(part.names)
            pending.update(part.pending)
        return Members(self._ordered(names), keys, self._ordered(pending))

    def _collect(self, names: Iterable[str]) -> Members:
        keys: dict[str, PublicKey] = {}
        reading: list[str] = []
        pending: list[str] = []
        for name in names:
            principal = self._everyone[name]
            if not principal.reads:
                continue
            # Users who read have a key, and so have active hosts.
            (reading if principal.keys else pending).append(name)
            keys.update((key.fingerprint, key) for key in principal.keys)
        return Members(self._ordered(reading), keys, self._ordered(pending))

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self._order.__getitem__))


def check_groups(table: Table, groups: Groups, principals: Collection[str]) -> None:
    """Refuse unknown members (REG_UNKNOWN) and groups that contain themselves (REG_CYCLE)."""
    for name, words in groups.items():
        for index, word in enumerate(words):
            _check_word(table, (name, index), f"group {name}", word, groups, principals)
    cycle = _cycle(groups)
    if cycle:
        way = " → ".join(f"@{name}" for name in cycle[:_SHOWN_GROUPS])
        raise table.refuse(
            Code.REG_CYCLE,
            cycle[0],
            f"group {cycle[0]} contains itself: {way}",
            "take one of them out of the group before it",
        )


def check_readers(
    tables: Sequence[Table], rules: Sequence[Rule], groups: Groups, principals: Collection[str]
) -> None:
    """Refuse rules with an unknown reader (REG_UNKNOWN), or with empty groups only (REG_EMPTY)."""
    empty = _empty_groups(groups)
    for table, rule in zip(tables, rules, strict=True):
        about = f"rule {shown(rule.pattern)}"
        for index, word in enumerate(table.texts("readers") or ()):
            _check_word(table, ("readers", index), about, word, groups, principals)
        if all(word[1:] in empty if word.startswith("@") else False for word in rule.readers):
            raise table.refuse(Code.REG_EMPTY, "readers", f"{about}: nobody is in {', '.join(rule.readers)}")


def _check_word(
    table: Table, at: tuple[str, int], about: str, word: str, groups: Groups, principals: Collection[str]
) -> None:
    path = (*table.path, *at)
    if word.startswith("@"):
        if word[1:] not in groups:
            hints = did_you_mean(word, [f"@{name}" for name in groups])
            raise table.source.refuse(
                Code.REG_UNKNOWN, path, f"{about}: no group is called {shown(word)}", *hints or (_REGISTER,)
            )
    elif word not in principals:
        hints = did_you_mean(word, [*principals, *(f"@{name}" for name in groups)])
        if word in groups:
            hints = (f"a group is written '@{word}'",)
        raise table.source.refuse(
            Code.REG_UNKNOWN,
            path,
            f"{about}: no user or host is called {shown(word)}",
            *hints or (_REGISTER,),
        )


def _inner(words: tuple[str, ...]) -> Iterator[str]:
    return (word[1:] for word in words if word.startswith("@"))


def _cycle(groups: Groups) -> list[str]:
    """Give the groups of one cycle, first and last the same; empty when there is none."""
    # Depth first with a stack of its own: ten thousand groups may contain one another in a row.
    done: set[str] = set()
    for root in groups:
        way: list[str] = []
        on_way: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = []
        if root not in done:
            stack.append((root, _inner(groups[root])))
            way.append(root)
            on_way.add(root)
        while stack:
            name, members = stack[-1]
            member = next(members, None)
            if member is None:
                stack.pop()
                way.pop()
                on_way.discard(name)
                done.add(name)
            elif member in on_way:
                return [*way[way.index(member) :], member]
            elif member not in done:
                stack.append((member, _inner(groups[member])))
                way.append(member)
                on_way.add(member)
    return []


def _empty_groups(groups: Groups) -> set[str]:
    """Give the groups in which there is nobody, directly or through others."""
    containing: dict[str, list[str]] = {}
    for name, words in groups.items():
        for member in _inner(words):
            containing.setdefault(member, []).append(name)
    filled = [name for name, words in groups.items() if any(not word.startswith("@") for word in words)]
    known = set(filled)
    while filled:
        for name in containing.get(filled.pop(), ()):
            if name not in known:
                known.add(name)
                filled.append(name)
    return set(groups) - known


__all__ = ["MAX_REMEMBERED", "Members", "Membership", "check_groups", "check_readers", "expand"]
