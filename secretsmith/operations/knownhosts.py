"""OpenSSH's known_hosts: what it says of a host, and its text with a new key. Pure: text in, text out (sshd(8), ssh_known_hosts)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterator
from typing import Final

from secretsmith.crypto.publickey import fingerprint_of
from secretsmith.record import record

_HASHED: Final = "|1|"
_SALT_BYTES: Final = 20


@record
class KnownKey:
    """One line about a host. ``line`` counts from 1; ``text`` is ``TYPE BASE64``; ``marker`` is "", or starts with ``@``.

    ``alone``: the line names no other host, so that it can go as a whole; ``pattern``: the name matched by ``*`` or ``?``.
    """

    line: int
    marker: str
    text: str
    alone: bool
    pattern: bool

    @property
    def kind(self) -> str:
        """The type of the key."""
        return self.text.partition(" ")[0]

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen prints it; "an unreadable key" for a damaged line."""
        try:
            return fingerprint_of(base64.b64decode(self.text.partition(" ")[2], validate=True))
        except (binascii.Error, ValueError):
            return "an unreadable key"


@record
class Mended:
    """A text with a new key. ``removed`` are the lines that went or lost the name, ``left`` those that only a person can change."""

    text: str
    removed: tuple[int, ...]
    left: tuple[int, ...]


def known_keys(text: str, name: str) -> tuple[KnownKey, ...]:
    """Return what the lines of a known_hosts say of ``name``: HOST, or ``[HOST]:PORT``, in lower case."""
    return tuple(_known(text, name))


def _known(text: str, name: str) -> Iterator[KnownKey]:
    for number, line in enumerate(text.split("\n"), start=1):
        marker, names, key = _words(line)
        if not key:
            continue
        entries = names.split(",")
        found = _matching(entries, name)
        if found is not None:
            pattern = not found.startswith(_HASHED) and ("*" in found or "?" in found)
            yield KnownKey(number, marker, key, alone=len(entries) == 1, pattern=pattern)


def mended(text: str, name: str, key: str, *, replacing: bool, hashed: bool) -> Mended:
    """Return the text in which ``name`` has the key line ``key`` (``TYPE BASE64``).

    Other keys of that name go if ``replacing``: of every type, since a new installation has none of the old ones. Lines
    with a marker or a pattern are left, and so are the other names of a line.
    """
    lines = text.split("\n")
    removed, left = [], []
    keep: dict[int, str | None] = {}
    known = known_keys(text, name)
    for entry in known:
        if entry.text == key or entry.marker or not replacing:
            continue
        if entry.pattern:
            left.append(entry.line)
            continue
        keep[entry.line] = None if entry.alone else _without(lines[entry.line - 1], name)
        removed.append(entry.line)
    kept = [keep.get(number, line) for number, line in enumerate(lines, start=1)]
    result = "\n".join(line for line in kept if line is not None)
    if not any(entry.text == key and not entry.marker for entry in known):
        if result and not result.endswith("\n"):
            result += "\n"
        result += f"{_hashed_name(name) if hashed else name} {key}\n"
    return Mended(result, tuple(removed), tuple(left))


def _words(line: str) -> tuple[str, str, str]:
    """Split a line into marker, names, and ``TYPE BASE64``; the last is empty for comments and what is no key line."""
    words = line.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#"):
        return "", "", ""
    return marker, words[0], f"{words[1]} {words[2]}"


def _matching(entries: list[str], name: str) -> str | None:
    """Return the entry that names ``name``; None also when another one rules it out with ``!``."""
    found = None
    for entry in entries:
        if entry.startswith("!"):
            if _fits(entry[1:].lower(), name):
                return None
        elif found is None and (_is_hash_of(entry, name) or _fits(entry.lower(), name)):
            found = entry
    return found


def _is_hash_of(entry: str, name: str) -> bool:
    if not entry.startswith(_HASHED):
        return False
    salt, _, digest = entry.removeprefix(_HASHED).partition("|")
    try:
        made = _digest(base64.b64decode(salt), name)
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (binascii.Error, ValueError):
        return False


def _digest(salt: bytes, name: str) -> bytes:
    return hmac.new(salt, name.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()


def _hashed_name(name: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    parts = (base64.b64encode(part).decode() for part in (salt, _digest(salt, name)))
    return _HASHED + "|".join(parts)


def _fits(pattern: str, name: str) -> bool:
    """Match ``*`` and ``?`` as ssh does (``[`` is literal); linear but for one step back at the last ``*``."""
    at = place = 0
    star, mark = -1, 0
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            star, mark, place = place, at, place + 1
        elif place < len(pattern) and pattern[place] in ("?", name[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            mark += 1
            at, place = mark, star + 1
        else:
            return False
    return pattern[place:].strip("*") == ""


def _without(line: str, name: str) -> str:
    """Take one literal name off a line that names several."""
    marker, names, _ = _words(line)
    rest = line.partition(names)[2]
    kept = ",".join(entry for entry in names.split(",") if not _fits(entry.lower(), name))
    return f"{marker} {kept}{rest}".lstrip(" ")


__all__ = ["KnownKey", "Mended", "known_keys", "mended"]
