"""What ``check`` says of the registry, of the lock as a whole, and of what git knows."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence

from secretsmith.crypto.publickey import KeyKind
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.policy.forms import point_of_key, point_of_recipient
from secretsmith.policy.lock import LOCK_NAME, Debt
from secretsmith.policy.principals import KeyState, KeyUse, key_uses
from secretsmith.policy.resolve import unused_rules
from secretsmith.policy.words import shown
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.store.git import ignored, in_git, tracked

_PLACE = re.compile(re.escape(REGISTRY_NAME) + r":(\d+):\d+: ")


def registry_findings(project: Project, files: Sequence[str]) -> Iterator[Finding]:
    """Yield what is allowed in the registry and probably not meant; ``files`` are all secrets."""
    for warning in project.registry.warnings:
        place = _PLACE.match(warning.message)
        message = warning.message[place.end() :] if place else warning.message
        line = int(place[1]) if place else 0
        yield Finding(warning.code, "warning", REGISTRY_NAME, message, warning.hint, line=line)
    yield from _two_forms(project)
    yield from _admins(project)
    for name, host in sorted(project.registry.hosts.items()):
        if host.reads and not host.keys:
            yield Finding(
                Code.PENDING,
                "info",
                REGISTRY_NAME,
                f"host {name} has no key yet",
                f'secretsmith host reprovision {name} --key "ssh-ed25519 …"',
            )
    for rule in unused_rules(project.registry, files):
        yield Finding(
            Code.UNUSED_RULE,
            "info",
            REGISTRY_NAME,
            f"the rule {rule.pattern} names no file",
            f"secretsmith revoke {shlex.quote(rule.pattern)} --from {','.join(rule.readers)}",
            line=rule.line,
        )
    known = set(files) if project.registry.keyring else set()
    for entry in project.registry.keyring:
        if entry.secret not in known:
            yield Finding(
                Code.KEYRING_SECRET,
                "warning",
                REGISTRY_NAME,
                f"[[keyring]] names {entry.secret}, which is no secret here",
                f"take its table out of {REGISTRY_NAME}, or name the secret that {shown(entry.service)} gets",
            )


def _two_forms(project: Project) -> Iterator[Finding]:
    """Find keys that are registered as ssh key and as the ``age1…`` that is made of it: two fingerprints, one private key."""
    uses: dict[bytes, list[KeyUse]] = defaultdict(list)
    everyone = [use for principal in project.registry.everyone() for use in key_uses(principal)]
    if not any(use.key.kind is KeyKind.X25519 for use in everyone):
        return
    for use in everyone:
        if (point := point_of_key(use.key) or point_of_recipient(use.key)) is not None:
            uses[point].append(use)
    for same in uses.values():
        if len({use.key.kind for use in same}) > 1:
            yield _one_key(same)


def _one_key(same: Sequence[KeyUse]) -> Finding:
    owners = sorted({use.principal for use in same})
    keys = " and ".join(dict.fromkeys(f"{use.key.kind} {use.key.fingerprint}" for use in same))
    states = sorted({use.state for use in same if use.state is not KeyState.ACTIVE})
    active = any(use.state is KeyState.ACTIVE for use in same)
    if len(owners) > 1:
        message = f"{' and '.join(owners)} have the same key, in two forms: {keys}"
        hint = "taking it from one name does not take it from the other: make another key for one of them"
        return Finding(Code.REG_DUP, "warning", REGISTRY_NAME, message, hint)
    if states and active:
        message = f"a key of {owners[0]} is {states[0]} in one form and in use in the other: {keys}"
        return Finding(
            Code.REG_DUP, "warning", REGISTRY_NAME, message, f"take both forms of it from {owners[0]}"
        )
    message = f"{owners[0]} has the same key twice, in two forms: {keys}"
    return Finding(
        Code.REG_DUP, "info", REGISTRY_NAME, message, "one of the two is enough: it opens both forms"
    )


def _admins(project: Project) -> Iterator[Finding]:
    if len([key for user in project.registry.admins() for key in user.keys]) == 1:
        yield Finding(
            Code.SINGLE_ADMIN,
            "warning",
            REGISTRY_NAME,
            "there is one admin key: when it is lost, so is every value",
            "secretsmith user add recovery --admin --key age1…",
        )


def lock_findings(project: Project) -> Iterator[Finding]:
    """Yield what the lock knows of files that are gone, and the values that somebody who lost access still knows."""
    for path in sorted(project.lock.files):
        if not (project.root / path).is_file():
            yield Finding(
                Code.LOCK_STALE,
                "warning",
                path,
                "is in the lock, and there is no such file",
                f"secretsmith rm --force {shlex.quote(path)}, or take it back from git",
            )
    owed: dict[str, list[Debt]] = defaultdict(list)
    for debt in project.lock.debt:
        if debt.reason != "reinstalled":  # the old disk is gone, most of the time; `debt --all` has them
            owed[debt.path].append(debt)
    for path, debts in owed.items():
        yield _owed(path, debts)


def _owed(path: str, debts: Sequence[Debt]) -> Finding:
    named = ", ".join(dict.fromkeys(f"{debt.principal} ({debt.reason}, {debt.since})" for debt in debts))
    # In wrong hands it is an emergency. What somebody knows who left in peace is for `debt` to insist on.
    grave = any(debt.reason == "compromised" for debt in debts)
    return Finding(
        Code.DEBT,
        "warning" if grave else "info",
        path,
        f"holds a value that is known to {named} and has not been changed since",
        f"change the value: secretsmith edit {shlex.quote(path)}; all that is owed: secretsmith debt",
    )


def git_findings(project: Project, files: Sequence[str]) -> Iterator[Finding]:
    """Yield what git does not know of, or ignores: registry, lock and secrets."""
    if project.registry.git == "off" or not in_git(project.root):
        return
    ours = [name for name in (REGISTRY_NAME, LOCK_NAME) if (project.root / name).is_file()]
    try:
        known = tracked(project.root)
        missing = [path for path in (*ours, *files) if path not in known]
        hidden = ignored(project.root, missing)
    except SecretsmithError as error:
        yield Finding(
            error.code, "warning", "", f"{error.message}, so what git knows was not looked at", "git status"
        )
        return
    for path in missing:
        add = f"git add {shlex.quote(path)}"
        if path in hidden:
            yield Finding(
                Code.IGNORED,
                "warning",
                path,
                "git ignores it, so no other clone has it",
                f"mend .gitignore, then {add}",
            )
        else:
            yield Finding(Code.UNTRACKED, "warning", path, "git does not track it: flakes do not see it", add)


__all__ = ["git_findings", "lock_findings", "registry_findings"]
