"""Who is running, and which numbers a manifest's owners are on this host."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import ManifestEntry
from secretsmith.record import field, record

_ALL_IDS = ((0, 0xFFFF_FFFF),)
Ranges = tuple[tuple[int, int], ...]


class Accounts(Protocol):
    """The host's users and groups by name."""

    def uid(self, name: str) -> int | None:
        """Return the number of a user, or None."""

    def gid(self, name: str) -> int | None:
        """Return the number of a group, or None."""


class SystemAccounts:
    """Users and groups as the C library finds them (passwd, LDAP, DynamicUser …), each asked for once."""

    def __init__(self) -> None:
        self._uids: dict[str, int | None] = {}
        self._gids: dict[str, int | None] = {}

    def uid(self, name: str) -> int | None:
        """Return the number of a user, or None."""
        return _once(self._uids, name, lambda: pwd.getpwnam(name).pw_uid)

    def gid(self, name: str) -> int | None:
        """Return the number of a group, or None."""
        return _once(self._gids, name, lambda: grp.getgrnam(name).gr_gid)


def _once(known: dict[str, int | None], name: str, ask: Callable[[], int]) -> int | None:
    if name not in known:
        try:
            known[name] = ask()
        except KeyError:
            known[name] = None
    return known[name]


@record
class Ownership:
    """The numbers that a file gets."""

    uid: int
    gid: int


@record
class Caller:
    """The user that activation runs as, and what that user may give away."""

    uid: int
    gid: int
    groups: frozenset[int]
    owner_self: bool = False
    uids: Ranges = _ALL_IDS
    gids: Ranges = _ALL_IDS
    trusted: frozenset[int] = field(default_factory=lambda: frozenset({0}))

    @classmethod
    def current(cls, *, owner_self: bool = False) -> Caller:
        """Describe this process. ``owner_self``: every file belongs to the caller, whatever the manifest says."""
        uids, gids = _id_map("/proc/self/uid_map"), _id_map("/proc/self/gid_map")
        trusted = {0, os.geteuid()}
        if not _is_mapped(_OVERFLOW, uids):
            # In a user namespace the real root's folders (/, /run, /tmp) belong to nobody that has a number here.
            trusted.add(_OVERFLOW)
        return cls(
            uid=os.geteuid(),
            gid=os.getegid(),
            groups=frozenset({os.getegid(), *os.getgroups()}),
            owner_self=owner_self,
            uids=uids,
            gids=gids,
            trusted=frozenset(trusted),
        )

    @property
    def is_machine_root(self) -> bool:
        """Whether this is the machine's root; in a user namespace uid 0 is an ordinary user."""
        return self.uid == 0 and self.trusted == {0}

    def resolve(self, entry: ManifestEntry, accounts: Accounts) -> Ownership:
        """Return the owner and group of an entry.

        Raises:
            SecretsmithError: OWNER, if one of them does not exist here or is not ours to give.
        """
        if self.owner_self:
            return Ownership(self.uid, self.gid)
        uid = _number(entry.owner, accounts.uid)
        gid = _number(entry.group, accounts.gid)
        if uid is None:
            raise _unknown("user", entry.owner)
        if gid is None:
            raise _unknown("group", entry.group)
        if self.uid != 0 and (uid != self.uid or gid not in self.groups):
            raise _not_ours(entry, "only root can give files to others")
        if not _is_mapped(uid, self.uids) or not _is_mapped(gid, self.gids):
            raise _not_ours(entry, "this user namespace does not have them")
        return Ownership(uid, gid)


_OVERFLOW = (
    65534  # kernel default of /proc/sys/kernel/overflowuid: what a user without a number here looks like
)


def _number(account: str, find: Callable[[str], int | None]) -> int | None:
    if account == "root":
        return 0  # also where there is no passwd file yet
    return int(account) if account.isdigit() else find(account)


def _unknown(what: str, name: str) -> SecretsmithError:
    hint = f"create the {what} before activation, or name another {'owner' if what == 'user' else 'group'}"
    return SecretsmithError(Code.OWNER, f"the {what} {name} does not exist on this host", hints=(hint,))


def _not_ours(entry: ManifestEntry, why: str) -> SecretsmithError:
    hint = "run as root, or give --owner-self (a demo: every file belongs to you)"
    return SecretsmithError(Code.OWNER, f"owner {entry.owner}, group {entry.group}: {why}", hints=(hint,))


def _id_map(path: str) -> Ranges:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _ALL_IDS  # a kernel without user namespaces
    with os.fdopen(descriptor, encoding="ascii") as lines:
        rows = [line.split() for line in lines]
    return tuple((int(first), int(first) + int(count)) for first, _, count in rows)


def _is_mapped(number: int, ranges: Ranges) -> bool:
    return any(first <= number < end for first, end in ranges)


def _name(ask: Callable[[], str], number: int) -> str:
    try:
        return ask()
    except (KeyError, OverflowError):
        return str(number)


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """Return the name of a user, or the number as a text."""
    return _name(lambda: pwd.getpwuid(uid).pw_name, uid)


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str:
    """Return the name of a group, or the number as a text."""
    return _name(lambda: grp.getgrgid(gid).gr_name, gid)


__all__ = ["Accounts", "Caller", "Ownership", "SystemAccounts", "group_name", "user_name"]
