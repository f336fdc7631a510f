"""The text of ``.sops.yaml``: the keys of the registry by name, and its rules as sops reads rules.

Source: sops, config/config.go. Keys stand in a list with anchors, as people who use sops write them; sops ignores that list
and follows the aliases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import RefusedInput
from secretsmith.policy.keygroups import wanted_groups, wanted_threshold
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import readers_by_rules
from secretsmith.policy.sopsrules import CreationRule, creation_rules

CONFIG_NAME: Final = ".sops.yaml"
MARKER: Final = "# Generated from secretsmith.toml by: secretsmith export sops"
"""The first line. A file that begins with it is ours to rewrite."""

_HEADING: Final = (
    MARKER,
    "# Every change of the registry by secretsmith rewrites it; to keep it as it is, remove the line above.",
    "# The first rule that matches a path holds. What several rules of the registry name comes first, with the readers",
    "# of all of them. Rules for .age files are left out: sops does not make them.",
)
_INCOMPLETE: Final = (
    "# The rules of the registry meet in more ways than can be written here. Files that exist get their readers by name;",
    "# a new file where rules meet may get fewer readers than the registry gives it, until: secretsmith rekey",
)
_CONVERTED: Final = (
    "# ssh keys stand here as ssh-to-age converts them. `sops updatekeys` gives a document these recipients, and then sops",
    "# opens it with converted private keys alone, not with the ssh keys. Who works with sops needs, once:",
    "#   (umask 077; ssh-to-age -private-key -i ~/.ssh/id_ed25519 >> ~/.config/sops/age/keys.txt)",
)
_SHOWN: Final = 6
_NOT_IN_ANCHORS: Final = re.compile(r"[^A-Za-z0-9_-]")


def is_generated(text: str) -> bool:
    """Say whether a ``.sops.yaml`` is one that we wrote."""
    return text.splitlines()[:1] == [MARKER]


def lists_files(text: str) -> bool:
    """Say whether it names files one by one, so that a new file may make it stale."""
    return _INCOMPLETE[0] in text.splitlines()


def converts_keys(text: str) -> bool:
    """Say whether ssh keys of users stand in it as age1…, for which sops wants the private keys converted, too."""
    return _CONVERTED[0] in text.splitlines()


def sops_config(registry: Registry, paths: Callable[[], Iterable[str]] = tuple) -> str:
    """Give the text for ``registry``; the same registry gives the same text.

    ``paths`` gives the files that exist; it is asked only where the rules meet in more ways than are worked out.
    """
    made = creation_rules(registry, paths)
    readers = [_readers(registry, rule) for rule in made.rules]
    names = _Anchors(registry, {key for one in readers for group in one.groups for key in group})
    lines = [*_HEADING, *(() if made.complete else _INCOMPLETE), *(_CONVERTED if names.converted else ())]
    lines += [*names.lines(), "creation_rules:"]
    for rule, one in zip(made.rules, readers, strict=True):
        lines.extend(_rule_lines(registry, rule, one, names))
    return "\n".join(lines) + "\n"


class _Readers(NamedTuple):
    """The fingerprints of each key group, and how many groups are needed; or why there are none."""

    groups: tuple[tuple[str, ...], ...] = ()
    threshold: int | None = None
    refusal: str = ""


def _readers(registry: Registry, rule: CreationRule) -> _Readers:
    if rule.outcome.clash:
        return _Readers(refusal="these contradict each other")
    wanted = readers_by_rules(registry, rule.origins[0])
    try:
        groups = wanted_groups(registry, wanted)
        threshold = wanted_threshold(wanted, len(groups))
    except RefusedInput as error:
        return _Readers(refusal=error.message)
    return _Readers(tuple(_ordered(registry, group) for group in groups), threshold)


def _ordered(registry: Registry, keys: Collection[str]) -> tuple[str, ...]:
    found = (key.fingerprint for one in registry.everyone() if one.reads for key in one.keys)
    return tuple(dict.fromkeys(key for key in found if key in keys))


class _Anchors:
    """A name for each recipient that the rules use. ``converted``: an ssh key of a user is among them, in another form."""

    def __init__(self, registry: Registry, used: Collection[str]) -> None:
        self._registry = registry
        self._names: dict[str, str] = {}
        self._recipients: dict[str, str] = {}
        self._lost: list[str] = []
        self.converted = False
        owners: dict[str, list[str]] = {}
        for one in registry.everyone():
            for key in one.keys if one.reads else ():
                if key.fingerprint in used and (text := self._recipient(one.name, key)) is not None:
                    self._recipients[key.fingerprint] = text
                    owners.setdefault(text, []).append(one.name)
                    # On hosts sops-nix converts the key itself.
                    self.converted |= text != key.text and one.name in registry.users
        self._owners = {text: tuple(dict.fromkeys(names)) for text, names in owners.items()}
        for text, names in self._owners.items():
            self._names[text] = self._free_name(names[0])

    def _recipient(self, owner: str, key: PublicKey) -> str | None:
        try:
            return key.derived
        except RefusedInput as error:
            self._lost.append(f"  # {owner} is left out: {error.message}")
            return None

    def _free_name(self, owner: str) -> str:
        # go-yaml reads letters, digits, - and _ in an anchor, and names of hosts have dots.
        base = _NOT_IN_ANCHORS.sub("_", owner)
        taken = set(self._names.values())
        number = 1
        name = base
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        return name

    def of(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Give the anchors of keys, each once."""
        found = (self._recipients.get(key) for key in keys)
        return tuple(dict.fromkeys(self._names[text] for text in found if text is not None))

    def lines(self) -> list[str]:
        """Give the list of keys, and who is left out of it."""
        named = _pending(self._registry)
        pending = [name for name in self._registry.hosts if name in named]
        left_out = [*self._lost, *(f"  # {name} has no key yet and is left out" for name in pending)]
        if not self._names:
            return [line.strip() for line in left_out]
        return ["keys:", *(self._line(text) for text in self._names), *left_out]

    def _line(self, text: str) -> str:
        owners = ", ".join(self._owners[text])
        anchor = self._names[text]
        return f"  - &{anchor} {text}" + ("" if owners == anchor else f" # {owners}")


def _pending(registry: Registry) -> frozenset[str]:
    return frozenset(
        name
        for number in range(len(registry.rules))
        for name in readers_by_rules(registry, (number,)).pending
    )


def _rule_lines(registry: Registry, rule: CreationRule, readers: _Readers, names: _Anchors) -> Iterator[str]:
    yield from _comments(registry, rule)
    groups = tuple(names.of(group) for group in readers.groups)
    refusal = readers.refusal or ("" if all(groups) else "there is no key for them")
    if refusal:
        # sops refuses a rule without keys, and a rule behind it would give the file to fewer or to the wrong ones.
        yield f"  # {refusal}: sops gets no key, and refuses"
    yield f"  - path_regex: {_scalar(rule.path_regex)}"
    outcome = rule.outcome
    if outcome.selection is not None:
        yield f"    {outcome.selection[0]}: {_scalar(outcome.selection[1])}"
    if outcome.mac_only:
        yield "    mac_only_encrypted: true"
    if refusal:
        return
    if readers.threshold is not None:
        yield f"    shamir_threshold: {readers.threshold}"
    yield "    key_groups:"
    for group in groups:
        yield "      - age:"
        for name in group:
            yield f"          - *{name}"


def _comments(registry: Registry, rule: CreationRule) -> Iterator[str]:
    """Say which rules of the registry a rule speaks for."""
    for origin in rule.origins[:_SHOWN]:
        yield f"  # {_origin([registry.rules[number].pattern for number in origin])}"
    if len(rule.origins) > _SHOWN:
        yield f"  # and {len(rule.origins) - _SHOWN} more"


def _origin(patterns: Sequence[str]) -> str:
    if not patterns:
        return "what no rule names: admins"
    # The longest pattern says most about where this is.
    ordered = sorted(dict.fromkeys(patterns), key=lambda pattern: (-len(pattern), pattern))
    shown = " + ".join(ordered[:_SHOWN])
    return shown if len(ordered) <= _SHOWN else f"{shown} + {len(ordered) - _SHOWN} more"


def _scalar(text: str) -> str:
    """Quote ``text`` for YAML: single quotes, where a backslash is itself, as far as they go."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_escaped(one) for one in text) + '"'


def _escaped(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    return one if one.isprintable() else f"\\U{ord(one):08x}"


__all__ = ["CONFIG_NAME", "MARKER", "converts_keys", "is_generated", "lists_files", "sops_config"]
