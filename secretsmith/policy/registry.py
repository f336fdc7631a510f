"""The registry, ``secretsmith.toml``: principals, groups and rules. Pure: text in, data out.

The format is that of docs/reference/registry.md. It is TOML because Nix reads it with ``builtins.fromTOML``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeVar

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.policy.entries import check_name, read_host, read_rule, read_user, rule_lines
from secretsmith.policy.forms import point_of_key, point_of_recipient
from secretsmith.policy.keyringmap import KeyringEntry, read_keyring
from secretsmith.policy.membership import Membership, check_groups, check_readers
from secretsmith.policy.patterns import PatternSet
from secretsmith.policy.positions import KeyPath
from secretsmith.policy.principals import Host, KeyState, KeyUse, Principal, User, key_uses
from secretsmith.policy.reading import Source, Table
from secretsmith.policy.rules import Rule
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.policy.resolve import Wanted

REGISTRY_NAME = "secretsmith.toml"
REGISTRY_VERSION = 1
GIT_SETTINGS = ("intent", "add", "off")

Mark = TypeVar("Mark", bound=Hashable)


@record
class RegistryWarning:
    """Something in the registry that is allowed and probably not meant; ``check`` shows it as a finding."""

    code: Code
    message: str
    hint: str


@record(slots=False)
class Registry:
    """A registry that has been read and found consistent.

    ``secrets`` is the managed folder, relative, without a final slash. ``groups`` maps a name to its
    words as written (names of principals, and ``@`` with the name of another group). ``name`` is the
    file's name in messages.
    """

    secrets: str
    git: str
    users: Mapping[str, User]
    hosts: Mapping[str, Host]
    groups: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    name: str = REGISTRY_NAME
    warnings: tuple[RegistryWarning, ...] = ()
    keyring: tuple[KeyringEntry, ...] = ()

    def principal(self, name: str) -> Principal:
        """Give the user or host called ``name``. Raises ``NotFound`` with the closest name."""
        found = self.users.get(name) or self.hosts.get(name)
        if found is None:
            raise NotFound(
                Code.NOT_FOUND,
                f"no user or host is called {shown(name)}",
                hints=did_you_mean(name, (*self.users, *self.hosts)),
            )
        return found

    def everyone(self) -> tuple[Principal, ...]:
        """Give all users, then all hosts, in the order of the file, whatever their status."""
        return (*self.users.values(), *self.hosts.values())

    def admins(self) -> tuple[User, ...]:
        """Give the users who read everything."""
        return tuple(user for user in self.users.values() if user.admin and user.reads)

    def key_owner(self, fingerprint: str) -> list[KeyUse]:
        """Give all uses of a key, active ones first; empty when the registry never named it."""
        return list(self._uses.get(fingerprint, ()))

    def by_tag(self, tag: str) -> list[KeyUse]:
        """Give all uses of the ssh keys with this tag (four bytes of SHA-256: two keys may share one)."""
        return list(self._tags.get(tag, ()))

    def by_recipient(self, text: str) -> list[KeyUse]:
        """Give all uses of the key written to as ``text``: an ssh line, or ``age1…`` in either form."""
        try:
            key = parse_public_key(text)
        except RefusedInput:
            return []
        point = point_of_recipient(key)
        derived = [] if point is None else self._points.get(point, [])
        return _active_first([*self._uses.get(key.fingerprint, ()), *derived])

    @cached_property
    def patterns(self) -> PatternSet:
        """The patterns of all rules, in their order."""
        return PatternSet([rule.pattern for rule in self.rules])

    @cached_property
    def wanted_by_rules(self) -> dict[tuple[int, ...], Wanted]:
        """What :mod:`secretsmith.policy.resolve` has found for each set of matching rules; filled by it."""
        return {}

    @cached_property
    def membership(self) -> Membership:
        """Whom the words of rules mean."""
        return Membership(self.groups, self.everyone())

    @cached_property
    def _uses(self) -> dict[str, list[KeyUse]]:
        return _index(self.everyone(), lambda key: key.fingerprint)

    @cached_property
    def _tags(self) -> dict[str, list[KeyUse]]:
        return _index(self.everyone(), lambda key: key.tag)

    @cached_property
    def _points(self) -> dict[bytes, list[KeyUse]]:
        return _index(self.everyone(), point_of_key)


def _active_first(uses: Iterable[KeyUse]) -> list[KeyUse]:
    return sorted(uses, key=lambda use: use.state is not KeyState.ACTIVE)


def _index(
    principals: Iterable[Principal], mark: Callable[[PublicKey], Mark | None]
) -> dict[Mark, list[KeyUse]]:
    found: dict[Mark, list[KeyUse]] = {}
    for principal in principals:
        for use in key_uses(principal):
            value = mark(use.key)
            if value is not None:
                found.setdefault(value, []).append(use)
    return {value: uses if len(uses) == 1 else _active_first(uses) for value, uses in found.items()}


@lru_cache(
    maxsize=4
)  # a change reads the text it starts from, what an edit gave, and both again under the lock
def parse_registry(text: str, name: str = REGISTRY_NAME) -> Registry:
    """Read a registry.

    Args:
        text: the whole file, decoded from UTF-8.
        name: how messages call the file.

    Raises:
        RefusedInput: REG_SYNTAX, REG_SCHEMA, REG_DUP, REG_CYCLE, REG_EMPTY, REG_UNKNOWN, REG_RULES, NAME,
            TOO_BIG or a KEY code; the message starts with ``name:line:column: ``.
    """
    source = Source(text, name)
    top = Table(source, (), source.load())
    secrets, git = _read_settings(top)
    users = {key: read_user(key, table) for key, table in _entries(top, "users", "user")}
    hosts = {key: read_host(key, table) for key, table in _entries(top, "hosts", "host")}
    for key in hosts:
        if key in users:
            raise source.refuse(Code.REG_DUP, ("hosts", key), f"{key} is already the name of a user")
    group_table = top.table("groups")
    groups = _read_groups(group_table)
    principals = users.keys() | hosts.keys()
    check_groups(group_table, groups, principals)
    tables = list(top.tables("rules"))
    lines = rule_lines(top, len(tables))
    rules = tuple(read_rule(table, line) for table, line in zip(tables, lines, strict=True))
    check_readers(tables, rules, groups, principals)
    keyring = read_keyring(top.tables("keyring"))
    top.finish("the registry")
    warnings = _shared_keys(source, users, hosts)
    return Registry(secrets, git, users, hosts, groups, rules, name, warnings, keyring)


def _read_settings(top: Table) -> tuple[str, str]:
    if not top.has("secretsmith"):
        raise top.refuse(
            Code.REG_SCHEMA,
            None,
            "no [secretsmith] table",
            "write [secretsmith] with version = 1, or run: secretsmith init",
        )
    table = top.table("secretsmith")
    version = table.number("version")
    if version is None:
        raise table.refuse(Code.REG_SCHEMA, None, "no version", f"write version = {REGISTRY_VERSION}")
    if version != REGISTRY_VERSION:
        raise table.refuse(
            Code.REG_SCHEMA,
            "version",
            f"version {version} is not known; this secretsmith reads version {REGISTRY_VERSION}",
            "a newer secretsmith may have written this registry",
        )
    secrets = table.text("secrets")
    git = table.text("git")
    table.finish("[secretsmith]")
    if git is not None and git not in GIT_SETTINGS:
        hints = did_you_mean(git, GIT_SETTINGS)
        raise table.refuse(
            Code.REG_SCHEMA, "git", f"git {shown(git)} is none of {', '.join(GIT_SETTINGS)}", *hints
        )
    return _folder(table, "secrets" if secrets is None else secrets), git or "intent"


def _folder(table: Table, text: str) -> str:
    folder = text.removesuffix("/")
    parts = folder.split("/")
    if folder == "." or (folder.isprintable() and not any(part in ("", ".", "..", ".git") for part in parts)):
        return folder
    raise table.refuse(Code.REG_SCHEMA, "secrets", f"{shown(text)} is no folder below that of the registry")


def _entries(top: Table, key: str, what: str) -> Iterator[tuple[str, Table]]:
    table = top.table(key)
    for name in table.names():
        check_name(table, name, what)
        yield name, table.table(name)


def _read_groups(table: Table) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for name in table.names():
        check_name(table, name, "group")
        groups[name] = table.texts(name) or ()
    return groups


def _shared_keys(
    source: Source, users: Mapping[str, User], hosts: Mapping[str, Host]
) -> tuple[RegistryWarning, ...]:
    """Warn of a key that stands under two names: taking it from one does not take it from the other."""
    seen: dict[str, tuple[str, KeyPath]] = {}
    warnings = []
    everyone: list[tuple[str, Principal]] = [("users", user) for user in users.values()]
    everyone += [("hosts", host) for host in hosts.values()]
    for kind, principal in everyone:
        for index, use in enumerate(key_uses(principal)):
            now = len(principal.keys)
            at: KeyPath = ("keys", index) if index < now else ("retired", index - now, "key")
            path = (kind, principal.name, *at)
            other, before = seen.setdefault(use.key.fingerprint, (principal.name, path))
            if other != principal.name:
                message = f"{principal.name} and {other} have the same key {use.key.fingerprint}"
                hint = (
                    f"also at {source.place(before)}; taking it from one name does not take it from the other"
                )
                warnings.append(RegistryWarning(Code.REG_DUP, f"{source.place(path)}: {message}", hint))
    return tuple(warnings)


__all__ = [
    "GIT_SETTINGS",
    "REGISTRY_NAME",
    "REGISTRY_VERSION",
    "Registry",
    "RegistryWarning",
    "parse_registry",
]
