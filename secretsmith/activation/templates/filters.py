"""How a value is quoted when it takes a placeholder's place, so that it stays one value there."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final, NoReturn

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Filter

# The kernel takes no longer text for a variable, its name included (MAX_ARG_STRLEN).
MAX_VARIABLE: Final = 128 * 1024 - 256

# What JSON, YAML and TOML must not have in double quotes, and what one of their readers or another takes for the end
# of a line: controls, NEL, LINE and PARAGRAPH SEPARATOR, the byte order mark, and what is no character at all.
_TO_ESCAPE: Final = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufdd0-\ufdef\ufffe\uffff]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_IN_SHELL_QUOTES: Final = re.compile(r'["\\$`]')
_SYSTEMD_SHORT: Final = {'"': '\\"', "\\": "\\\\", "%": "%%", "\n": "\\n", "\t": "\\t"}
_IN_UNIT_QUOTES: Final = re.compile('["\\\\%\x01-\x1f\x7f]')
_CONTROL: Final = re.compile("[\x01-\x08\x0b-\x1f\x7f]")


def quoted(filter: Filter, value: bytes) -> bytes:  # noqa: A002  # the manifest's word for it
    """Return ``value`` as it is inserted under ``filter``; of one line, the newline at its end is left out.

    Raises:
        RefusedInput: TEMPLATE, with nothing but the reason: the value cannot be written so.
    """
    value = without_newline(value)
    if filter is Filter.RAW:
        return value
    return _written(filter, _text(filter, value)).encode("utf-8")


def _written(filter: Filter, text: str) -> str:  # noqa: A002
    match filter:
        case Filter.RAW:
            return text
        case Filter.JSON | Filter.YAML | Filter.TOML:
            return _in_double_quotes(text)
        case Filter.SHELL:
            return _shell_word(text)
        case Filter.ENV:
            return _variable(text)
        case Filter.URL:
            return _percent_encoded(text)
        case Filter.INI:
            return _one_line(text)
        case Filter.SYSTEMD:
            return _in_unit(text)


def without_newline(value: bytes) -> bytes:
    """Return a value of one line without the newline that editors put at its end; any other as it is."""
    return value[:-1] if value.find(b"\n") == len(value) - 1 else value


def _refuse(filter: Filter, why: str) -> NoReturn:  # noqa: A002
    raise RefusedInput(Code.TEMPLATE, f"filter {filter} cannot write the value: {why}")


def _text(filter: Filter, value: bytes) -> str:  # noqa: A002
    text: str | None = None
    # Refused out here: the exception holds the value.
    with suppress(UnicodeDecodeError):
        text = value.decode("utf-8")
    if text is None:
        _refuse(filter, "it is not UTF-8")
    if "\0" in text:
        _refuse(filter, "a NUL character is in it")
    return text


def _in_double_quotes(text: str) -> str:
    # The escapes that JSON, YAML and TOML share, so that any of the three filters is right in any of the three.
    return _TO_ESCAPE.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def _shell_word(text: str) -> str:
    from shlex import quote

    return quote(text)


def _variable(text: str) -> str:
    _check_variable(Filter.ENV, text)
    if found := _CONTROL.search(text):
        # Older systemd drops a variable with one; python-dotenv makes a line end of a carriage return.
        _refuse(Filter.ENV, f"the control character U+{ord(found[0]):04X} is in it, which readers differ on")
    return '"' + _IN_SHELL_QUOTES.sub(r"\\\g<0>", text) + '"'


def _check_variable(filter: Filter, text: str) -> None:  # noqa: A002
    if len(text.encode("utf-8")) > MAX_VARIABLE:
        _refuse(filter, "it is longer than Linux lets a variable be (128 KiB)")
    if any(_is_noncharacter(char) for char in text):
        # systemd would drop not only this variable, but the whole file (src/basic/utf8.c, unichar_is_valid).
        _refuse(filter, "it has a code point that is no character (such as U+FFFE), which systemd refuses")


def _is_noncharacter(char: str) -> bool:
    return "\ufdd0" <= char <= "\ufdef" or ord(char) & 0xFFFE == 0xFFFE


def _percent_encoded(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _one_line(text: str) -> str:
    if len(f"{text}.".splitlines()) > 1:
        _refuse(Filter.INI, "it has more than one line")
    if text != text.strip():
        _refuse(Filter.INI, "it begins or ends with a blank, which readers of INI files take away")
    return text


def _in_unit(text: str) -> str:
    _check_variable(Filter.SYSTEMD, text)
    return _IN_UNIT_QUOTES.sub(lambda found: _SYSTEMD_SHORT.get(found[0]) or f"\\x{ord(found[0]):02x}", text)


__all__ = ["MAX_VARIABLE", "quoted", "without_newline"]
