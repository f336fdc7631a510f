"""Is this computer one of the registry's hosts, and which host key does it have? Needs no private key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secretsmith import hostkeytext
from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key
from secretsmith.errors import RefusedInput, SecretsmithError
from secretsmith.identities.sources import HOST_KEY
from secretsmith.policy.principals import Host, KeyState
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.atomic import read_file

if TYPE_CHECKING:
    from secretsmith.policy.registry import Registry

OWN_KEY: Final = Path(f"{HOST_KEY}.pub")
_MAX_KEY_FILE: Final = 64 * 1024


@record
class KeyHere:
    """A host key of this computer: the file it lies in, and when that was written (seconds since 1970)."""

    key: PublicKey
    path: str
    written: float


@record
class Here:
    """This computer: its name, the key that its sshd shows, and what time it is."""

    node: str
    key: KeyHere | None
    now: float


def look_here(project: Project, own_key: Path = OWN_KEY) -> Here:
    """Look at this computer: a host key among the identities counts before that of sshd."""
    import time  # only who explains asks for it

    return Here(os.uname().nodename, _named_key(project) or _own_key(own_key), time.time())


def is_here(host: Host, here: Here, registry: Registry) -> bool:
    """Say whether this computer is ``host``: it is called so, or has a key that is or was the host's."""
    if here.key is not None:
        uses = registry.key_owner(here.key.key.fingerprint)
        if uses:
            return any(use.principal == host.name for use in uses) or _called(host, here)
    return _called(host, here)


def host_here(project: Project, here: Here) -> Host | None:
    """Return the host of the registry that this computer is."""
    found = [host for host in project.registry.hosts.values() if is_here(host, here, project.registry)]
    named = [host for host in found if _called(host, here)]
    return next(iter(named or found), None)


def wrong_key(project: Project, host: Host, here: Here) -> tuple[str, ...]:
    """Say what is the matter with the key of this computer, which is ``host``, and what mends it, last; () if it is right."""
    active = [key.fingerprint for key in host.keys] if host.reads else []
    if here.key is None:
        return ("this host has no ssh-ed25519 host key", "ssh-keygen -A")
    key = here.key.key
    if key.fingerprint in active:
        return ()
    lines = [hostkeytext.key_here(key.fingerprint, here.key.path, here.key.written, here.now)]
    if active:
        lines.append(hostkeytext.registered_key(host.name, active))
    uses = project.registry.key_owner(key.fingerprint)
    if any(use.principal != host.name for use in uses):
        lines.append(f"it is the key of {uses[0].principal}: two computers with one key are one reader")
        return (*lines, f"rm /etc/ssh/ssh_host_* && ssh-keygen -A, {_then(host)}")
    if any(use.state is not KeyState.ACTIVE for use in uses):
        lines.append(f"it is a {uses[0].state} key of {host.name}, and does not come back into use")
        return (*lines, f"rm /etc/ssh/ssh_host_* && ssh-keygen -A, {_then(host)}")
    if active:
        lines.append(hostkeytext.CHANGED)
    return (*lines, hostkeytext.on_workstation(hostkeytext.reprovision(host.name, key.text)))


def _then(host: Host) -> str:
    return f"then {hostkeytext.on_workstation(hostkeytext.reprovision(host.name, None))}"


def _called(host: Host, here: Here) -> bool:
    first = here.node.partition(".")[0]
    return host.name in (here.node, first) or (
        host.address is not None and host.address in (here.node, first)
    )


def _named_key(project: Project) -> KeyHere | None:
    for tried in project.ring.survey():
        if tried.path is None or tried.recipient is None:
            continue
        if os.path.basename(tried.path).startswith("ssh_host_") and tried.recipient.startswith(
            "ssh-ed25519 "
        ):
            return _key_at(tried.recipient, tried.path)
    return None


def _own_key(path: Path) -> KeyHere | None:
    try:
        text = read_file(path, _MAX_KEY_FILE).decode("ascii", "replace")
    except SecretsmithError:
        return None
    return _key_at(text.strip(), str(path))


def _key_at(line: str, path: str) -> KeyHere | None:
    try:
        key, written = parse_public_key(line), os.stat(path).st_mtime
    except (RefusedInput, OSError):
        return None
    return KeyHere(key, path, written) if key.kind is KeyKind.ED25519 else None


__all__ = ["Here", "KeyHere", "host_here", "is_here", "look_here", "wrong_key"]
