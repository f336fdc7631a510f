"""The key groups that rules describe: who is in each, and how many of them it takes."""

from __future__ import annotations

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, RefusedInput
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted


def wanted_groups(registry: Registry, wanted: Wanted) -> list[dict[str, PublicKey]]:
    """Give the keys, by fingerprint, of each group that the rules want: one when they name no groups.

    An admin whom no group names is in each, because an admin reads everything. Hosts without a key are left out.

    Raises:
        RefusedInput: REG_EMPTY for a group in which nobody has a key.
    """
    if wanted.key_groups is None:
        return [dict(wanted.keys)]
    members = [registry.membership.readers_of(frozenset(words)) for words in wanted.key_groups]
    named = {name for group in members for name in (*group.names, *group.pending)}
    everywhere = {
        key.fingerprint: key for user in registry.admins() if user.name not in named for key in user.keys
    }
    groups = [{**group.keys, **everywhere} for group in members]
    for number, keys in enumerate(groups):
        if not keys:
            words = ", ".join(wanted.key_groups[number])
            raise RefusedInput(
                Code.REG_EMPTY,
                f"nobody in key group {number + 1} of rule {wanted.rules[0].pattern} has a key: {words}",
                hints=("give one of them a key, or take the group out of the rule",),
            )
    return groups


def wanted_threshold(wanted: Wanted, groups: int) -> int | None:
    """Give how many of so many groups are needed: all, when the rules do not say; None for one group.

    Raises:
        RefusedInput: RULES for a number that sops does not know (sops: shamir/shamir.go, Split).
    """
    if groups == 1:
        return None
    needed = wanted.shamir_threshold or groups
    if needed < 2:
        raise RefusedInput(
            Code.RULES,
            f"rule {wanted.rules[0].pattern} wants {needed} of {groups} key groups, and sops knows no fewer than 2",
            hints=("for readers who each open it alone, leave out key_groups",),
        )
    return needed


__all__ = ["wanted_groups", "wanted_threshold"]
