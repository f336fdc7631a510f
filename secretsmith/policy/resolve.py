"""Who is meant to read a file: the wanted readers, and why each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.membership import MAX_REMEMBERED, expand
from secretsmith.policy.registry import Registry
from secretsmith.policy.rules import OPTION_FIELDS, Rule
from secretsmith.policy.words import shown
from secretsmith.record import record


@record
class Wanted:
    """What the registry says of a file.

    ``keys`` maps fingerprints to keys; ``names`` are the principals who read, in the order of the
    registry; ``why`` gives each one's reasons ("rule secrets/web/**", "rule secrets/web/**: group web",
    "admin"). ``pending`` are hosts that would read and have no key yet. ``rules`` are the matching rules,
    and the options are what they say together; ``None`` where no rule says anything.
    """

    keys: Mapping[str, PublicKey]
    names: tuple[str, ...]
    why: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    armor: bool | None = None
    pending: tuple[str, ...] = ()
    key_groups: tuple[tuple[str, ...], ...] | None = None
    shamir_threshold: int | None = None
    selection: tuple[str, str] | None = None
    mac_only_encrypted: bool | None = None


def matching_rules(registry: Registry, path: str) -> tuple[Rule, ...]:
    """Give the rules whose pattern matches ``path`` (from the registry on, with ``/``), in their order."""
    return tuple(registry.rules[number] for number in registry.patterns.matching(path))


def wanted_readers(registry: Registry, path: str) -> Wanted | None:
    """Give the wanted readers of ``path``: all readers of all matching rules, and the admins.

    Returns ``None`` when no rule matches; who reads such a file below ``secrets`` is :func:`unruled_readers`.

    Raises:
        RefusedInput: REG_RULES when matching rules contradict each other in an option; names both lines.
    """
    numbers = registry.patterns.matching(path)
    if not numbers:
        return None
    return _remembered(registry, numbers)


def unruled_readers(registry: Registry) -> Wanted:
    """Give who reads a file below ``secrets`` that no rule names: the admins."""
    return _remembered(registry, ())


def readers_by_rules(registry: Registry, numbers: tuple[int, ...]) -> Wanted:
    """Give the wanted readers of any file that exactly the rules with these numbers (rising) match.

    Raises:
        RefusedInput: REG_RULES as :func:`wanted_readers`.
    """
    return _remembered(registry, numbers)


def unused_rules(registry: Registry, paths: Iterable[str]) -> tuple[Rule, ...]:
    """Give the rules that match none of ``paths``, in their order."""
    used = {number for path in paths for number in registry.patterns.matching(path)}
    return tuple(rule for number, rule in enumerate(registry.rules) if number not in used)


def _remembered(registry: Registry, numbers: tuple[int, ...]) -> Wanted:
    # Readers follow from the set of matching rules alone, and a fleet has few such sets however many
    # files it has.
    memory = registry.wanted_by_rules
    known = memory.get(numbers)
    if known is None:
        known = _wanted(registry, tuple(registry.rules[number] for number in numbers))
        if len(memory) > MAX_REMEMBERED // (len(known.names) + 1):
            memory.clear()
        memory[numbers] = known
    return known


class _Reasons(Mapping[str, tuple[str, ...]]):
    """Why each reader reads; spelled out when somebody asks, which most commands never do."""

    def __init__(self, registry: Registry, rules: tuple[Rule, ...], names: tuple[str, ...]) -> None:
        self._registry = registry
        self._rules = rules
        self._names = names

    @cached_property
    def _found(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {name: {} for name in self._names}
        for rule in self._rules:
            for name, way in expand(rule.readers, self._registry.groups).items():
                if name in found:
                    through = ", ".join(f"group {group}" for group in way)
                    found[name][f"rule {rule.pattern}: {through}" if through else f"rule {rule.pattern}"] = (
                        None
                    )
        for user in self._registry.admins():
            found[user.name]["admin"] = None
        return {name: tuple(reasons) for name, reasons in found.items()}

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _wanted(registry: Registry, rules: tuple[Rule, ...]) -> Wanted:
    options = _options(registry, rules)
    words = {word for rule in rules for word in rule.readers}
    words.update(user.name for user in registry.admins())
    members = registry.membership.readers_of(words)
    return Wanted(
        keys=members.keys,
        names=members.names,
        why=_Reasons(registry, rules, members.names),
        rules=rules,
        pending=members.pending,
        **options,
    )


def _options(registry: Registry, rules: tuple[Rule, ...]) -> dict[str, Any]:
    """Give what the rules say together. A rule that leaves an option out says nothing about it."""
    said: dict[str, Rule] = {}
    for rule in rules:
        for name in OPTION_FIELDS:
            if getattr(rule, name) is None:
                continue
            first = said.setdefault(name, rule)
            if getattr(first, name) != getattr(rule, name):
                raise _contradiction(registry, name, first, rule)
    grouped = said.get("key_groups")
    if grouped is not None:
        for rule in rules:
            # Readers outside every key group would get no share: which group they belong to must be said.
            if rule.key_groups is None:
                raise _contradiction(
                    registry, "key_groups", *sorted((grouped, rule), key=lambda one: one.line)
                )
    return {name: getattr(rule, name) for name, rule in said.items()}


def _contradiction(registry: Registry, name: str, first: Rule, second: Rule) -> RefusedInput:
    return RefusedInput(
        Code.REG_RULES,
        f"{registry.name}:{second.line}:1: rule {shown(second.pattern)} and rule {shown(first.pattern)}"
        f" on line {first.line} match the same file and differ in {name}",
        hints=(f"give both rules the same {name}, or narrow one of the two paths",),
        path=registry.name,
    )


__all__ = [
    "Wanted",
    "matching_rules",
    "readers_by_rules",
    "unruled_readers",
    "unused_rules",
    "wanted_readers",
]
