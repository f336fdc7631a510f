"""What a unit of activation may do: as little as writing secrets takes, so that a hostile source gains as little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secretsmith.activation.units.quoting import word
from secretsmith.manifest import CredentialKey, Manifest, ManifestEntry, Phase, is_below

STATE_FOLDER = "secretsmith"  # below /var/lib: what was put at custom paths, over a reboot
_RUNTIME = "/run"  # the filesystems in memory, the links to them, lock files, the status

_CALLS = "SystemCallFilter=@system-service"
# None of these makes a mount namespace: in one, a mount would be seen by nobody else, and a user's manager has none to give.
_EVERYWHERE = (
    "UMask=0077",
    "LimitCORE=0",
    "MemorySwapMax=0",
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    _CALLS,
    "SystemCallErrorNumber=EPERM",
)
# chown, chmod of what is another's, writing below folders of owners, becoming the owner for a path below a home. Mounting
# is not among them: a unit of its own does that.
_CAPABILITIES = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SETGID CAP_SETUID"
_OF_THE_SYSTEM = (
    f"CapabilityBoundingSet={_CAPABILITIES}",
    "LimitMEMLOCK=infinity",
    "KeyringMode=private",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=read-only",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProtectSystem=strict",
)


def mount_sandbox() -> tuple[str, ...]:
    """Return the settings for the unit that mounts, in the mount namespace of the machine."""
    calls = (f"{line} @mount" if line == _CALLS else line for line in _EVERYWHERE)
    return (*calls, "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_ADMIN")


def user_sandbox() -> tuple[str, ...]:
    """Return the settings for a unit of a user's manager, which has no mount namespaces to give."""
    return _EVERYWHERE


def system_sandbox(writable: Iterable[str], key: CredentialKey | None = None) -> tuple[str, ...]:
    """Return the settings for a unit of the machine; below ``writable`` it may write, and nowhere else.

    ``key`` is what it encrypts credentials with: it needs the TPM's device then, or to make the machine's secret.
    """
    # A missing one must not keep the others from being installed. One a line: there may be many.
    paths = (f"ReadWritePaths={word(path, prefix='-')}" for path in writable)
    return (*_EVERYWHERE, *_of_the_system(key), *paths)


def _of_the_system(key: CredentialKey | None) -> Iterator[str]:
    for line in _OF_THE_SYSTEM:
        if line == "PrivateDevices=yes" and key in (CredentialKey.TPM2, CredentialKey.BOTH):
            yield from ("DevicePolicy=closed", "DeviceAllow=/dev/tpmrm0 rw")
        else:
            yield line
    if key in (CredentialKey.HOST, CredentialKey.BOTH):
        yield "ReadWritePaths=-/var/lib/systemd"


def writable_folders(manifest: Manifest, phases: Iterable[Phase], placed: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that activation of ``phases`` writes to, without those below another.

    ``placed`` are custom paths of an earlier manifest, which activation removes.
    """
    found = {_RUNTIME}
    for view in map(manifest.for_phase, phases):
        found.update(map(_parent, (view.directory, view.generations)))
        found.update(map(_parent, _custom_paths(view.entries())))
    found.update(map(_parent, placed))
    kept: list[str] = []
    for path in sorted(found, key=lambda item: item.split("/")):
        if not kept or not is_below(path, kept[-1].rstrip("/")):
            kept.append(path)
    return tuple(kept)


def _custom_paths(entries: Iterable[ManifestEntry]) -> Iterator[str]:
    return (entry.path for entry in entries if entry.path is not None)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


__all__ = ["STATE_FOLDER", "mount_sandbox", "system_sandbox", "user_sandbox", "writable_folders"]
