r"""Nested metadata in formats without nesting: dotenv and ini.

``age: [{enc: …}]`` becomes ``age__list_0__map_enc``. Line ends become the two characters ``\n``.
Source: sops, stores/flatten.go (Flatten, Unflatten, EncodeNewLines, DecodeNewLines).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from secretsmith.errors import Code, RefusedInput

_SEPARATOR = re.compile(r"__(map|list)_")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_MAX_DEPTH: Final = 16

_Branch = dict[str | int, Any]


def flatten(metadata: Mapping[str, Any], *, prefix: str = "", like: Iterable[str] = ()) -> dict[str, str]:
    """Give every value of ``metadata`` under its flat name, as text; nulls and what is empty have none.

    Sorted, as sops writes dotenv; but names that are in ``like`` stay in that order, and others go after
    the name that sorts before them: for a block that exists already, in whatever order.

    Raises:
        RefusedInput: FORMAT when two values get one name.
    """
    found: dict[str, str] = {}
    for name, text in _leaves(metadata, ""):
        if name in found:
            raise RefusedInput(Code.FORMAT, "two entries of the sops metadata have the same flat name")
        found[name] = text
    return {prefix + name: found[name] for name in _arranged(found, prefix, like)}


def _arranged(found: Mapping[str, str], prefix: str, like: Iterable[str]) -> list[str]:
    names = [name.removeprefix(prefix) for name in like]
    kept = {name: None for name in names if name in found}
    ranked = sorted(kept)
    following: dict[str, list[str]] = {}
    for name in sorted(found.keys() - kept.keys()):
        rank = bisect.bisect(ranked, name)
        following.setdefault(ranked[rank - 1] if rank else "", []).append(name)
    return [*following.get("", ()), *(each for name in kept for each in (name, *following.get(name, ())))]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(below, f"{name}__map_{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from _leaves(below, f"{name}__list_{index}")
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value).replace("\n", "\\n")


def unflatten(flat: Mapping[str, str], *, prefix: str = "") -> dict[str, Any]:
    """Give the nested form of ``flat``: all its values as text, with their line ends.

    Names without ``prefix`` are passed over.

    Raises:
        RefusedInput: FORMAT for names that do not make a tree: a list with gaps, a value with entries.
    """
    root: _Branch = {}
    for name, text in flat.items():
        if name.startswith(prefix):
            _place(root, _segments(name[len(prefix) :]), text.replace("\\n", "\n"))
    return {str(key): _converted(value) for key, value in root.items()}


def _segments(name: str) -> list[str | int]:
    parts = _SEPARATOR.split(name)
    segments: list[str | int] = [parts[0]]
    for separator, part in zip(parts[1::2], parts[2::2], strict=True):
        if separator == "list" and _INDEX.fullmatch(part) is None:
            raise _no_tree()
        segments.append(int(part) if separator == "list" else part)
    if len(segments) > _MAX_DEPTH:
        raise _no_tree()
    return segments


def _place(root: _Branch, segments: list[str | int], text: str) -> None:
    branch = root
    for segment in segments[:-1]:
        below = branch.setdefault(segment, {})
        if not isinstance(below, dict):
            raise _no_tree()
        branch = below
    if segments[-1] in branch:
        raise _no_tree()
    branch[segments[-1]] = text


def _converted(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    places = [key for key in value if isinstance(key, int)]
    if not places:
        return {key: _converted(below) for key, below in value.items()}
    if set(value) != set(range(len(value))):
        raise _no_tree()
    return [_converted(value[place]) for place in range(len(value))]


def _no_tree() -> RefusedInput:
    return RefusedInput(Code.FORMAT, "the names of the sops metadata do not make a tree")


__all__ = ["flatten", "unflatten"]
