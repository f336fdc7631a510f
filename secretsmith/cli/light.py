"""The quick door: argv to parameters without typer, for exactly valid argument lists.

typer costs more than most commands do. Whatever is not plainly valid (``--help``, mistakes, spellings that could be read
in two ways) is None here and goes to ``typed.py``, which knows how to explain. So the law between the two doors is: the
light one agrees with typer, or it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from secretsmith.cli.parameters import Kind, Parameter, build, described
from secretsmith.cli.table import GROUPS, Command, Invocation, find_command
from secretsmith.errors import RefusedInput


def parse(argv: Sequence[str]) -> Invocation | None:
    """Read the words after the program's name; None when typer has to look at them."""
    words = list(argv)
    directory = None
    if words[:1] == ["-C"]:
        if len(words) < 2 or not words[1] or words[1].startswith("-"):
            return None
        directory, words = words[1], words[2:]
    length = 2 if words and words[0] in GROUPS and find_command(tuple(words[:2])) else 1
    command = find_command(tuple(words[:length]))
    if command is None:
        return None
    known = described(command.parameters)
    raw = read_arguments(known, words[length:])
    if raw is None:
        return None
    try:
        given = build(command.parameters, known, raw)
    except RefusedInput:
        return None  # typer's door raises it again, behind its own checks
    return Invocation(command, given, directory)


def read_arguments(known: Sequence[Parameter], words: Sequence[str]) -> dict[str, Any] | None:
    """Read the words after the command: field name to str, list of str or bool; None for anything unclear."""
    by_name = {name: parameter for parameter in known for name in (*parameter.names, *parameter.off)}
    raw: dict[str, Any] = {}
    places: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            places.extend(rest)
        elif word == "-" or not word.startswith("-"):
            places.append(word)
        else:
            name, equals, value = word.partition("=")
            parameter = by_name.get(name)
            if parameter is None or not _take(parameter, name, value if equals else None, rest, raw):
                return None
    if not _place(known, places, raw) or any(p.required and p.field not in raw for p in known):
        return None
    return raw


def _take(
    parameter: Parameter, name: str, value: str | None, rest: Iterable[str], raw: dict[str, Any]
) -> bool:
    """Store one named parameter; False when it is not plainly valid."""
    if parameter.kind is not Kind.OPTIONS and parameter.field in raw:
        return False  # given twice: typer's business
    if parameter.kind in (Kind.FLAG, Kind.SWITCH):
        raw[parameter.field] = name in parameter.names
        return value is None
    if value is None:
        value = next(iter(rest), None)
        # "--to --rekey" may be a forgotten value; "-" alone is standard input.
        if value is None or (value.startswith("-") and value != "-"):
            return False
    if parameter.kind is Kind.OPTIONS:
        raw.setdefault(parameter.field, []).append(value)
    else:
        raw[parameter.field] = value
    return True


def _place(known: Sequence[Parameter], places: list[str], raw: dict[str, Any]) -> bool:
    """Give the positional words to their parameters; False when one is left over."""
    left = places
    for parameter in known:
        if parameter.kind is Kind.ARGUMENT and left:
            raw[parameter.field], left = left[0], left[1:]
        elif parameter.kind is Kind.MANY and left:
            raw[parameter.field], left = left, []
    return not left


def format_arguments(command: Command, given: Any) -> list[str]:
    """Return words that the doors read as ``given``: the inverse of parsing, for hints and tests."""
    named: list[str] = []
    places: list[str] = []
    for parameter in described(command.parameters):
        value = getattr(given, parameter.field)
        if value == parameter.default and not parameter.required:
            continue
        if parameter.positional:
            places.extend(value if parameter.repeats else [value])
        elif parameter.kind in (Kind.FLAG, Kind.SWITCH):
            named.append(parameter.names[0] if value else parameter.off[0])
        else:
            named.extend(f"{parameter.names[0]}={text}" for text in (value if parameter.repeats else [value]))
    marker = ["--"] if any(place.startswith("-") for place in places) else []
    return [*command.path, *named, *marker, *places]


__all__ = ["format_arguments", "parse", "read_arguments"]
