"""The rules that a build keeps (``from = "build"``): one for each file that hosts declare, and all of them in one edit.

As in :mod:`secretsmith.policy.edit`, everything else in the registry stays byte for byte; so do, in these rules too, the comments
around the list of readers and the other fields. Linear, since a build may declare thousands of files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.registry import REGISTRY_NAME, Registry, parse_registry
from secretsmith.policy.rules import Rule
from secretsmith.policy.statements import Block, array_end, insert_block, newline_of, remove_block, scan
from secretsmith.record import record

_WIDE = 100


@record
class RuleChange:
    """What becomes of the build's rule of one file: who is added to it and who is taken off; ``gone`` with the rule itself."""

    path: str
    add: tuple[str, ...]
    remove: tuple[str, ...]
    gone: bool = False


def build_rule_changes(registry: Registry, wanted: Mapping[str, Collection[str]]) -> tuple[RuleChange, ...]:
    """Compare the rules that a build keeps with ``wanted``, which has the readers of each file; sorted by path."""
    known: dict[str, set[str]] = {}
    for rule in registry.rules:
        if rule.origin == "build":
            known.setdefault(rule.pattern, set()).update(rule.readers)
    found = []
    for path in sorted({*known, *wanted}):
        before, after = known.get(path, set()), set(wanted.get(path, ()))
        if before != after:
            found.append(
                RuleChange(path, tuple(sorted(after - before)), tuple(sorted(before - after)), not after)
            )
    return tuple(found)


def set_build_rules(text: str, wanted: Mapping[str, Collection[str]]) -> str:
    """Make the rules with ``from = "build"`` say what ``wanted`` says, and touch no other rule.

    A rule whose file is not wanted any more, or that another one says already, is removed; new ones come behind the last rule.

    Raises:
        RefusedInput: REG_SCHEMA for rules that are not written as ``[[rules]]``, and whatever the registry refuses of the result.
    """
    registry = parse_registry(text)
    blocks = {block.path: block for block in scan(text)}
    seen: set[str] = set()
    edits: list[tuple[int, Rule, bool]] = []
    for number, rule in enumerate(registry.rules):
        if rule.origin == "build":
            edits.append((number, rule, rule.pattern in seen or not wanted.get(rule.pattern)))
            seen.add(rule.pattern)
    # From the end on: the offsets of what comes before stay as they are.
    for number, rule, gone in reversed(edits):
        if gone:
            text = remove_block(text, _block_of(blocks, number))
        elif {*rule.readers} != {*wanted[rule.pattern]}:
            text = _with_readers(text, _block_of(blocks, number), number, wanted[rule.pattern])
    new = {path: readers for path, readers in sorted(wanted.items()) if readers and path not in seen}
    text = _with_rules(text, new)
    parse_registry(text)
    return text


def _block_of(blocks: Mapping[tuple[str | int, ...], Block], number: int) -> Block:
    block = blocks.get(("rules", number))
    if block is None:
        raise _inline()
    return block


def _inline() -> RefusedInput:
    return RefusedInput(
        Code.REG_SCHEMA,
        f"{REGISTRY_NAME}: a build only keeps rules that are written as [[rules]], and here they are one list",
        hints=("write each rule as a table of its own: [[rules]], path = …, readers = …",),
        path=REGISTRY_NAME,
    )


def _with_readers(text: str, block: Block, number: int, readers: Collection[str]) -> str:
    value = next(each.value for each in block.statements if each.path == ("rules", number, "readers"))
    lines = newline_of(text).join(_readers(readers))
    return text[:value] + lines + text[array_end(text, value) :]


def _with_rules(text: str, wanted: Mapping[str, Collection[str]]) -> str:
    if not wanted:
        return text
    blocks = scan(text)
    if any(each.path[:1] == ("rules",) for block in blocks if not block.path for each in block.statements):
        raise _inline()
    related = [block for block in blocks if block.path[:1] == ("rules",)]
    lines = [line for path, readers in wanted.items() for line in ("", *_rule(path, readers))]
    return insert_block(text, related[-1] if related else None, lines[1:])


def _rule(path: str, readers: Collection[str]) -> Iterator[str]:
    first, *more = _readers(readers)
    yield from ("[[rules]]", f"path = {_quoted(path)}", f"readers = {first}", *more, 'from = "build"')


def _readers(readers: Collection[str]) -> list[str]:
    """Spell a list of names: on one line, or with many of them on a line each, so that a diff shows who came and went."""
    names = [_quoted(name) for name in sorted(readers)]
    line = f"[{', '.join(names)}]"
    return [line] if len(line) <= _WIDE else ["[", *(f"  {name}," for name in names), "]"]


def _quoted(text: str) -> str:
    # A JSON string is a TOML one: paths that are patterns, and names, hold nothing that the two would write differently.
    return json.dumps(text, ensure_ascii=False)


__all__ = ["RuleChange", "build_rule_changes", "set_build_rules"]
