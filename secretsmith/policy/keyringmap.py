"""The table ``[[keyring]]`` of the registry: which secret is the password of which service.

It only names secrets of this repository. Whether anybody is given their values is decided on each person's computer
(:mod:`secretsmith.operations.keyringlogins`), since whoever may push writes this table.
"""

from __future__ import annotations

from collections.abc import Iterable

from secretsmith.errors import Code
from secretsmith.policy.reading import Table
from secretsmith.policy.words import shown
from secretsmith.record import record


@record
class KeyringEntry:
    """One ``[[keyring]]``.

    ``service`` is what programs ask for, to the letter; ``username`` None answers for any. ``secret`` is a path from the root,
    ``key`` a slash path in it.
    """

    service: str
    username: str | None
    secret: str
    key: str | None = None


def read_keyring(tables: Iterable[Table]) -> tuple[KeyringEntry, ...]:
    """Read all ``[[keyring]]``. Raises ``RefusedInput`` (REG_SCHEMA, REG_DUP) with the place."""
    found: dict[tuple[str, str | None], KeyringEntry] = {}
    for table in tables:
        entry = _entry(table)
        if (entry.service, entry.username) in found:
            who = "any username" if entry.username is None else shown(entry.username)
            raise table.refuse(Code.REG_DUP, "service", f"{shown(entry.service)} with {who} is named twice")
        found[entry.service, entry.username] = entry
    return tuple(found.values())


def _entry(table: Table) -> KeyringEntry:
    service, secret = (_needed(table, key) for key in ("service", "secret"))
    entry = KeyringEntry(service, table.text("username"), secret, table.text("key"))
    table.finish("[[keyring]]")
    for key in ("username", "key"):
        if table.has(key) and not table.text(key):
            raise table.refuse(Code.REG_SCHEMA, key, f"an empty {key}; leave it out")
    parts = secret.split("/")
    if not secret.isprintable() or any(part in ("", ".", "..", ".git") for part in parts):
        raise table.refuse(
            Code.REG_SCHEMA, "secret", f"{shown(secret)} is no path from the registry's folder"
        )
    return entry


def _needed(table: Table, key: str) -> str:
    text = table.text(key)
    if not text:
        raise table.refuse(
            Code.REG_SCHEMA,
            key if table.has(key) else None,
            f"this [[keyring]] has no {key}",
            'write service = "https://…" and secret = "secrets/….age"',
        )
    return text


__all__ = ["KeyringEntry", "read_keyring"]
