"""Which line of a TOML text holds a table or a key; ``tomllib`` does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

_BASIC, _LITERAL = r'"(?:\\.|[^"\\\n])*"', r"'[^'\n]*'"
_KEY = re.compile(rf"((?:[A-Za-z0-9_. \t-]|{_BASIC}|{_LITERAL})++)=")
# Strings of several lines, and what could hide their quotes: comments and strings of one line (TOML 1.0, "String").
_MANY_BASIC, _MANY_LITERAL = r"\x22{3}(?:\\.|[^\\])*?\x22{3,5}", r"\x27{3}.*?\x27{3,5}"
_TOKEN = re.compile(rf"{_MANY_BASIC}|{_MANY_LITERAL}|#[^\n]*|{_BASIC}|{_LITERAL}", re.DOTALL)

Place = tuple[str, ...]


def places(text: str) -> Mapping[Place, int]:
    """Return the line (1-based) of every table and key in ``text``, which is valid TOML; the first one counts."""
    found: dict[Place, int] = {}
    table: Place = ()
    for number, line in _code_lines(text):
        if line.lstrip().startswith("["):
            if header := _parsed(line):
                table = header
                found.setdefault(table, number)
        elif (match := _KEY.match(line)) and (key := _parsed(match[1] + " = 0")):
            for depth in range(1, len(key) + 1):
                found.setdefault((*table, *key[:depth]), number)
    return found


def line_of(found: Mapping[Place, int], place: Place) -> int:
    """Return the line of ``place``, else of the nearest thing around it, else 1."""
    for depth in range(len(place), 0, -1):
        if place[:depth] in found:
            return found[place[:depth]]
    return 1


def _code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that do not begin inside a multi-line string, with their numbers."""
    number = 1
    # A NUL, which no TOML text holds, takes the place of a newline inside a string.
    for line in _TOKEN.sub(lambda token: token[0].replace("\n", "\0"), text).split("\n"):
        yield number, line
        number += 1 + line.count("\0")


def _parsed(line: str) -> Place | None:
    """The path that one header or key line speaks of, by TOML's own rules."""
    try:
        tree: object = tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    path: list[str] = []
    while isinstance(tree, dict) and tree:
        name, tree = next(iter(tree.items()))
        path.append(name)
        if isinstance(tree, list) and tree:  # [[an array of tables]]
            tree = tree[0]
    return tuple(path)


__all__ = ["Place", "line_of", "places"]
