r"""Files of variables (format ``dotenv``) as their strictest readers take them: one line, one variable.

The readers of such files differ: Docker takes a line as it is, systemd and shells know quotes that go on over line
ends, and a backslash there. What is accepted here is one variable a line for all of them, so that no value can swallow
the next variable of one reader or add one for another. Values are read as systemd does (src/basic/env-file.c).
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[ \t]*+(?:export[ \t]++)?+([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+\Z")
_BLANKS: Final = " \t\r"
# Blanks, quoted parts; then a first character beyond quotes, from which on systemd takes quotes as they are.
_SINGLE: Final = re.compile(r"'([^']*+)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_ESCAPED: Final = re.compile(r'\\(["\\`$])')
_ANY_ESCAPED: Final = re.compile(r"\\(.)")
_BALANCED: Final = re.compile(r"""(?:[^'"\\]|\\.|'[^']*+'|"(?:[^"\\]|\\.)*+")*+\Z""")


class BadLine(Exception):  # no error of a user yet: who asks says which file it is
    """A line that is not one variable for all readers. ``why`` holds nothing of it."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def read_environment(text: str) -> dict[str, str]:
    """Return name → value of each variable, in order.

    Raises:
        BadLine: the first line that is not one variable, a comment or blank; a name that is there twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip(_BLANKS)
        if line.startswith("#"):
            if line.endswith("\\"):
                # systemd before 254 took the next line into the comment.
                raise BadLine(number, "a comment ends with a backslash")
            continue
        if not line:
            continue
        before, sign, after = line.partition("=")
        name = _NAME.match(before)
        if not sign or name is None:
            raise BadLine(number, "not NAME=value, a comment with '#' or blank")
        if name[1] in found:
            raise BadLine(number, "a variable is there twice")
        found[name[1]] = _value(number, after)
    return found


def _value(number: int, text: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in _BLANKS:
            at += 1
        elif text[at] in "'\"":
            kind = _SINGLE if text[at] == "'" else _DOUBLE
            quoted = kind.match(text, at)
            if quoted is None:
                raise BadLine(number, "quotes are not closed on their line")
            parts.append(quoted[1] if kind is _SINGLE else _ESCAPED.sub(r"\1", quoted[1]))
            at = quoted.end()
        else:
            parts.append(_beyond_quotes(number, text[at:]))
            break
    return "".join(parts)


def _beyond_quotes(number: int, text: str) -> str:
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise BadLine(number, "a backslash at the end of a line, which joins it to the next one")
    if not _BALANCED.match(text):
        # systemd takes them as they are; a shell reads on to the next one, lines below.
        raise BadLine(number, "quotes are not closed on their line")
    return _ANY_ESCAPED.sub(r"\1", text)


__all__ = ["BadLine", "read_environment"]
