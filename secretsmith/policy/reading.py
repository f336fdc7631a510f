"""Reading the tables of a TOML text strictly: types, unknown keys, and the place of whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.positions import KeyPath, Positions, line_column
from secretsmith.policy.words import did_you_mean, is_private, shown

MAX_REGISTRY = 3 * 1024 * 1024
"""Characters of a registry: more than 20,000 hosts."""

MAX_MARKS = 150_000
"""How often ``= , [ {`` and a backslash may occur. Each costs up to 10 µs in tomllib and in finding places; a
host has five to ten."""

_MAX_TABLES = 40_000  # headers, or dotted keys, at 30 µs each
# tomllib is quadratic in the parts of a dotted key (2,000 parts 0.1 s, 20,000 parts 10 s), and takes 30
# µs for a short one. Strings and comments are passed over, so that dots in them do not count; what is not
# closed runs to the end, where tomllib complains, instead of being looked at again from every quote in
# it.
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\\\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_KEYS = re.compile(
    rf"""\#[^\n]*+|(?P<dotted>{_PART}(?P<deep>(?:{_PART}){{2}})?)|[A-Za-z0-9_-]++
    |\"\"\"(?:[^\\"]|\\[\s\S]|"(?!""))*+(?:"{{3,5}}|\Z)|'''(?:[^']|'(?!''))*+(?:'{{3,5}}|\Z)
    |"(?:[^"\\\n]|\\.)*+(?:"|$)|'[^'\n]*+(?:'|$)""",
    re.VERBOSE | re.MULTILINE,
)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_TWICE = re.compile(r"Cannot declare \((.*)\) twice")
_NAMES = re.compile(r"'([^']*)'")
_LONG_NUMBER = re.compile(r"[0-9_]{1000}")

_KINDS: Mapping[type, str] = {
    str: "a quoted string",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "a table",
}


class Source:
    """A TOML text with its name; places are looked up only when an error or a warning needs one."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    @cached_property
    def positions(self) -> Positions:
        """The places of all keys; only for a text that tomllib accepts."""
        return Positions(self.text)

    def place(self, path: KeyPath) -> str:
        """Name the place of ``path`` as ``file:line:column``."""
        line, column = self.positions.line_column(path)
        return f"{self.name}:{line}:{column}"

    def refuse(self, code: Code, path: KeyPath, message: str, *hints: str) -> RefusedInput:
        """Make the error that says ``message`` of the place ``path``."""
        return RefusedInput(code, f"{self.place(path)}: {message}", hints=hints, path=self.name)

    def refuse_again(self, error: RefusedInput, path: KeyPath, about: str) -> RefusedInput:
        """Make the error that says of ``path`` and ``about`` what ``error`` says of a bare word."""
        return self.refuse(error.code, path, f"{about}: {error.message}", *error.hints)

    def load(self) -> dict[str, Any]:
        """Parse the text as TOML 1.0. Raises ``RefusedInput`` (REG_SYNTAX, TOO_BIG) with line and column."""
        # Imported here: the modules of light commands import this one for its types and errors only.
        import tomllib

        if len(self.text) > MAX_REGISTRY or self._marks() > MAX_MARKS:
            raise self._too_big()
        self._check_keys()
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise self._decode_error(str(error)) from None
        except RecursionError:
            raise self._syntax("brackets are nested too deeply", 0) from None
        except ValueError:  # a number with more digits than Python converts
            number = _LONG_NUMBER.search(self.text)
            raise self._syntax("a number is too long", number.start() if number else 0) from None

    def _marks(self) -> int:
        return max(sum(map(self.text.count, "=,[{\\")), self.text.count("\n") // 2)

    def _too_big(self) -> RefusedInput:
        limits = f"at most {MAX_REGISTRY >> 20} MiB and {MAX_MARKS} values"
        return RefusedInput(Code.TOO_BIG, f"{self.name}: too big for a registry: {limits}", path=self.name)

    def _check_keys(self) -> None:
        dotted = 0
        if self.text.count("\n[") > _MAX_TABLES:
            raise self._too_big()
        for match in _KEYS.finditer(self.text):
            if match["deep"] is not None:
                line, column = line_column(self.text, match.start())
                raise RefusedInput(
                    Code.REG_SCHEMA,
                    f"{self.name}:{line}:{column}: a key with more than three parts",
                    hints=('a name with dots is quoted: [hosts."web1.example.org"]',),
                    path=self.name,
                )
            dotted += match["dotted"] is not None
        if dotted > _MAX_TABLES:
            raise self._too_big()

    def _syntax(self, message: str, offset: int) -> RefusedInput:
        line, column = line_column(self.text, offset)
        return RefusedInput(Code.REG_SYNTAX, f"{self.name}:{line}:{column}: {message}", path=self.name)

    def _decode_error(self, message: str) -> RefusedInput:
        at = _AT.search(message)
        code, reason = _reason(message[: at.start()] if at else message)
        if at is None or at[1] is None:
            return self._syntax(f"{reason} at the end of the file", len(self.text.rstrip("\n")))
        place = f"{self.name}:{at[1]}:{at[2]}"
        hints = _conflict_hint(self.text, int(at[1]))
        if code is Code.REG_DUP:
            hints = ("put both into one, or give one of them another name",)
        return RefusedInput(code, f"{place}: {reason}", hints=hints, path=self.name)


def _reason(message: str) -> tuple[Code, str]:
    """Turn what tomllib says into a code and our words."""
    if is_private(message):
        message = "a private key (not shown) stands where a name should be"
    twice = _TWICE.match(message)
    if twice is not None:
        return Code.REG_DUP, f"{'.'.join(_NAMES.findall(twice[1]))} is declared twice"
    reason = message[:1].lower() + message[1:].rstrip(".")
    return (Code.REG_DUP if "overwrite" in reason else Code.REG_SYNTAX), reason


def _conflict_hint(text: str, line: int) -> tuple[str, ...]:
    content = text.split("\n", line)[line - 1]
    if content.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        return ("the file holds the conflict markers of a merge: resolve them by hand, then try again",)
    return ()


class Table:
    """One table of a source: each known key is asked for once, then :meth:`finish` refuses the others."""

    def __init__(self, source: Source, path: KeyPath, values: Mapping[str, Any]) -> None:
        self.source = source
        self.path = path
        self._values = values
        self._asked: list[str] = []

    def refuse(self, code: Code, key: str | None, message: str, *hints: str) -> RefusedInput:
        """Make an error about ``key`` of this table, or about the table."""
        return self.source.refuse(code, self.path if key is None else (*self.path, key), message, *hints)

    def has(self, key: str) -> bool:
        """Say whether the table has ``key``."""
        return key in self._values

    def text(self, key: str) -> str | None:
        """Give a string, or ``None`` when the key is absent."""
        value = self._typed(key, str)
        return None if value is None else str(value)

    def flag(self, key: str) -> bool | None:
        """Give a boolean, or ``None`` when the key is absent."""
        value = self._typed(key, bool)
        return None if value is None else bool(value)

    def number(self, key: str) -> int | None:
        """Give a whole number, or ``None`` when the key is absent."""
        value = self._typed(key, int)
        return None if value is None else int(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Give a list of strings, or ``None`` when the key is absent."""
        values = self._typed(key, list)
        return None if values is None else self._all_text(key, values, (*self.path, key))

    def lists(self, key: str) -> tuple[tuple[str, ...], ...] | None:
        """Give a list of lists of strings, or ``None`` when the key is absent."""
        values = self._typed(key, list)
        if values is None:
            return None
        found = []
        for index, value in enumerate(values):
            path = (*self.path, key, index)
            if type(value) is not list:
                raise self._wrong(key, value, "a list of lists of quoted strings", path)
            found.append(self._all_text(key, value, path))
        return tuple(found)

    def table(self, key: str) -> Table:
        """Give a table; an absent one is empty."""
        value = self._typed(key, dict)
        return Table(self.source, (*self.path, key), {} if value is None else value)

    def tables(self, key: str) -> Iterator[Table]:
        """Give the tables of ``[[key]]``."""
        for index, value in enumerate(self._typed(key, list) or ()):
            path = (*self.path, key, index)
            if type(value) is not dict:
                raise self._wrong(key, value, f"tables, written [[{key}]]", path)
            yield Table(self.source, path, value)

    def names(self) -> Iterator[str]:
        """Give the keys, for a table whose keys are names of the user's choice."""
        return iter(self._values)

    def finish(self, what: str) -> None:
        """Refuse every key that nobody asked for; ``what`` names the table in the message."""
        for key in self._values:
            if key not in self._asked:
                raise self.refuse(
                    Code.REG_SCHEMA,
                    key,
                    f"unknown key {shown(key)} in {what}",
                    *did_you_mean(key, self._asked),
                )

    def _typed(self, key: str, kind: type) -> Any:
        self._asked.append(key)
        value = self._values.get(key)
        # "is not": a TOML boolean is an int to isinstance.
        if value is not None and type(value) is not kind:
            raise self._wrong(key, value, _KINDS[kind], (*self.path, key))
        return value

    def _all_text(self, key: str, values: list[Any], path: KeyPath) -> tuple[str, ...]:
        for index, value in enumerate(values):
            if type(value) is not str:
                raise self._wrong(key, value, "a list of quoted strings", (*path, index))
        return tuple(values)

    def _wrong(self, key: str, value: object, wanted: str, path: KeyPath) -> RefusedInput:
        message = f"{key} must be {wanted}"
        if type(value).__name__ in ("date", "datetime", "time"):
            # Nix's builtins.fromTOML refuses TOML dates, and then no host of the repository evaluates.
            return self.source.refuse(Code.REG_SCHEMA, path, f"{message}: put the date in quotes")
        return self.source.refuse(Code.REG_SCHEMA, path, message)


__all__ = ["MAX_MARKS", "MAX_REGISTRY", "Source", "Table"]
