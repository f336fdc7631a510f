"""Changes of ``secretsmith.toml`` that leave the rest of the file as its owner wrote it. Pure: text in, text out.

A change finds the statement or block that it is about, has tomlkit change that piece, and splices it back: comments, order,
empty lines and spelling of everything else stay byte for byte, and a registry of 10,000 hosts does not go through tomlkit.
Every function returns a text that :func:`~secretsmith.policy.registry.parse_registry` has accepted, or raises its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.policy.principals import Host, HostStatus, RetireReason, UserStatus
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.statements import (
    Block,
    KeyPath,
    Statement,
    append_elements,
    dotted,
    indent_of,
    insert_block,
    insert_lines,
    quoted,
    remove_block,
    scan,
)
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.record import replace

_Value = str | bool | Sequence[str]


def new_registry(
    user: str, keys: Sequence[str], *, admin: bool = True, secrets: str = "secrets", git: str = "intent"
) -> str:
    """Return the text of a new registry with one user; ``keys`` are public key lines."""
    settings: dict[str, _Value] = {"secrets": secrets}
    if git != "intent":
        settings["git"] = git
    lines = [
        "# Who may read which secret: users, hosts, groups and rules. Edit it by hand or with secretsmith's commands;",
        "# comments and order are kept. Afterwards: secretsmith rekey",
        "",
        "[secretsmith]",
        "version = 1",
        *_pairs(settings),
        "",
        *_block(("users", user), {"keys": keys, **({"admin": True} if admin else {})}),
    ]
    return _checked("\n".join([*lines, ""]))


def add_user(text: str, name: str, keys: Sequence[str], *, admin: bool = False) -> str:
    """Add ``[users.NAME]`` behind the other users."""
    values: dict[str, _Value] = {"keys": keys, **({"admin": True} if admin else {})}
    return _checked(_add_table(text, ("users", name), values))


def remove_user(text: str, name: str) -> str:
    """Set a user's status to removed; the keys stay, so that their stanzas are known as drift."""
    _known(parse_registry(text).users, name, "user")
    return _checked(_set(text, ("users", name, "status"), str(UserStatus.REMOVED)))


def add_host(text: str, name: str, keys: Sequence[str], *, address: str | None = None) -> str:
    """Add ``[hosts.NAME]`` behind the other hosts; without keys it is pending."""
    values: dict[str, _Value] = {"keys": keys} if keys else {"status": str(HostStatus.PENDING)}
    if address is not None:
        values = {**values, "address": address}
    return _checked(_add_table(text, ("hosts", name), values))


def set_host_keys(text: str, name: str, keys: Sequence[str], *, address: str | None = None) -> str:
    """Give a host these keys and make it active; what it had before is not kept (see :func:`replace_host_keys`)."""
    host = _known(parse_registry(text).hosts, name, "host")
    text = _set(text, ("hosts", name, "keys"), keys)
    if host.status is not HostStatus.ACTIVE:
        text = _set(text, ("hosts", name, "status"), str(HostStatus.ACTIVE))
    if address is not None:
        text = _set(text, ("hosts", name, "address"), address)
    return _checked(text)


def set_host_status(text: str, name: str, status: HostStatus) -> str:
    """Set a host's status."""
    _known(parse_registry(text).hosts, name, "host")
    return _checked(_set(text, ("hosts", name, "status"), str(status)))


def replace_host_keys(text: str, name: str, keys: Sequence[str], *, until: str, reason: RetireReason) -> str:
    """Make ``keys`` the active keys of a host and move the others it had to ``[[hosts.NAME.retired]]``."""
    host = _known(parse_registry(text).hosts, name, "host")
    text = _set(text, ("hosts", name, "keys"), keys)
    if host.status is not HostStatus.ACTIVE:
        text = _set(text, ("hosts", name, "status"), str(HostStatus.ACTIVE))
    gone = [key for key in host.keys if not any(line.startswith(key.text) for line in keys)]
    return _checked(_add_retired(text, host, gone, until, reason))


def retire_host(text: str, name: str, *, status: HostStatus, until: str, reason: RetireReason) -> str:
    """Move a host's keys to ``[[hosts.NAME.retired]]`` and set its status; ``until`` is an ISO date.

    ``since`` is when the key before it ended; it is left out for a first key, whose beginning nobody wrote down.
    """
    host = _known(parse_registry(text).hosts, name, "host")
    text = _set(text, ("hosts", name, "status"), str(status))
    if host.keys:
        text = _set(text, ("hosts", name, "keys"), ())
    return _checked(_add_retired(text, host, host.keys, until, reason))


def add_group(text: str, name: str, members: Sequence[str]) -> str:
    """Make a group, or add members to it."""
    if name in parse_registry(text).groups:
        return _checked(_extend(text, ("groups", name), members))
    return _checked(_set(text, ("groups", name), members))


def remove_from_group(text: str, name: str, members: Sequence[str]) -> str:
    """Take members out of a group, which stays, if need be empty."""
    _known(parse_registry(text).groups, name, "group")
    return _checked(_shrink(text, ("groups", name), members))


def remove_group(text: str, name: str) -> str:
    """Remove a group; a rule or group that names it makes the result invalid, and the error says which."""
    _known(parse_registry(text).groups, name, "group")
    return _checked(_delete(text, ("groups", name)))


def grant(text: str, patterns: Sequence[str], readers: Sequence[str]) -> str:
    """Add ``readers`` to the rule with exactly each pattern; a new rule at the end where there is none.

    Rules that a build wrote (``from = "build"``) are left to it.
    """
    for pattern in dict.fromkeys(patterns):
        places = [n for n, rule in _rules_with(text, pattern) if rule.origin is None]
        if places:
            text = _extend(text, ("rules", places[0], "readers"), readers)
        else:
            text = _add_rule(text, pattern, readers)
    return _checked(text)


def revoke(text: str, patterns: Sequence[str], readers: Sequence[str]) -> str:
    """Take ``readers`` off every rule with exactly one of the patterns; a rule that nobody is left in is removed.

    Raises:
        NotFound: there is no rule with that pattern.
    """
    for pattern in dict.fromkeys(patterns):
        places = _rules_with(text, pattern)
        if not places:
            known = [rule.pattern for rule in parse_registry(text).rules]
            hints = (*did_you_mean(pattern, known), "revoke edits the rule with exactly that pattern")
            raise NotFound(Code.NOT_FOUND, f"no rule has the pattern {shown(pattern)}", hints=hints)
        for number, rule in reversed(places):
            if all(reader in readers for reader in rule.readers):
                text = _delete(text, ("rules", number))
            elif any(reader in readers for reader in rule.readers):
                text = _shrink(text, ("rules", number, "readers"), readers)
    return _checked(text)


def _checked(text: str) -> str:
    parse_registry(text)
    return text


def _known(entries: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in entries:
        raise NotFound(
            Code.NOT_FOUND, f"no {what} is called {shown(name)}", hints=did_you_mean(name, entries)
        )
    return entries[name]


def _rules_with(text: str, pattern: str) -> list[tuple[int, Any]]:
    return [(n, rule) for n, rule in enumerate(parse_registry(text).rules) if rule.pattern == pattern]


def _add_rule(text: str, pattern: str, readers: Sequence[str]) -> str:
    values: dict[str, _Value] = {"path": pattern, "readers": list(dict.fromkeys(readers))}
    if _holding(scan(text), ("rules",)) is not None:
        return _append(text, ("rules",), [values])
    return _append_block(text, ("rules",), ["[[rules]]", *_pairs(values)])


def _add_retired(text: str, host: Host, keys: Sequence[PublicKey], until: str, reason: RetireReason) -> str:
    path = ("hosts", host.name, "retired")
    since = max((old.until for old in host.retired if old.until), default=None)
    values = {"since": since, "until": until, "reason": str(reason)}
    given = [{"key": key.line, **{k: v for k, v in values.items() if v is not None}} for key in keys]
    holder = _holding(scan(text), path)
    if holder is None:
        for entry in given:
            text = _append_block(text, ("hosts", host.name), [f"[[{dotted(path)}]]", *_pairs(entry)])
        return text
    return _append(text, path, given) if host.retired else _set(text, path, given)


# --- finding the piece and splicing it back ------------------------------------------------------------------------


def _statements(blocks: Sequence[Block]) -> Iterator[Statement]:
    return (statement for block in blocks for statement in block.statements)


def _holding(blocks: Sequence[Block], path: KeyPath) -> Statement | None:
    """Return the statement whose value is, or contains, ``path``."""
    found = (s for s in _statements(blocks) if s.path == path[: len(s.path)])
    return max(found, key=lambda statement: len(statement.path), default=None)


def _value_at(text: str, holder: Statement, path: KeyPath) -> Any:
    import tomllib  # as tomlkit: only for changes

    value: Any = tomllib.loads(text[holder.start : holder.end])
    for part in (*holder.key, *path[len(holder.path) :]):
        value = value[part]
    return value


def _extend(text: str, path: KeyPath, words: Sequence[str]) -> str:
    holder = _holding(scan(text), path)
    if holder is None:
        raise _unreachable(path)
    known = _value_at(text, holder, path)
    return _append(text, path, [word for word in dict.fromkeys(words) if word not in known])


def _append(text: str, path: KeyPath, values: Sequence[_Value | Mapping[str, _Value]]) -> str:
    """Write ``values`` behind the elements of the list at ``path``."""
    holder = _holding(scan(text), path)
    if holder is None:
        raise _unreachable(path)
    if holder.path == path:
        # Not by tomlkit: 0.13 to 0.15 write the new element into a comment behind two elements on one line.
        return append_elements(text, holder.value, [_item(value).as_string() for value in values])
    wanted = [*_value_at(text, holder, path), *values]
    return _in_statement(text, holder, path, lambda parent, key: parent.update({key: _item(wanted)}))


def _shrink(text: str, path: KeyPath, words: Sequence[str]) -> str:
    """Take ``words`` out of the list at ``path``."""
    holder = _holding(scan(text), path)
    if holder is None:
        raise _unreachable(path)
    wanted = [word for word in _value_at(text, holder, path) if word not in words]

    def remove(parent: Any, key: Any) -> None:
        for word in words:
            while word in parent[key]:
                parent[key].remove(word)

    return _in_statement(text, holder, path, remove, expect=wanted)


def _in_statement(
    text: str,
    holder: Statement,
    path: KeyPath,
    change: Callable[[Any, Any], None],
    *,
    expect: list[str] | None = None,
) -> str:
    """Let ``change`` alter the table or array that holds the last part of ``path``; refuse if ``expect`` does not come out."""
    import tomlkit  # heavy, and only the commands that change the registry get here

    document = tomlkit.parse(text[holder.start : holder.end])
    parent: Any = document
    way = (*holder.key, *path[len(holder.path) :])
    for part in way[:-1]:
        parent = parent[part]
    change(parent, way[-1])
    changed = tomlkit.dumps(document)
    if expect is not None and _value_at(changed, replace(holder, start=0, end=len(changed)), path) != expect:
        raise _unreachable(path)
    return text[: holder.start] + changed + text[holder.end :]


def _set(text: str, path: KeyPath, value: _Value | Sequence[Mapping[str, str]]) -> str:
    """Set the value at ``path``, whose table exists or is made, in the way the file is written."""
    blocks = scan(text)
    holder = _holding(blocks, path)
    if holder is not None:
        return _in_statement(text, holder, path, lambda parent, key: parent.update({key: _item(value)}))
    parent, key = path[:-1], str(path[-1])
    line = f"{quoted(key)} = {_item(value).as_string()}"
    for block in blocks:
        if block.path == parent and block.path:
            at = block.statements[-1] if block.statements else None
            indent = indent_of(text, at) if at else ""
            return insert_lines(text, block.end, [indent + line])
    beside = [s for s in _statements(blocks) if s.path[:-1] == parent]
    if beside:
        last = beside[-1]
        return insert_lines(text, last.end, [f"{indent_of(text, last)}{dotted(last.key[:-1])}.{line}"])
    return _append_block(text, parent[:1], [f"[{dotted(parent)}]", line])


def _delete(text: str, path: KeyPath) -> str:
    """Remove the statement or block at ``path``, or the value there inside a larger one."""
    blocks = scan(text)
    for block in blocks:
        if block.path == path and block.path:
            return remove_block(text, block)
    holder = _holding(blocks, path)
    if holder is None:
        raise _unreachable(path)
    if holder.path == path:
        return text[: holder.start] + text[holder.end :]
    return _in_statement(text, holder, path, lambda parent, key: parent.pop(key))


def _add_table(text: str, path: tuple[str, str], values: Mapping[str, _Value]) -> str:
    holder = _holding(scan(text), path[:1])
    if holder is not None:
        return _in_statement(text, holder, path, lambda parent, key: parent.update({key: _inline(values)}))
    return _append_block(text, path[:1], _block(path, values))


def _append_block(text: str, near: KeyPath, lines: list[str]) -> str:
    """Add a block behind the last one below ``near``; principals else before groups and rules, all others at the end."""
    blocks = scan(text)
    related = [block for block in blocks if block.path and block.path[: len(near)] == near]
    if not related and near[0] in ("users", "hosts", "groups"):
        before = {
            "users": ("secretsmith",),
            "hosts": ("secretsmith", "users"),
            "groups": ("secretsmith", "users", "hosts"),
        }
        related = [block for block in blocks if block.path and block.path[0] in before[str(near[0])]]
    return insert_block(text, related[-1] if related else None, lines)


def _unreachable(path: KeyPath) -> RefusedInput:
    return RefusedInput(
        Code.REG_SCHEMA,
        f"secretsmith.toml: {dotted(path)} is written in a way that only its author can change",
        hints=("edit the file by hand, then: secretsmith check",),
        path="secretsmith.toml",
    )


# --- spelling ------------------------------------------------------------------------------------------------------


def _item(value: Any) -> Any:
    import tomlkit  # as above

    if isinstance(value, Mapping):
        return _inline(value)
    if isinstance(value, (list, tuple)):
        array = tomlkit.array()
        for element in value:
            array.append(_inline(element) if isinstance(element, Mapping) else element)
        # One key a line: a diff then shows the key that changed.
        return array.multiline(len(value) > 1 and all(isinstance(e, str) and len(e) > 60 for e in value))
    return tomlkit.item(value)


def _inline(values: Mapping[str, _Value]) -> Any:
    import tomlkit  # as above

    table = tomlkit.inline_table()
    for key, value in values.items():
        table.append(key, _item(value))
    return table


def _block(path: Sequence[str], values: Mapping[str, _Value]) -> list[str]:
    return [f"[{dotted(path)}]", *_pairs(values)]


def _pairs(values: Mapping[str, _Value]) -> list[str]:
    return [
        line for key, value in values.items() for line in f"{key} = {_item(value).as_string()}".split("\n")
    ]


__all__ = [
    "add_group",
    "add_host",
    "add_user",
    "grant",
    "new_registry",
    "remove_from_group",
    "remove_group",
    "remove_user",
    "replace_host_keys",
    "retire_host",
    "revoke",
    "set_host_keys",
    "set_host_status",
]
