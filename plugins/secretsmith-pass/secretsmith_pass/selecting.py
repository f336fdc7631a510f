"""What of an entry is meant: its first line, a line, the value of a key, the otpauth URI, or all of it.

The conventions are those of pass's man page and gopass's docs/secrets.md: the password is the first line, behind it stand
lines ``key: value``; a line that begins with ``otpauth://`` is the seed of one-time codes (pass-otp).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.sensitive import Sensitive
from secretsmith_pass.reference import ALL, OTP, Reference, escaped

_OTPAUTH: Final = b"otpauth://"
# "https://…" is no key: a blank follows a key's colon, or nothing.
_PAIR = re.compile(rb"([^\s:][^:]*?)[ \t]*:(?:[ \t]+(.*?))?[ \t\r]*\Z", re.DOTALL)
# Only what looks like the name of a field is told: free text before a colon may be anything.
_TELLABLE = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,31}\Z")
# The first characters of YAML values that are not what they stand for (YAML 1.2 §5.3).
_YAML_MARKS: Final = b"\"'|>&*!{[#%@`"


def selected(reference: Reference, entry: Sensitive, notice: Callable[[str], None]) -> Sensitive:
    """Return the part of the decrypted ``entry`` that ``reference`` means; ``notice`` tells of one-time codes.

    Raises:
        NotFound: no such line or key; it names the keys that there are.
        RefusedInput: FORMAT, the key is there twice, is YAML, or the first line is empty.
    """
    data = entry.expose()
    has_seed = any(line.startswith(_OTPAUTH) for line in data.split(b"\n"))
    if reference.selector == ALL:
        if has_seed:
            notice(f"{reference.shown}: the seed of one-time codes is part of it")
        return entry
    if reference.selector == OTP:
        notice(f"{reference.shown}: this is the seed of one-time codes, whole; a code itself is never taken")
        return Sensitive(_seed(reference, data))
    if reference.selector is None:
        found = _first(reference, data)
    elif reference.selector.isascii() and reference.selector.isdigit():
        found = _line(reference, data, int(reference.selector))
    else:
        found = _value(reference, data)
    if found.startswith(_OTPAUTH):
        notice(f"{reference.shown}: this is the seed of one-time codes, not a password")
    return Sensitive(found)


def with_first_line(entry: Sensitive, line: Sensitive) -> Sensitive:
    """Return ``entry`` with its first line replaced; the rest stays."""
    _, newline, rest = entry.expose().partition(b"\n")
    return Sensitive(line.expose() + (newline or b"\n") + rest)


def _first(reference: Reference, data: bytes) -> bytes:
    line = data.partition(b"\n")[0]
    if not line:
        # Deployed, an empty password opens doors.
        raise RefusedInput(
            Code.FORMAT,
            f"{reference.shown}: its first line is empty",
            hints=(_alternatives(reference, data),),
        )
    return line


def _line(reference: Reference, data: bytes, number: int) -> bytes:
    lines = data.removesuffix(b"\n").split(b"\n")
    if not 1 <= number <= len(lines):
        count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
        raise NotFound(Code.NOT_FOUND, f"{reference.shown}: the entry has {count}")
    return lines[number - 1]


def _seed(reference: Reference, data: bytes) -> bytes:
    seeds = [line.rstrip(b"\r") for line in data.split(b"\n") if line.startswith(_OTPAUTH)]
    if not seeds:
        raise NotFound(
            Code.NOT_FOUND,
            f"{reference.shown}: the entry has no line that begins with otpauth://",
            hints=(_alternatives(reference, data),),
        )
    if len(seeds) > 1:
        raise RefusedInput(
            Code.FORMAT,
            f"{reference.shown}: the entry has {len(seeds)} lines that begin with otpauth://",
            hints=(f"take one by its number: {reference.scheme}:{reference.entry}#2",),
        )
    return seeds[0]


def _value(reference: Reference, data: bytes) -> bytes:
    key = (reference.selector or "").encode("utf-8", "surrogateescape")
    pairs = list(_pairs(data))
    found = [pair for pair in pairs if pair[0] == key] or [
        pair for pair in pairs if _folded(pair[0]) == _folded(key)
    ]
    if not found:
        raise NotFound(
            Code.NOT_FOUND,
            f"{reference.shown}: the entry has no such key",
            hints=(_alternatives(reference, data),),
        )
    if len(found) > 1:
        # A guess which one is meant would be a password on a host that nobody chose.
        raise RefusedInput(
            Code.FORMAT,
            f"{reference.shown}: the entry has this key {len(found)} times",
            hints=(f"take a line by its number: {reference.scheme}:{reference.entry}#2",),
        )
    _, value, is_yaml = found[0]
    if is_yaml and (not value or value[:1] in [bytes([mark]) for mark in _YAML_MARKS]):
        raise RefusedInput(
            Code.FORMAT,
            f"{reference.shown}: its value is YAML of more than plain words, which is not interpreted",
            hints=(f"all of the entry: {reference.scheme}:{reference.entry}#*",),
        )
    return value


def _pairs(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield key, value and whether it stands in the YAML part, for the lines behind the first one."""
    is_yaml = False
    for line in data.split(b"\n")[1:]:
        if line.rstrip(b"\r") == b"---":
            is_yaml = True
        elif pair := _PAIR.match(line):
            yield pair[1], pair[2] or b"", is_yaml


def _folded(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape").casefold()


def _alternatives(reference: Reference, data: bytes) -> str:
    """Say what the entry has instead: names of keys, never values."""
    texts: Sequence[str] = [key.decode("utf-8", "replace") for key, _, _ in _pairs(data)]
    names = [escaped(text) for text in dict.fromkeys(texts) if _TELLABLE.match(text)]
    if not names:
        return f"all of the entry: {reference.scheme}:{reference.entry}#*"
    return f"keys of the entry: {', '.join(names[:20])}"


__all__ = ["selected", "with_first_line"]
