"""Groups: add members, remove them, remove the whole group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.changes import Changed, RekeyChoice, change_registry
from secretsmith.policy import edit
from secretsmith.policy.lock import DebtReason
from secretsmith.policy.membership import expand
from secretsmith.policy.principals import NAME_RULE, is_name
from secretsmith.policy.registry import Registry
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.project import Project
from secretsmith.record import record


@record
class GroupChanged:
    """``members`` are the words that came or went; ``left`` is what the group holds now, None when it is gone."""

    changed: Changed
    name: str
    members: tuple[str, ...]
    left: tuple[str, ...] | None


@record
class GroupRow:
    """A group: ``members`` as written, ``principals`` the users and hosts that are in it in the end."""

    name: str
    members: tuple[str, ...]
    principals: tuple[str, ...]


def add_to_group(
    project: Project, name: str, members: Sequence[str], *, rekey: RekeyChoice | None = None
) -> GroupChanged:
    """Make the group ``name``, or add ``members`` (names, or ``@`` and a group) to it.

    ``rekey`` as in :func:`change_registry`.

    Raises:
        NotFound: REG_UNKNOWN, nobody of that name. RefusedInput: NAME, REG_CYCLE.
    """
    name = group_name(name)
    new: list[str] = []

    def change(registry: Registry, text: str) -> str:
        before = registry.groups.get(name, ())
        for word in members:
            check_word(registry, word)
        new.extend(word for word in dict.fromkeys(members) if word not in before)
        return edit.add_group(text, name, members) if new or name not in registry.groups else text

    changed = change_registry(project, change, rekey=rekey)
    return GroupChanged(changed, name, tuple(new), changed.project.registry.groups.get(name))


def remove_from_group(
    project: Project, name: str, members: Sequence[str] = (), *, rekey: RekeyChoice | None = None
) -> GroupChanged:
    """Take ``members`` out of a group; without any, remove the group, which nothing may name any more.

    ``rekey`` as in :func:`change_registry`.

    Raises:
        NotFound: no such group, or somebody is no member of it.
        RefusedInput: a rule or another group still names it (REG_UNKNOWN), or would have nobody left (REG_EMPTY).
    """
    name = group_name(name)
    gone: list[str] = []

    def change(registry: Registry, text: str) -> str:
        before = _known_group(registry, name)
        if not members:
            gone.extend(before)
            _refuse_named(registry, name)
            return edit.remove_group(text, name)
        for word in members:
            if word not in before:
                raise NotFound(
                    Code.NOT_FOUND,
                    f"{shown(word)} is no direct member of @{name}",
                    hints=(*did_you_mean(word, before), f"@{name} holds {', '.join(before) or 'nobody'}"),
                )
        gone.extend(dict.fromkeys(members))
        return edit.remove_from_group(text, name, members)

    def losing(before: Registry) -> Mapping[str, DebtReason]:
        return dict.fromkeys(expand(gone, before.groups), "left-group")

    changed = change_registry(project, change, losing=losing, rekey=rekey)
    return GroupChanged(changed, name, tuple(gone), changed.project.registry.groups.get(name))


def group_rows(registry: Registry) -> tuple[GroupRow, ...]:
    """Return the groups in the order of the registry."""
    return tuple(
        GroupRow(name, words, tuple(sorted(expand(words, registry.groups))))
        for name, words in registry.groups.items()
    )


def group_name(name: str) -> str:
    """Return the name of a group, given with or without the ``@``; RefusedInput NAME."""
    bare = name.removeprefix("@")
    if not is_name(bare):
        raise RefusedInput(Code.NAME, f"{shown(bare)} cannot name a group", hints=(NAME_RULE,))
    return bare


def check_word(registry: Registry, word: str, *, leaving: bool = False) -> None:
    """Raise NotFound for a word that names no user, host or ``@group`` (REG_UNKNOWN), with the nearest one or the next command.

    Whoever is ``leaving`` need not be registered first.
    """
    if word.startswith("@"):
        if word[1:] not in registry.groups:
            hints = did_you_mean(word, [f"@{group}" for group in registry.groups])
            new = f"make it: secretsmith group add {word[1:]} MEMBER…" if is_name(word[1:]) else NAME_RULE
            new = "secretsmith group list" if leaving else new
            raise NotFound(Code.REG_UNKNOWN, f"no group is called {shown(word)}", hints=(*hints, new))
        return
    if word in registry.users or word in registry.hosts:
        return
    if word in registry.groups:
        raise NotFound(Code.REG_UNKNOWN, f"{word} is a group", hints=(f"write '@{word}'",))
    hints = did_you_mean(
        word, [*registry.users, *registry.hosts, *(f"@{group}" for group in registry.groups)]
    )
    new = f"register it: secretsmith host add {word} --key … (or user add)" if is_name(word) else NAME_RULE
    new = "secretsmith user list and secretsmith host list show all" if leaving else new
    raise NotFound(Code.REG_UNKNOWN, f"no user or host is called {shown(word)}", hints=(*hints, new))


def _known_group(registry: Registry, name: str) -> tuple[str, ...]:
    if name not in registry.groups:
        raise NotFound(
            Code.NOT_FOUND,
            f"no group is called {shown(name)}",
            hints=(*did_you_mean(name, registry.groups), "secretsmith group list"),
        )
    return registry.groups[name]


def _refuse_named(registry: Registry, name: str) -> None:
    word = f"@{name}"
    hints = [
        f"secretsmith revoke '{rule.pattern}' --from {word}"
        for rule in registry.rules
        if word in rule.readers
    ]
    hints += [
        f"secretsmith group remove {group} {word}"
        for group, words in registry.groups.items()
        if word in words
    ]
    if hints:
        raise RefusedInput(Code.REG_UNKNOWN, f"{word} is still named, and cannot go", hints=hints)


__all__ = [
    "GroupChanged",
    "GroupRow",
    "add_to_group",
    "check_word",
    "group_name",
    "group_rows",
    "remove_from_group",
]
