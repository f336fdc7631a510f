"""Examinations of the hosts of activation tests, as ``secretsmith doctor`` does, and what came of them in short."""

from __future__ import annotations

import os
from collections.abc import Iterable

from hosts import IS_ROOT, Host, fingerprint

from secretsmith.activation.doctor.facts import Examination, Fact
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.activation.units.files import MOUNT, RETRY
from secretsmith.activation.units.telling import UnitOptions
from secretsmith.findings import Finding
from secretsmith.record import replace


def running(patterns: Iterable[str], options: UnitOptions) -> list[UnitFacts]:
    """A machine on which every unit is as it should be."""
    return [unit(name) for name in patterns]


def unit(name: str, **changes: object) -> UnitFacts:
    sub, active = ("dead", "inactive") if name in (MOUNT, RETRY) else ("exited", "active")
    usual = UnitFacts(name, "loaded", active, sub, "success", "enabled", None, 1.0, 1.0, (), ())
    return replace(usual, **changes)


def off(found: Examination | Iterable[Fact | Finding]) -> list[Finding]:
    """What makes the exit status 3, but for tests that do not run as root."""
    said = found.findings if isinstance(found, Examination) else found
    return [
        item
        for item in said
        if isinstance(item, Finding)
        and item.severity != "info"
        and (IS_ROOT or "what only root can see" not in item.message)
    ]


def only(found: Examination | Iterable[Fact | Finding]) -> Finding:
    (item,) = off(found)
    return item


def told(found: Examination | Iterable[Fact | Finding], about: str) -> list[str]:
    said = found.facts if isinstance(found, Examination) else found
    return [item.text for item in said if isinstance(item, Fact) and item.about == about]


def own() -> dict[str, str]:
    return {} if IS_ROOT else {"owner": str(os.getuid()), "group": str(os.getgid())}


def prepare(host: Host) -> Host:
    """Give the host two secrets that are as they should be."""
    host.add("db", b"hunter2")
    host.add("smtp", b"hunter2")
    host.manifest["host_key"] = fingerprint(host.key)
    if not IS_ROOT:
        for secret in host.manifest["secrets"]:
            secret |= {"owner": str(os.getuid()), "group": str(os.getgid())}
    return host
