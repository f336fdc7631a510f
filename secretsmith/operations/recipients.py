"""The recipients of a sops document, group by group: those that the file has, and those that it is to have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from secretsmith.crypto.publickey import Form, KeyKind, PublicKey, parse_public_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.drift import named_keys
from secretsmith.policy.keygroups import wanted_groups
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.record import record, replace

Spell = Callable[[PublicKey, Form], str]
"""Writes a new recipient as text."""


@record
class Entry:
    """One recipient: the fingerprints that the registry has for it, or what an unknown one is called."""

    text: str
    keys: frozenset[str]
    unknown: str = ""


def entry_of(registry: Registry, wanted: Wanted, text: str) -> Entry:
    """Return what the registry knows of a recipient in a file; among keys it can stand for, those ``wanted``."""
    keys, unknown = named_keys(registry, text, wanted.keys)
    return Entry(text, keys, unknown)


def held_by(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the fingerprints of all registered keys among the recipients of a group."""
    return frozenset(key for entry in entries for key in entry.keys)


def opening_alone(registry: Registry, groups: Sequence[Iterable[Entry]], needed: int) -> frozenset[str]:
    """Return who is in so many groups as are needed: who opens the document without anybody's help."""
    opened = Counter(
        name
        for group in groups
        for name in {use.principal for key in held_by(group) for use in registry.key_owner(key)}
    )
    return frozenset(name for name, count in opened.items() if count >= needed)


def kept_groups(
    path: str,
    present: Sequence[Sequence[Entry]],
    held: Sequence[bool],
    wanted: Wanted,
    *,
    drop_unknown: bool,
) -> list[list[Entry]]:
    """Return who stays in groups that no rule describes: who is wanted, and all when nobody else would be left.

    ``held`` are the groups that a key service opens as well.
    """
    found = []
    for number, (entries, also) in enumerate(zip(present, held, strict=True), start=1):
        staying = [entry for entry in entries if entry.keys & wanted.keys.keys()]
        if not staying and not also:
            staying = [entry for entry in entries if entry.keys]
        if not staying and not also and drop_unknown:
            raise RefusedInput(
                Code.RECIPIENT_MISSING,
                f"{path}: nobody would be left in its key group {number}, which no rule describes",
                hints=("say who belongs there: key_groups = [[…], […]] in its rule in secretsmith.toml",),
                path=path,
            )
        found.append(staying)
    return found


def ruled_groups(
    registry: Registry,
    present: Sequence[Sequence[Entry]],
    wanted: Wanted,
    form: Form | None,
    spell: Spell,
) -> list[list[Entry]]:
    """Return the groups of the rules, each key with the recipient text that the file has for it."""
    new_form = form or _form_of(registry, present)
    groups = _aligned(wanted_groups(registry, wanted), [held_by(group) for group in present])
    same = len(groups) == len(present)
    sources = present if same else [[entry for group in present for entry in group]] * len(groups)
    return [
        _filled(registry, entries, keys, form, lambda key: spell(key, new_form))
        for entries, keys in zip(sources, groups, strict=True)
    ]


def _filled(
    registry: Registry,
    entries: Iterable[Entry],
    keys: Mapping[str, PublicKey],
    form: Form | None,
    spell: Callable[[PublicKey], str],
) -> list[Entry]:
    """Return the recipients of a group: of those who stay as they are in the file, then the new ones."""
    staying = [
        formed(registry, replace(entry, keys=entry.keys & keys.keys()), form)
        for entry in entries
        if entry.keys & keys.keys()
    ]
    held = held_by(staying)
    new = [Entry(spell(keys[key]), frozenset({key})) for key in sorted(keys) if key not in held]
    return [*staying, *new]


def formed(registry: Registry, entry: Entry, form: Form | None) -> Entry:
    """Return the recipient in ``form``; its text stays when it has that form already, or none is asked for."""
    if form is None:
        return entry
    texts = [use.key.recipient(form) for key in sorted(entry.keys) for use in registry.key_owner(key)[:1]]
    if not texts or parse_public_key(entry.text).text in texts:
        return entry
    return replace(entry, text=texts[0])


def _form_of(registry: Registry, groups: Iterable[Iterable[Entry]]) -> Form:
    """Return the form of ed25519 keys that are added: native only where every one in the file is."""
    found = {
        Form.NATIVE if entry.text.startswith("ssh-") else Form.DERIVED
        for group in groups
        for entry in group
        for key in entry.keys
        if any(use.key.kind is KeyKind.ED25519 for use in registry.key_owner(key))
    }
    return Form.NATIVE if found == {Form.NATIVE} else Form.DERIVED


def _aligned(
    wanted: list[dict[str, PublicKey]], present: Sequence[frozenset[str]]
) -> list[dict[str, PublicKey]]:
    """Return the wanted groups in the order of the file's groups that are most like them: order means nothing."""
    if len(wanted) != len(present) or len(wanted) == 1:
        return wanted
    pairs = sorted(
        (len(keys.keys() ^ held), place, number)
        for number, keys in enumerate(wanted)
        for place, held in enumerate(present)
    )
    placed: dict[int, int] = {}
    for _, place, number in pairs:
        if place not in placed and number not in placed.values():
            placed[place] = number
    return [wanted[placed[place]] for place in range(len(present))]


__all__ = ["Entry", "Spell", "entry_of", "formed", "held_by", "kept_groups", "opening_alone", "ruled_groups"]
