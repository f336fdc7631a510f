"""The host's private keys, as the manifest names them. They are read, never copied, and nobody is asked for anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from secretsmith.activation.sources import read_regular
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.parameters import MAX_IDENTITY_FILE
from secretsmith.crypto.privatekey import LockedSshKey, parse_ssh_private_key
from secretsmith.errors import CannotDecrypt, Code, NotFound, SecretsmithError


@dataclass(frozen=True, slots=True)
class HostKey:
    """One private key, the file it came from, and when that file was written (seconds since 1970)."""

    identity: Identity
    path: str
    written: float


@dataclass(frozen=True, slots=True)
class HostKeys:
    """All keys that could be read, and why others could not."""

    keys: tuple[HostKey, ...]
    problems: tuple[SecretsmithError, ...]

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The keys as identities, in the manifest's order."""
        return tuple(key.identity for key in self.keys)


def load_host_keys(paths: Iterable[str], trusted: frozenset[int]) -> HostKeys:
    """Read every identity file; one that cannot be used is a problem in the result, not an error."""
    keys: list[HostKey] = []
    problems: list[SecretsmithError] = []
    for path in paths:
        try:
            keys.extend(_load(path, trusted))
        except NotFound:
            problems.append(
                CannotDecrypt(
                    Code.NO_IDENTITY,
                    f"no identity yet: {path} does not exist",
                    hints=("sshd makes its host keys with: ssh-keygen -A",),
                    path=path,
                )
            )
        except SecretsmithError as error:
            problems.append(CannotDecrypt(error.code, error.at(path).message, hints=error.hints, path=path))
    return HostKeys(tuple(keys), tuple(problems))


def _load(path: str, trusted: frozenset[int]) -> list[HostKey]:
    data, found = read_regular(path, MAX_IDENTITY_FILE)
    if found.st_uid not in trusted:
        raise SecretsmithError(
            Code.ACCESS, f"{path} belongs to user {found.st_uid}, who could exchange it", path=path
        )
    if found.st_mode & 0o077:
        hint = f"chmod 600 {quote(path)}"
        raise SecretsmithError(
            Code.ACCESS, f"{path} is readable or writable by others", hints=(hint,), path=path
        )
    return [HostKey(identity, path, found.st_mtime) for identity in _identities(data, path)]


def _identities(data: bytes, path: str) -> list[Identity]:
    if data.lstrip().startswith(b"-----BEGIN ") and b"PRIVATE KEY-----" in data[:200]:
        key = parse_ssh_private_key(data)
        if isinstance(key, LockedSshKey):
            raise SecretsmithError(
                Code.PASSPHRASE,
                f"{path} has a passphrase, and activation never asks for one",
                hints=(f"ssh-keygen -p -N '' -f {quote(path)}",),
                path=path,
            )
        return [SshIdentity(key, path)]
    # A plugin would be a program of somebody else running as root at boot.
    secrets = [secret for secret in parse_age_identities(data) if isinstance(secret, AgeSecret)]
    if not secrets:
        raise SecretsmithError(
            Code.KEY_UNSUPPORTED,
            f"{path} has plugin identities only, and activation runs no plugins",
            path=path,
        )
    return [AgeIdentity(secret, path) for secret in secrets]


__all__ = ["HostKey", "HostKeys", "load_host_keys"]
