"""Users and hosts as the registry declares them, and what is known of each of their keys.

Plain data: nothing in here reads a file or decides who may read what.
"""

from __future__ import annotations

import re
from enum import StrEnum

from secretsmith.crypto.publickey import PublicKey
from secretsmith.record import record

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}\Z")
"""What a user, host or group may be called.

No slash, blank, control character or leading dash: a name becomes a command-line argument, a part of a
file name and a word of a message.
"""

NAME_RULE = "a name is 1 to 63 letters, digits, '.', '_' or '-', not starting with '.' or '-'"


def is_name(text: str) -> bool:
    """Say whether ``text`` may name a user, a host or a group."""
    return NAME.match(text) is not None


class UserStatus(StrEnum):
    """What a user is now."""

    ACTIVE = "active"
    REMOVED = "removed"


class HostStatus(StrEnum):
    """What a host is now. A pending host is known by name and may not have a key yet."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"
    COMPROMISED = "compromised"


class RetireReason(StrEnum):
    """Why a key is no longer in use."""

    REINSTALLED = "reinstalled"
    REPLACED = "replaced"
    COMPROMISED = "compromised"


class KeyState(StrEnum):
    """What one use of a key is worth: only an active one may read."""

    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"
    COMPROMISED = "compromised"


@record
class RetiredKey:
    """A key that a principal had; ``since`` and ``until`` are dates as YYYY-MM-DD."""

    key: PublicKey
    since: str | None
    until: str | None
    reason: RetireReason


@record
class User:
    """A person. ``admin`` reads everything while the user is active."""

    name: str
    keys: tuple[PublicKey, ...]
    admin: bool = False
    status: UserStatus = UserStatus.ACTIVE
    retired: tuple[RetiredKey, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether the user may read anything at all."""
        return self.status is UserStatus.ACTIVE


@record
class Host:
    """A machine. ``address`` is what ``ssh`` is given to reach it; none means the name itself."""

    name: str
    keys: tuple[PublicKey, ...]
    status: HostStatus = HostStatus.ACTIVE
    address: str | None = None
    retired: tuple[RetiredKey, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether the host may read anything at all."""
        return self.status in (HostStatus.ACTIVE, HostStatus.PENDING)


Principal = User | Host


@record
class KeyUse:
    """One key in the hands of one principal; the same key may have several uses."""

    principal: str
    state: KeyState
    key: PublicKey


_CURRENT_STATE: dict[UserStatus | HostStatus, KeyState] = {
    UserStatus.ACTIVE: KeyState.ACTIVE,
    UserStatus.REMOVED: KeyState.REMOVED,
    HostStatus.PENDING: KeyState.ACTIVE,
    HostStatus.ACTIVE: KeyState.ACTIVE,
    HostStatus.RETIRED: KeyState.RETIRED,
    HostStatus.COMPROMISED: KeyState.COMPROMISED,
}


def key_uses(principal: Principal) -> tuple[KeyUse, ...]:
    """List every key of a principal, present ones first, each with what it is worth."""
    state = _CURRENT_STATE[principal.status]
    uses = [KeyUse(principal.name, state, key) for key in principal.keys]
    for old in principal.retired:
        gone = KeyState.COMPROMISED if old.reason is RetireReason.COMPROMISED else KeyState.RETIRED
        uses.append(KeyUse(principal.name, gone, old.key))
    return tuple(uses)


__all__ = [
    "NAME",
    "NAME_RULE",
    "Host",
    "HostStatus",
    "KeyState",
    "KeyUse",
    "Principal",
    "RetireReason",
    "RetiredKey",
    "User",
    "UserStatus",
    "is_name",
    "key_uses",
]
