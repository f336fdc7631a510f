"""Grant and revoke: who the rule with a pattern names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.changes import Changed, RekeyChoice, change_registry
from secretsmith.operations.groups import check_word
from secretsmith.operations.managed import managed_files
from secretsmith.operations.readers import wanted_by
from secretsmith.policy import edit
from secretsmith.policy.lock import DebtReason
from secretsmith.policy.membership import expand
from secretsmith.policy.patterns import PatternSet, check_pattern
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import matching_rules
from secretsmith.policy.words import shown
from secretsmith.project import Project
from secretsmith.record import record


@record
class Granted:
    """``readers`` are the principals meant, ``notes`` what is odd about the grant."""

    changed: Changed
    readers: tuple[str, ...]
    notes: tuple[str, ...]


@record
class StillReads:
    """Somebody who reads on: what (a path or one of the patterns), why, and the commands that would change it."""

    name: str
    path: str
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@record
class Revoked:
    """``still`` are those who read on all the same; ``removed`` are rules that had nobody left."""

    changed: Changed
    readers: tuple[str, ...]
    removed: tuple[str, ...]
    still: tuple[StillReads, ...]


def grant(
    project: Project, patterns: Sequence[str], words: Sequence[str], *, rekey: RekeyChoice | None = None
) -> Granted:
    """Let ``words`` (names, or ``@`` and a group) read what matches ``patterns``.

    ``rekey`` as in :func:`change_registry`.

    Raises:
        NotFound: REG_UNKNOWN, nobody of that name.
        RefusedInput: REG_RULES, not a pattern; USAGE, nobody named.
    """
    _refuse_nobody(words, "--to")
    for pattern in patterns:
        check_pattern(pattern)

    def change(registry: Registry, text: str) -> str:
        for word in words:
            check_word(registry, word)
        return edit.grant(text, patterns, words)

    changed = change_registry(project, change, rekey=rekey)
    registry = changed.project.registry
    readers = tuple(expand(words, registry.groups))
    return Granted(changed, readers, tuple(_grant_notes(changed.project, patterns, readers)))


def _refuse_nobody(words: Sequence[str], flag: str) -> None:
    if not words:
        raise RefusedInput(
            Code.USAGE, f"nobody named: {flag} is missing", hints=(f"add {flag} NAME or {flag} @GROUP",)
        )


def _grant_notes(project: Project, patterns: Sequence[str], readers: Sequence[str]) -> Iterator[str]:
    registry = project.registry
    for name in readers:
        principal = registry.principal(name)
        if not principal.reads:
            yield f"{name} is {principal.status}, and reads nothing"
        elif not principal.keys:
            yield f"{name} has no key yet: secretsmith host add {name} --key …"
    folder = "" if registry.secrets == "." else f"{registry.secrets}/"
    for pattern in patterns:
        if not pattern.startswith((folder, "*", "?")):
            yield f"'{pattern}' matches nothing below {folder}: did you mean '{folder}{pattern}'?"


def revoke(
    project: Project, patterns: Sequence[str], words: Sequence[str], *, rekey: RekeyChoice | None = None
) -> Revoked:
    """Take ``words`` off the rules with exactly these patterns, and say who reads on all the same.

    ``rekey`` as in :func:`change_registry`.

    Raises:
        NotFound: no rule has that pattern; REG_UNKNOWN, nobody of that name.
        RefusedInput: USAGE, nobody named.
    """
    _refuse_nobody(words, "--from")
    removed: list[str] = []

    def change(registry: Registry, text: str) -> str:
        for word in words:
            check_word(registry, word, leaving=True)
        _refuse_other_pattern(registry, patterns, words)
        removed.extend(
            rule.pattern
            for rule in registry.rules
            if rule.pattern in patterns and {*rule.readers} <= {*words}
        )
        return edit.revoke(text, patterns, words)

    def losing(before: Registry) -> Mapping[str, DebtReason]:
        return dict.fromkeys(expand(words, before.groups), "revoked")

    changed = change_registry(project, change, losing=losing, rekey=rekey)
    readers = tuple(expand(words, changed.project.registry.groups))
    still = tuple(_still_reading(changed.project, patterns, readers))
    return Revoked(changed, readers, tuple(dict.fromkeys(removed)), still)


def _refuse_other_pattern(registry: Registry, patterns: Sequence[str], words: Sequence[str]) -> None:
    """Where no rule has the pattern, name the rules by which it is read (edit.revoke knows only similar spellings)."""
    for pattern in patterns:
        if any(rule.pattern == pattern for rule in registry.rules):
            continue
        names = {*words, *expand(words, registry.groups)}
        others = [
            rule.pattern
            for rule in matching_rules(registry, _example(pattern))
            if names & {*rule.readers, *expand(rule.readers, registry.groups)}
        ]
        if others:
            raise NotFound(
                Code.NOT_FOUND,
                f"no rule has the pattern {shown(pattern)}; it is read through {', '.join(others)}",
                hints=[f"secretsmith revoke '{other}' --from {','.join(words)}" for other in others],
            )


def _example(pattern: str) -> str:
    """Return a path that the pattern matches."""
    return pattern.replace("**", "*").replace("*", "x").replace("?", "x")


def _still_reading(project: Project, patterns: Sequence[str], readers: Sequence[str]) -> Iterator[StillReads]:
    matching: Callable[[str], bool] = _matcher(patterns)
    paths = {path: path for path in managed_files(project) if matching(path)}
    paths |= {_example(pattern): pattern for pattern in patterns}
    for name in readers:
        found: dict[str, str] = {}
        for path, label in paths.items():
            for reason in wanted_by(project, path).why.get(name, ()):
                found.setdefault(reason, label)
        if found:
            remedies = [_remedy(project.registry, name, reason) for reason in found]
            yield StillReads(name, next(iter(found.values())), tuple(found), tuple(dict.fromkeys(remedies)))


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    matching = PatternSet(tuple(patterns)).matching
    return lambda path: bool(matching(path))


def _remedy(registry: Registry, name: str, reason: str) -> str:
    """Return the command that would end one reason of :attr:`Wanted.why`."""
    if reason == "admin":
        return f"{name} is admin: secretsmith user remove {name}, or take admin off in secretsmith.toml"
    rule, _, through = reason.removeprefix("rule ").partition(": group ")
    if not through:
        return f"secretsmith revoke '{rule}' --from {name}"
    innermost = through.split(", group ")[-1]
    return f"secretsmith group remove {innermost} {name}"


__all__ = ["Granted", "Revoked", "StillReads", "grant", "revoke"]
