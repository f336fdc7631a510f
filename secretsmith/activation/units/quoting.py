"""Paths of a manifest as values in unit files (systemd.syntax(7)).

Settings differ in what a backslash or a quote means to them, so a path with either is refused rather than guessed at.
"""

from __future__ import annotations

import re

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Scope

_PLAIN = re.compile(r"[A-Za-z0-9/._@%+:,=~-]*\Z")
_UNSAFE = re.compile(r"[\\\"\x00-\x1f\x7f-\x9f]")
_VARIABLES = (("$XDG_RUNTIME_DIR/", "%t/"), ("$HOME/", "%h/"))


def whole(path: str, scope: Scope = Scope.SYSTEM) -> str:
    """Return ``path`` as the whole value of a setting, such as ``PathChanged=``; ``$HOME`` is ``%h`` in scope user.

    Raises:
        RefusedInput: UNITS, systemd could not be told of such a path.
    """
    # A blank at the end is cut off, one at the beginning cannot be: it is an absolute path.
    if _UNSAFE.search(path) or path != path.rstrip():
        raise RefusedInput(
            Code.UNITS,
            f"{path!a} cannot be written into a unit: it has quotes, backslashes, control characters or a blank at its end",
            hints=("name the file otherwise",),
            path=path,
        )
    if scope is Scope.USER:
        for variable, specifier in _VARIABLES:
            if path.startswith(variable):
                return specifier + path.removeprefix(variable).replace("%", "%%")
    return path.replace("%", "%%")


def word(path: str, scope: Scope = Scope.SYSTEM, *, prefix: str = "") -> str:
    """Return ``path`` as one word of a list, such as ``ReadWritePaths=``; ``prefix`` is ``-`` for one that may be missing."""
    text = prefix + whole(path, scope)
    return text if _PLAIN.match(text) else f'"{text}"'


def argument(path: str) -> str:
    """Return ``path`` as one word of a command line, where ``$`` would begin a variable."""
    return word(path).replace("$", "$$")


__all__ = ["argument", "whole", "word"]
