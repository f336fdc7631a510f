"""Whom a manifest is for, as the registry has it: whose keys have to open what it declares."""

from __future__ import annotations

from collections.abc import Iterator

from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, Scope
from secretsmith.policy.principals import Host, Principal, RetiredKey
from secretsmith.policy.registry import REGISTRY_NAME, Registry
from secretsmith.policy.words import did_you_mean
from secretsmith.record import record


@record
class Subject:
    """The reader that a manifest is for.

    ``keys`` are fingerprints; each has to open its secrets, or, if ``any_key``, one of them.
    """

    principal: Principal
    keys: tuple[str, ...]
    any_key: bool = False

    @property
    def name(self) -> str:
        """What the registry calls it."""
        return self.principal.name

    @property
    def is_host(self) -> bool:
        """Whether it is a machine. What a person may read and does not declare says nothing."""
        return isinstance(self.principal, Host)

    def former(self, fingerprint: str) -> RetiredKey | None:
        """Return what is known of a key that it once had, None for any other."""
        return next((old for old in self.principal.retired if old.key.fingerprint == fingerprint), None)


def find_subject(manifest: Manifest, registry: Registry) -> tuple[Subject | None, list[Finding]]:
    """Return whose keys have to open the secrets, None when nobody's could, and what is wrong with that."""
    principal = _principal(manifest, registry)
    if principal is None:
        return None, [_nobody(manifest, registry)]
    if not principal.reads or not principal.keys:
        return None, [_reads_nothing(principal)]
    keys = tuple(key.fingerprint for key in principal.keys)
    found = list(_other_key(manifest, principal, keys))
    if isinstance(principal, Host):
        return Subject(principal, keys), found
    # A person may have many keys, and which of them lies on the machine only host_key says.
    if manifest.host_key in keys:
        return Subject(principal, (manifest.host_key,)), found
    return Subject(principal, keys, any_key=True), found


def _principal(manifest: Manifest, registry: Registry) -> Principal | None:
    if manifest.scope is Scope.SYSTEM:
        return registry.hosts.get(manifest.host)
    # A session's secrets are for whoever has the key; the machine it runs on is no reader of them.
    if manifest.host_key is not None:
        uses = registry.key_owner(manifest.host_key)
        return registry.principal(uses[0].principal) if uses else None
    return registry.users.get(manifest.host)


def _nobody(manifest: Manifest, registry: Registry) -> Finding:
    host = manifest.host
    if manifest.scope is Scope.SYSTEM:
        near = did_you_mean(host, registry.hosts)
        hint = near[0] if near else f"secretsmith host add {host} --scan"
        message = f"the manifest is for {host}, and the registry has no such host"
        return Finding(Code.REG_UNKNOWN, "error", REGISTRY_NAME, message, hint)
    if manifest.host_key is not None:
        message = f"the manifest is for the key {manifest.host_key}, which the registry never named"
        return Finding(
            Code.REG_UNKNOWN, "error", REGISTRY_NAME, message, "secretsmith user add NAME --key-file FILE"
        )
    return Finding(
        Code.ASSUMED,
        "info",
        "",
        f"the manifest (scope user, on {host}) does not say whose key opens its secrets, so that was not looked at",
        'say it in the manifest: "host_key": "SHA256:…" of a registered user',
    )


def _reads_nothing(principal: Principal) -> Finding:
    name = principal.name
    if principal.reads:
        return Finding(
            Code.PENDING,
            "error",
            REGISTRY_NAME,
            f"{name} is pending in the registry: it has no key, so nothing is encrypted for it",
            f"secretsmith host reprovision {name} --scan",
        )
    again = f"secretsmith host reprovision {name} --scan, or take it out of the build"
    return Finding(
        Code.NOT_GRANTED,
        "error",
        REGISTRY_NAME,
        f"{name} is {principal.status} in the registry, and reads nothing",
        again if isinstance(principal, Host) else f"take {name} out of the build",
    )


def _other_key(manifest: Manifest, principal: Principal, keys: tuple[str, ...]) -> Iterator[Finding]:
    """Find a manifest that was made when another key was registered, or that does not go with this registry."""
    if manifest.host_key is None or manifest.host_key in keys:
        return
    old = Subject(principal, keys).former(manifest.host_key)
    remark = "" if old is None else f" ({described_former(principal.name, old)})"
    yield Finding(
        Code.HOST_KEY,
        "error",
        REGISTRY_NAME,
        f"{principal.name} is registered as {' and '.join(keys)} but the manifest was made for {manifest.host_key}{remark}",
        f"make the manifest again: secretsmith build manifest {manifest.host}",
    )


def described_former(name: str, old: RetiredKey) -> str:
    """Say what a former key was: "old key of web1, reinstalled 2026-11-20"."""
    return f"old key of {name}, {old.reason}" + (f" {old.until}" if old.until else "")


__all__ = ["Subject", "described_former", "find_subject"]
