"""Many names in few words: groups, runs of numbered hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from secretsmith.policy.membership import expand
from secretsmith.policy.registry import Registry

_FEW = 3  # so many names are read as fast as the name of a group
_NUMBERED = re.compile(r"(.*?)(0|[1-9][0-9]{0,5})\Z")


def in_words(registry: Registry, names: Iterable[str]) -> str:
    """Return ``names`` as "all 50 hosts, @db (4), alice, web1…web9": groups whose members who can read are all among them.

    Groups are chosen largest first as long as they say something new; who is in two groups is counted in both.
    """
    left = dict.fromkeys(sorted(names))
    whole = frozenset(left)
    reading = {one.name for one in registry.everyone() if one.reads and one.keys}
    hosts = reading.intersection(registry.hosts)
    groups = [("", hosts)]
    groups += [
        (name, reading.intersection(expand((f"@{name}",), registry.groups))) for name in registry.groups
    ]
    said = []
    for name, members in sorted(groups, key=lambda group: (-len(group[1]), group[0])):
        if len(members) > _FEW and members <= whole and len(members.intersection(left)) > _FEW:
            said.append(f"@{name} ({len(members)})" if name else f"all {len(members)} hosts")
            left = {one: None for one in left if one not in members}
    return ", ".join([*said, *_runs(left)])


def _runs(names: Iterable[str]) -> Iterator[str]:
    """Yield names, those that are numbered one after the other as "web1…web9"."""
    numbered: dict[str, list[int]] = {}
    plain = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            plain.append(name)
        else:
            numbered.setdefault(match[1], []).append(int(match[2]))
    found = list(plain)
    for stem, numbers in numbered.items():
        numbers.sort()
        start = 0
        for place in range(1, len(numbers) + 1):
            if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
                run = [f"{stem}{number}" for number in numbers[start:place]]
                found.extend([f"{run[0]}…{run[-1]}"] if len(run) > _FEW else run)
                start = place
    yield from sorted(found)


__all__ = ["in_words"]
