"""What is said of a host whose key is not the one that its secrets are for: in the same words on the host and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

CHANGED: Final = "the host key changed: the machine was probably reinstalled"


def key_here(fingerprint: str, path: str, written: float, now: float) -> str:
    """Say which key the host has, and since when: ``written`` and ``now`` are in seconds since 1970."""
    return f"this host's key is {_age(int(now - written))}: {fingerprint} ({path})"


def registered_key(host: str, fingerprints: Sequence[str]) -> str:
    """Say which key the registry has for ``host``."""
    return f"the registry's key of {host} is {', '.join(fingerprints)}"


def files_behind(host: str) -> str:
    """Say that the key is right and the files are not."""
    return f"the registry has this very key for {host}, so the files are behind the registry"


def reprovision(host: str, line: str | None) -> str:
    """Give the command that registers the key ``line`` (as in a ``.pub`` file, without its comment; None: not known)."""
    return f'secretsmith host reprovision {host} --key "{line or "ssh-ed25519 …"}"'


def on_workstation(command: str) -> str:
    """Say where a command is to be run that a host cannot run itself."""
    return f"on your workstation: {command}"


def _age(seconds: int) -> str:
    if seconds < 0:
        return "dated in the future"
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} old"
    return "brand new"


__all__ = ["CHANGED", "files_behind", "key_here", "on_workstation", "registered_key", "reprovision"]
