"""Users: add, list, remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.changes import (
    Changed,
    RekeyChoice,
    change_registry,
    check_new_name,
    parse_key,
    refuse_foreign_key,
)
from secretsmith.policy import edit
from secretsmith.policy.lock import DebtReason
from secretsmith.policy.principals import User, UserStatus
from secretsmith.policy.registry import Registry
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.project import Project
from secretsmith.record import record


@record
class UserAdded:
    """``changed.written`` is False when the user is registered with exactly these keys already."""

    changed: Changed
    name: str
    keys: tuple[PublicKey, ...]
    admin: bool


@record
class UserRemoved:
    """``keys`` are those that nothing is encrypted to any more after a rekey."""

    changed: Changed
    name: str
    keys: tuple[PublicKey, ...]


def add_user(
    project: Project,
    name: str,
    lines: Sequence[str],
    *,
    admin: bool = False,
    rekey: RekeyChoice | None = None,
) -> UserAdded:
    """Register a user with at least one public key line. ``rekey`` as in :func:`change_registry`.

    Raises:
        RefusedInput: NAME, NAME_CLASH, a KEY code; EXISTS, the name or a key is taken; USAGE, no key.
    """
    if not lines:
        raise RefusedInput(
            Code.USAGE,
            f"{name}: no public key given",
            hints=(f'secretsmith user add {name} --key "ssh-ed25519 …"',),
        )
    keys = tuple({key.fingerprint: key for key in (parse_key(line, name) for line in lines)}.values())

    def change(registry: Registry, text: str) -> str:
        check_new_name(registry, name, "user")
        for key in keys:
            refuse_foreign_key(registry, key, name)
        user = registry.users.get(name)
        if user is None:
            return edit.add_user(text, name, [key.line for key in keys], admin=admin)
        known = {key.fingerprint for key in user.keys}
        if user.reads and known == {key.fingerprint for key in keys} and user.admin >= admin:
            return text
        raise _exists(user)

    changed = change_registry(project, change, shown_keys=keys, rekey=rekey)
    return UserAdded(changed, name, keys, admin)


def _exists(user: User) -> RefusedInput:
    state = "" if user.reads else " and was removed"
    return RefusedInput(
        Code.EXISTS,
        f"{user.name} is registered already{state}",
        hints=(
            f"for another key or admin, edit [users.{user.name}] in secretsmith.toml, then: secretsmith rekey",
        ),
    )


def remove_user(project: Project, name: str, *, rekey: RekeyChoice | None = None) -> UserRemoved:
    """Take a user's access away; the keys stay on record, so that what they are still in counts as drift.

    ``rekey`` as in :func:`change_registry`.

    Raises:
        NotFound: no such user.
        RefusedInput: NO_ADMIN, it is the last admin.
    """
    had: list[PublicKey] = []

    def change(registry: Registry, text: str) -> str:
        user = known_user(registry, name)
        had.extend(user.keys)
        return text if user.status is UserStatus.REMOVED else edit.remove_user(text, name)

    def losing(_: Registry) -> Mapping[str, DebtReason]:
        return {name: "removed"}

    return UserRemoved(change_registry(project, change, losing=losing, rekey=rekey), name, tuple(had))


def known_user(registry: Registry, name: str) -> User:
    """Return the user called ``name``; NotFound with the nearest name."""
    user = registry.users.get(name)
    if user is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"no user is called {shown(name)}",
            hints=(*did_you_mean(name, registry.users), "secretsmith user list"),
        )
    return user


__all__ = ["UserAdded", "UserRemoved", "add_user", "known_user", "remove_user"]
