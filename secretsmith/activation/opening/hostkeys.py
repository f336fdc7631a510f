"""The host's private keys, as the manifest names them. They are read, never copied, and nobody is asked for anything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from secretsmith.activation.opening import keyproblems
from secretsmith.activation.opening.sources import read_regular
from secretsmith.crypto.agesecret import AgeSecret, parse_age_identities
from secretsmith.crypto.identity import AgeIdentity, Identity, SshIdentity
from secretsmith.crypto.parameters import MAX_IDENTITY_FILE
from secretsmith.crypto.privatekey import LockedSshKey, SshPrivateKey, parse_ssh_private_key
from secretsmith.errors import CannotDecrypt, Code, SecretsmithError
from secretsmith.record import record

_START = 200  # characters that tell what a file is


@record
class HostKey:
    """One private key, the file it came from, and when that file was written (seconds since 1970)."""

    identity: Identity
    path: str
    written: float


@record
class HostKeys:
    """All keys that could be read, and why others could not."""

    keys: tuple[HostKey, ...]
    problems: tuple[SecretsmithError, ...]

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The keys as identities, in the manifest's order."""
        return tuple(key.identity for key in self.keys)


def load_host_keys(paths: Iterable[str], trusted: frozenset[int]) -> HostKeys:
    """Read every identity file; one that cannot be used is a problem in the result, not an error.

    The codes of problems: NO_IDENTITY for a file that does not exist (yet); ACCESS for one that cannot be read, that
    belongs to nobody in ``trusted``, or that others can read; NOT_REGULAR, EMPTY, TOO_BIG; PASSPHRASE; KEY_UNSUPPORTED
    for ECDSA and others that nothing is encrypted to, and for plugins; KEY_FORMAT for public keys and garbage.
    """
    keys: list[HostKey] = []
    problems: list[SecretsmithError] = []
    for path in paths:
        try:
            keys.extend(_load(path, trusted))
        except SecretsmithError as error:
            found = error.at(path)
            problems.append(CannotDecrypt(found.code, found.message, hints=found.hints, path=path))
    return HostKeys(tuple(keys), tuple(problems))


def _load(path: str, trusted: frozenset[int]) -> list[HostKey]:
    data, found = _read(path)
    if keyproblems.is_public(data):
        # Before permissions: those of a public key are as they should be.
        raise keyproblems.public(path)
    if found.st_uid not in trusted:
        raise keyproblems.foreign(path, found.st_uid)
    if found.st_mode & 0o077:
        raise keyproblems.exposed(path)
    return [HostKey(identity, path, found.st_mtime) for identity in _identities(data, path)]


def _read(path: str) -> tuple[bytes, os.stat_result]:
    try:
        return read_regular(path, MAX_IDENTITY_FILE)
    except SecretsmithError as error:
        if error.code is Code.NOT_FOUND:
            raise keyproblems.missing(path) from None
        if error.code is Code.ACCESS:
            raise keyproblems.unreadable(path) from None
        raise (keyproblems.is_symlink(path) or error) from None


def _identities(data: bytes, path: str) -> list[Identity]:
    start = data.lstrip()[:_START]
    if start.startswith(b"PuTTY-") or (start.startswith(b"-----BEGIN ") and b"PRIVATE KEY-----" in start):
        return [SshIdentity(_ssh_key(data, path), path)]
    if not start:
        raise keyproblems.empty(path)
    try:
        found = parse_age_identities(data)
    except SecretsmithError as error:
        if error.code is Code.PASSPHRASE:
            raise keyproblems.locked(path, is_ssh=False) from None
        raise
    # A plugin would be a program of somebody else running as root at boot.
    secrets = [secret for secret in found if isinstance(secret, AgeSecret)]
    if not secrets:
        raise keyproblems.plugins_only(path)
    return [AgeIdentity(secret, path) for secret in secrets]


def _ssh_key(data: bytes, path: str) -> SshPrivateKey:
    try:
        key = parse_ssh_private_key(data)
    except SecretsmithError as error:
        if error.code is Code.KEY_UNSUPPORTED and not data.lstrip().startswith(b"PuTTY-"):
            raise keyproblems.wrong_type(path, error) from None
        raise
    if isinstance(key, LockedSshKey):
        raise keyproblems.locked(path, is_ssh=True)
    return key


__all__ = ["HostKey", "HostKeys", "load_host_keys"]
