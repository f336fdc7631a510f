"""Hosts: add, list, give a reinstalled one its new key, retire."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from secretsmith.crypto.publickey import PublicKey, parse_public_key, require_host_key
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
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
from secretsmith.policy.principals import Host, HostStatus, RetireReason
from secretsmith.policy.registry import Registry
from secretsmith.policy.words import did_you_mean, shown
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.atomic import read_file

OWN_HOST_KEY: Final = Path("/etc/ssh/ssh_host_ed25519_key.pub")
_MAX_KEY_FILE = 64 * 1024


@record
class HostAdded:
    """``outcome``: "added", "activated" (it was pending), or "known" (it has this key already)."""

    changed: Changed
    name: str
    key: PublicKey | None
    outcome: Literal["added", "activated", "known"]
    notes: tuple[str, ...] = ()


@record
class HostRow:
    """One active key of a host; a host without one has one row without key fields.

    ``recipient`` is the derived ``age1…``, ``ssh`` the key line without its comment.
    """

    name: str
    fingerprint: str | None
    recipient: str | None
    ssh: str | None
    status: str


@record
class HostRetired:
    """``status`` is what the host is now; ``keys`` are those that it had until then."""

    changed: Changed
    name: str
    status: HostStatus
    keys: tuple[PublicKey, ...]


@record
class HostReprovisioned:
    """``old`` keys are retired, ``new`` is in use, and beside it ``kept`` ones."""

    changed: Changed
    name: str
    old: tuple[PublicKey, ...]
    new: PublicKey
    notes: tuple[str, ...] = ()
    kept: tuple[PublicKey, ...] = ()


def host_key(line: str, name: str) -> PublicKey:
    """Parse the public key line of the host ``name``.

    Raises:
        RefusedInput: a KEY code; KEY_UNSUPPORTED with the reason for every key that is not ed25519.
    """
    key = parse_key(line, name)
    require_host_key(key, name)
    return key


def add_host(
    project: Project,
    name: str,
    key: PublicKey | None,
    *,
    address: str | None = None,
    rekey: RekeyChoice | None = None,
    own_key: Path = OWN_HOST_KEY,
) -> HostAdded:
    """Register a host; without a key it is pending, and a pending host gets its key this way.

    A host that has a key gets another by :func:`reprovision_host`. ``rekey`` as in :func:`change_registry`.

    Raises:
        RefusedInput: NAME, NAME_CLASH; EXISTS, the host has another key or the key another owner.
    """
    outcome: list[Literal["added", "activated", "known"]] = []

    def change(registry: Registry, text: str) -> str:
        check_new_name(registry, name, "host")
        if key is not None:
            refuse_foreign_key(registry, key, name)
        host = registry.hosts.get(name)
        lines = [key.line] if key is not None else []
        if host is None:
            outcome.append("added")
            return edit.add_host(text, name, lines, address=address)
        if key is not None and any(mine.fingerprint == key.fingerprint for mine in host.keys) and host.reads:
            outcome.append("known")
            return text
        if host.status is not HostStatus.PENDING or host.keys or key is None:
            raise _exists(host)
        outcome.append("activated")
        return edit.set_host_keys(text, name, lines, address=address)

    changed = change_registry(project, change, shown_keys=[key] if key else [], rekey=rekey)
    notes = _own_key_notes(name, key, own_key) if key else ()
    return HostAdded(changed, name, key, outcome[0], notes)


def _exists(host: Host) -> RefusedInput:
    if host.status is HostStatus.PENDING:
        return RefusedInput(
            Code.EXISTS,
            f"{host.name} is registered already",
            hints=(f"secretsmith host add {host.name} --key …",),
        )
    keys = ", ".join(key.fingerprint for key in host.keys)
    has = f"is registered with another key ({keys})" if keys else f"is registered as {host.status}"
    return RefusedInput(
        Code.EXISTS,
        f"{host.name} {has}",
        hints=(f"if it was reinstalled: secretsmith host reprovision {host.name} --key …",),
    )


def _own_key_notes(name: str, key: PublicKey, own_key: Path) -> tuple[str, ...]:
    """Say so when the key is this computer's own and the name is not: the line was probably copied here, not there."""
    here = os.uname().nodename
    if name in (here, here.partition(".")[0]):
        return ()
    try:
        own = parse_public_key(read_file(own_key, _MAX_KEY_FILE).decode("ascii", "replace").strip())
    except SecretsmithError:
        return ()
    if own.fingerprint != key.fingerprint:
        return ()
    return (f"this is the host key of the computer you are on ({here}); is {name} another one?",)


def host_rows(registry: Registry) -> tuple[HostRow, ...]:
    """Return one row for each active key, in the order of the registry; hosts without any have one row of their own."""
    rows = []
    for host in registry.hosts.values():
        keys = host.keys if host.reads else ()
        status = str(host.status)
        rows += [HostRow(host.name, key.fingerprint, key.derived, key.text, status) for key in keys]
        if not keys:
            rows.append(HostRow(host.name, None, None, None, status))
    return tuple(rows)


def known_host(registry: Registry, name: str) -> Host:
    """Return the host called ``name``; NotFound with the nearest name."""
    principal = registry.hosts.get(name)
    if principal is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"no host is called {shown(name)}",
            hints=(*did_you_mean(name, registry.hosts), "secretsmith host list"),
        )
    return principal


def retire_reason(text: str) -> RetireReason:
    """Return the reason that ``text`` names; RefusedInput USAGE."""
    try:
        return RetireReason(text)
    except ValueError:
        raise RefusedInput(
            Code.USAGE, f"{shown(text)} is no reason: it is one of {', '.join(RetireReason)}"
        ) from None


def retire_host(
    project: Project,
    name: str,
    *,
    compromised: bool = False,
    reason: RetireReason | None = None,
    rekey: RekeyChoice | None = None,
) -> HostRetired:
    """Take a host out of service: its keys move to its retired ones, and what it could read is owed a new value.

    ``rekey`` as in :func:`change_registry`; a host that is retired already may still be in files. A retired host can still be declared compromised.
    """
    status = HostStatus.COMPROMISED if compromised else HostStatus.RETIRED
    why = RetireReason.COMPROMISED if compromised else reason or RetireReason.REPLACED
    had: list[PublicKey] = []

    def change(registry: Registry, text: str) -> str:
        host = known_host(registry, name)
        had.extend(host.keys)
        if host.status in (status, HostStatus.COMPROMISED) and not host.keys:
            return text
        return edit.retire_host(text, name, status=status, until=project.today, reason=why)

    def losing(_: Registry) -> Mapping[str, DebtReason]:
        return {name: "compromised" if compromised else "retired"}

    changed = change_registry(project, change, losing=losing, rekey=rekey)
    return HostRetired(changed, name, changed.project.registry.hosts[name].status, tuple(had))


def reprovision_host(
    project: Project,
    name: str,
    key: PublicKey,
    *,
    reason: RetireReason = RetireReason.REINSTALLED,
    keep_old: bool = False,
    rekey: RekeyChoice | None = None,
    own_key: Path = OWN_HOST_KEY,
) -> HostReprovisioned:
    """Give a host a new key; the keys it had are retired with today's date. ``rekey`` as in :func:`change_registry`.

    What the old key could read is recorded as debt: a reinstalled host's only counts when asked for.

    ``keep_old`` is for a host that runs on while its key is replaced: both keys read, the new one listed last, until this is
    called again with the one that stays.

    Raises:
        NotFound: no such host.
        RefusedInput: EXISTS, the key has or had another owner, was given up, or would be a third one.
    """
    had: list[PublicKey] = []

    def change(registry: Registry, text: str) -> str:
        host = known_host(registry, name)
        if [mine.fingerprint for mine in host.keys] == [key.fingerprint] and host.status is HostStatus.ACTIVE:
            return text
        refuse_foreign_key(registry, key, name)
        if keep_old:
            return _with_second_key(project, host, text, key, reason)
        had.extend(mine for mine in host.keys if mine.fingerprint != key.fingerprint)
        return edit.replace_host_keys(text, name, [key.line], until=project.today, reason=reason)

    def losing(_: Registry) -> Mapping[str, DebtReason]:
        if keep_old:
            return {}
        return {name: "compromised" if reason is RetireReason.COMPROMISED else "reinstalled"}

    changed = change_registry(project, change, losing=losing, shown_keys=[key], rekey=rekey)
    keys = changed.project.registry.hosts[name].keys
    kept = tuple(mine for mine in keys if mine.fingerprint != key.fingerprint)
    return HostReprovisioned(changed, name, tuple(had), key, _own_key_notes(name, key, own_key), kept)


def _with_second_key(project: Project, host: Host, text: str, key: PublicKey, reason: RetireReason) -> str:
    if any(mine.fingerprint == key.fingerprint for mine in host.keys):
        return text
    if len(host.keys) > 1:
        raise RefusedInput(
            Code.EXISTS,
            f"{host.name} has two keys already, and a third one would be one too many",
            hints=(f"end the replacement first: secretsmith host reprovision {host.name} --drop-old",),
        )
    lines = [*(mine.line for mine in host.keys), key.line]
    return edit.replace_host_keys(text, host.name, lines, until=project.today, reason=reason)


__all__ = [
    "OWN_HOST_KEY",
    "HostAdded",
    "HostReprovisioned",
    "HostRetired",
    "HostRow",
    "RetireReason",
    "add_host",
    "host_key",
    "host_rows",
    "known_host",
    "reprovision_host",
    "retire_host",
    "retire_reason",
]
