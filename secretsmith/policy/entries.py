"""The entries of the registry: each table of the text becomes one user, host or rule, or is refused."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Literal, TypeVar

from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key, require_host_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.patterns import check_pattern
from secretsmith.policy.principals import (
    NAME_RULE,
    Host,
    HostStatus,
    RetiredKey,
    RetireReason,
    User,
    UserStatus,
    is_name,
)
from secretsmith.policy.reading import Table
from secretsmith.policy.rules import SELECTION_FIELDS, Rule
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.regex import compile_regex

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
# A host name, an address or an alias of ssh_config. No leading dash and no blank: it becomes an argument
# of ssh.
_ADDRESS = re.compile(r"[A-Za-z0-9_\[:][A-Za-z0-9._:%@\[\]-]{0,254}\Z")
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*rules[ \t]*\]\]", re.MULTILINE)
_MAX_HOST_KEYS = 2

_Status = TypeVar("_Status", bound=StrEnum)


def read_user(name: str, table: Table) -> User:
    """Read ``[users.NAME]``. Raises ``RefusedInput`` with the place."""
    status = _choice(table, "status", UserStatus) or UserStatus.ACTIVE
    admin = table.flag("admin") or False
    keys = _keys(table, f"user {name}")
    retired = _retired(table, f"user {name}", keys)
    table.finish(f"[users.{name}]")
    if not keys and status is UserStatus.ACTIVE:
        raise table.refuse(
            Code.REG_EMPTY,
            "keys" if table.has("keys") else None,
            f"user {name} has no key",
            'add keys = ["ssh-ed25519 …"]',
        )
    return User(name, keys, admin, status, retired)


def read_host(name: str, table: Table) -> Host:
    """Read ``[hosts.NAME]``. Raises ``RefusedInput`` with the place."""
    status = _choice(table, "status", HostStatus) or HostStatus.ACTIVE
    address = table.text("address")
    if address is not None and not _ADDRESS.match(address):
        raise table.refuse(Code.REG_SCHEMA, "address", f"{shown(address)} is no address of host {name}")
    keys = _keys(table, f"host {name}")
    for index, key in enumerate(keys):
        _require_host_key(table, index, key, name)
    retired = _retired(table, f"host {name}", keys)
    table.finish(f"[hosts.{name}]")
    if len(keys) > _MAX_HOST_KEYS:
        raise table.refuse(
            Code.REG_SCHEMA, "keys", f"host {name} has {len(keys)} keys; one, or two while one is replaced"
        )
    if not keys and status is HostStatus.ACTIVE:
        raise table.refuse(
            Code.REG_EMPTY,
            "keys" if table.has("keys") else None,
            f"host {name} has no key",
            'add keys = ["ssh-ed25519 …"], or status = "pending" until it has one',
        )
    return Host(name, keys, status, address, retired)


def check_name(table: Table, name: str, what: str) -> None:
    """Refuse a name that is none (NAME)."""
    if not is_name(name):
        raise table.refuse(Code.NAME, name, f"{shown(name)} cannot name a {what}", NAME_RULE)


def rule_lines(table: Table, count: int) -> list[int]:
    """Give the line of each of ``count`` rules."""
    text = table.source.text
    if '"""' not in text and "'''" not in text:
        # The usual way of writing them; counting lines is far cheaper than a scan of all tokens.
        starts = [match.start() for match in _HEADER.finditer(text)]
        if len(starts) == count:
            lines, line, before = [], 1, 0
            for start in starts:
                line += text.count("\n", before, start)
                lines.append(line)
                before = start
            return lines
    return [table.source.positions.line_column((*table.path, "rules", index))[0] for index in range(count)]


def read_rule(table: Table, line: int) -> Rule:
    """Read one ``[[rules]]``; its readers are looked up later. Raises ``RefusedInput`` with the place."""
    pattern = table.text("path")
    if pattern is None:
        raise table.refuse(Code.REG_SCHEMA, None, "this rule has no path")
    try:
        check_pattern(pattern)
    except RefusedInput as error:
        raise table.source.refuse_again(error, (*table.path, "path"), f"rule {shown(pattern)}") from None
    about = f"rule {shown(pattern)}"
    readers = table.texts("readers")
    if not readers:
        raise table.refuse(
            Code.REG_EMPTY,
            "readers" if table.has("readers") else None,
            f"{about} names no readers",
            'write readers = ["NAME", "@GROUP"], or remove the rule (admins read everything anyway)',
        )
    groups = _key_groups(table, about, readers)
    rule = Rule(
        pattern=pattern,
        readers=tuple(dict.fromkeys(readers)),
        key_groups=groups,
        shamir_threshold=_threshold(table, about, groups),
        selection=_selection(table, about),
        mac_only_encrypted=table.flag("mac_only_encrypted"),
        armor=table.flag("armor"),
        origin=_origin(table, about),
        line=line,
    )
    table.finish("[[rules]]")
    return rule


def _origin(table: Table, about: str) -> Literal["build"] | None:
    origin = table.text("from")
    if origin is None:
        return None
    if origin != "build":
        raise table.refuse(Code.REG_SCHEMA, "from", f"{about}: from must be 'build' or absent")
    return "build"


def _key_groups(table: Table, about: str, readers: tuple[str, ...]) -> tuple[tuple[str, ...], ...] | None:
    groups = table.lists("key_groups")
    if groups is None:
        return None
    if not groups or not all(groups):
        raise table.refuse(Code.REG_EMPTY, "key_groups", f"{about}: an empty key group")
    named = {word for group in groups for word in group}
    odd = sorted(named.symmetric_difference(readers))
    if odd:
        # A reader outside every group would get no share of the data key, and could not read after all.
        raise table.refuse(
            Code.REG_SCHEMA,
            "key_groups",
            f"{about}: key_groups must divide the readers, and {shown(odd[0])} is only in one of both",
        )
    return groups


def _threshold(table: Table, about: str, groups: tuple[tuple[str, ...], ...] | None) -> int | None:
    threshold = table.number("shamir_threshold")
    if threshold is None:
        return None
    if groups is None:
        raise table.refuse(Code.REG_SCHEMA, "shamir_threshold", f"{about}: shamir_threshold needs key_groups")
    if not 1 <= threshold <= len(groups):
        raise table.refuse(
            Code.REG_SCHEMA,
            "shamir_threshold",
            f"{about}: shamir_threshold must be from 1 to {len(groups)}, the number of key groups",
        )
    return threshold


def _selection(table: Table, about: str) -> tuple[str, str] | None:
    given = [(field, table.text(field)) for field in SELECTION_FIELDS]
    chosen = [(field, value) for field, value in given if value is not None]
    if not chosen:
        return None
    field, value = chosen[0]
    if len(chosen) > 1:
        raise table.refuse(
            Code.REG_SCHEMA, chosen[1][0], f"{about}: only one of {field} and {chosen[1][0]} can hold"
        )
    if not value:
        raise table.refuse(Code.REG_SCHEMA, field, f"{about}: {field} is empty")
    if field.endswith("_regex"):
        try:
            compile_regex(value)
        except RefusedInput as error:
            raise table.source.refuse_again(error, (*table.path, field), f"{about}: {field}") from None
    return field, value


def _keys(table: Table, owner: str) -> tuple[PublicKey, ...]:
    keys = []
    seen: set[str] = set()
    for index, line in enumerate(table.texts("keys") or ()):
        path = (*table.path, "keys", index)
        try:
            key = parse_public_key(line)
        except RefusedInput as error:
            raise table.source.refuse_again(error, path, owner) from None
        if key.kind is KeyKind.HYBRID:
            raise table.source.refuse(
                Code.KEY_UNSUPPORTED,
                path,
                f"{owner}: post-quantum recipients (age1pq1…) cannot be written by this version yet",
                "give an age1… line of age-keygen, or an ssh-ed25519 key",
            )
        if key.fingerprint in seen:
            raise table.source.refuse(Code.REG_DUP, path, f"{owner} has the key {key.fingerprint} twice")
        seen.add(key.fingerprint)
        keys.append(key)
    return tuple(keys)


def _require_host_key(table: Table, index: int, key: PublicKey, name: str) -> None:
    if key.kind is KeyKind.ED25519:
        # Whether the point is on the curve is asked where a host is added and where a file is written;
        # asking it here would load a library and cost half a second for 10,000 hosts, and nobody can read
        # as a point that is none.
        return
    try:
        require_host_key(key, name)
    except RefusedInput as error:
        raise table.source.refuse(
            error.code, (*table.path, "keys", index), error.message, *error.hints
        ) from None


def _retired(table: Table, owner: str, keys: tuple[PublicKey, ...]) -> tuple[RetiredKey, ...]:
    current = {key.fingerprint for key in keys}
    found = []
    for old in table.tables("retired"):
        line = old.text("key")
        if line is None:
            raise old.refuse(Code.REG_SCHEMA, None, f"a retired key of {owner} has no key")
        try:
            key = parse_public_key(line)
        except RefusedInput as error:
            raise old.source.refuse_again(error, (*old.path, "key"), f"retired key of {owner}") from None
        if key.fingerprint in current:
            raise old.refuse(
                Code.REG_DUP, "key", f"the key {key.fingerprint} of {owner} is both in use and retired"
            )
        since, until = _date(old, "since"), _date(old, "until")
        if since is not None and until is not None and until < since:
            raise old.refuse(Code.REG_SCHEMA, "until", f"a retired key of {owner} ends before it begins")
        reason = _choice(old, "reason", RetireReason)
        if reason is None:
            raise old.refuse(
                Code.REG_SCHEMA,
                None,
                f"a retired key of {owner} has no reason",
                _one_of("reason", RetireReason),
            )
        old.finish("[[…retired]]")
        found.append(RetiredKey(key, since, until, reason))
    return tuple(found)


def _date(table: Table, key: str) -> str | None:
    text = table.text(key)
    if text is None:
        return None
    try:
        if not _DATE.match(text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise table.refuse(Code.REG_SCHEMA, key, f'{key} must be a date, written "YYYY-MM-DD"') from None
    return text


def _choice(table: Table, key: str, kind: type[_Status]) -> _Status | None:
    text = table.text(key)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        choices = [str(choice) for choice in kind]
        raise table.refuse(
            Code.REG_SCHEMA,
            key,
            f"{key} {shown(text)} is none of {', '.join(choices)}",
            *did_you_mean(text, choices),
        ) from None


def _one_of(key: str, kind: type[StrEnum]) -> str:
    return f"{key} is one of {', '.join(kind)}"


__all__ = ["check_name", "read_host", "read_rule", "read_user", "rule_lines"]
