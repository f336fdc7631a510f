"""What a host answers, made safe to use: whoever has taken it over may answer anything, of any size, and nothing at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from secretsmith.record import field, record

_MAX_TEXT: Final = 400
_MAX_NUMBER: Final = 10**9


@record
class Facts:
    """What a host says of itself: none of it is trusted further than this host's own deploy goes."""

    root: bool
    python: tuple[int, int]
    machine: str
    libc: tuple[str, str]
    version: str | None
    current: int | None
    following: int
    digest: str | None
    venvs: tuple[str, ...]
    live: Mapping[str, Any] = field(default_factory=dict)


def read_answer(line: bytes) -> dict[str, Any] | None:
    """Return the message of a line, None when it is none."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):  # a line full of [ is valid as far as it goes
        return None
    return answer if isinstance(answer, dict) else None


def python_of(hello: Mapping[str, Any]) -> tuple[int, int]:
    """Return the host's Python; ValueError for anything but two small numbers."""
    found = hello.get("python")
    if not isinstance(found, list) or len(found) != 2:
        raise ValueError("no version")
    return _number(found[0], 0, 99), _number(found[1], 0, 99)


def facts_of(hello: Mapping[str, Any]) -> Facts:
    """Return what a hello says; ValueError for what no hello says."""
    libc, venvs, current = hello.get("libc"), hello.get("venvs"), hello.get("current")
    live = hello.get("live", {})
    if not isinstance(libc, list) or len(libc) != 2 or not isinstance(venvs, list):
        raise ValueError("not a list")
    if not isinstance(live, dict):
        raise ValueError("not an object")
    return Facts(
        hello.get("uid") == 0,
        python_of(hello),
        _text(hello.get("machine")),
        (_text(libc[0]), _text(libc[1])),
        _perhaps_text(hello.get("version")),
        None if current is None else _number(current, 1, _MAX_NUMBER),
        _number(hello.get("next"), 1, _MAX_NUMBER),
        _perhaps_text(hello.get("digest")),
        tuple(_text(name) for name in venvs),
        live,
    )


def clipped(text: object) -> str:
    """Return what a host or ssh says, short enough for one line of an error."""
    words = str(text)
    return words if len(words) <= _MAX_TEXT else f"{words[:_MAX_TEXT]}…"


def _number(value: object, least: int, most: int) -> int:
    # True is an int too, and a float may be infinite.
    if type(value) is not int or not least <= value <= most:
        raise ValueError("no such number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError("no such text")
    return value


def _perhaps_text(value: object) -> str | None:
    return None if value is None else _text(value)


__all__ = ["Facts", "clipped", "facts_of", "python_of", "read_answer"]
