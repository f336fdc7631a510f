"""Why a private key of this host cannot be used: one message for each cause, with the command that mends it."""

from __future__ import annotations

import os
import re
import stat
from shlex import quote

from secretsmith.errors import Code, SecretsmithError

_PUBLIC = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(?:ssh-|ecdsa-sha2-|sk-|age1|-{4,5} ?BEGIN [A-Z0-9 ]*PUBLIC KEY)")


def missing(path: str) -> SecretsmithError:
    """Describe a key file that is not there: a host that was never booted, or a filesystem that is not mounted yet."""
    hints = [_make(path)]
    folder = os.path.dirname(path)
    if not os.path.lexists(folder):
        hints.insert(0, f"the folder {folder} is not there either: is its filesystem mounted?")
    return SecretsmithError(
        Code.NO_IDENTITY, f"no identity yet: {path} does not exist", hints=hints, path=path
    )


def _make(path: str) -> str:
    if "host" in os.path.basename(path):
        return "sshd makes its host keys with: ssh-keygen -A"
    return f"make one: ssh-keygen -t ed25519 -N '' -f {quote(path)}, or: age-keygen -o {quote(path)}"


def empty(path: str) -> SecretsmithError:
    """Describe a key file with nothing in it, as a power cut leaves it."""
    text = f"{path} is empty: there is no identity in the file"
    # What makes keys asks before it writes over a file, or refuses to.
    return SecretsmithError(Code.EMPTY, text, hints=(f"rm {quote(path)}", _make(path)), path=path)


def unreadable(path: str) -> SecretsmithError:
    """Describe a key file that the system does not let us read: whose it is, or which folder is in the way."""
    us = os.geteuid()
    text = f"{path} cannot be read by user {us}: {_obstacle(path)}"
    # Root passes everything, unless the capability for it was taken away.
    hint = "see CapabilityBoundingSet= of the unit: CAP_DAC_READ_SEARCH is missing"
    if us != 0:
        hint = f"a key that user {us} owns is needed, or run it as root"
    return SecretsmithError(Code.ACCESS, text, hints=(hint,), path=path)


def _obstacle(path: str) -> str:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        folder = os.path.dirname(path)
        while folder not in ("", "/") and not os.access(os.path.dirname(folder), os.X_OK, effective_ids=True):
            folder = os.path.dirname(folder)
        return f"the folder {folder} is closed to that user"
    return f"it belongs to user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"


def foreign(path: str, uid: int) -> SecretsmithError:
    """Describe a key file of somebody who is not trusted."""
    return SecretsmithError(
        Code.ACCESS,
        f"{path} belongs to user {uid}, who could exchange it",
        hints=(f"chown {os.geteuid()} {quote(path)}",),
        path=path,
    )


def exposed(path: str) -> SecretsmithError:
    """Describe a key file that others can read or write."""
    hints = (f"chmod 600 {quote(path)}", "who could read it has the key: make a new one if that was anybody")
    return SecretsmithError(Code.ACCESS, f"{path} is readable or writable by others", hints=hints, path=path)


def is_symlink(path: str) -> SecretsmithError | None:
    """Describe a symlink in the key file's place and where it points; None if it is none."""
    try:
        target = os.readlink(path)
    except OSError:
        return None
    shown = quote(os.path.normpath(os.path.join(os.path.dirname(path), target)))
    if not shown.isprintable():
        shown = "it points to"
    return SecretsmithError(
        Code.NOT_REGULAR,
        f"{path} is a symlink, not a regular file",
        hints=(f"name the file itself in the manifest's identities: {shown}",),
        path=path,
    )


def is_public(data: bytes) -> bool:
    """Tell whether a file holds a public key, where a private one is wanted."""
    return _PUBLIC.match(data) is not None


def public(path: str) -> SecretsmithError:
    """Describe a public key in the private one's place."""
    private = path.removesuffix(".pub")
    hint = "name the private key in the manifest's identities" + (f": {private}" if private != path else "")
    return SecretsmithError(
        Code.KEY_FORMAT, f"{path} is a public key; the private one is wanted", hints=(hint,), path=path
    )


def locked(path: str, *, is_ssh: bool) -> SecretsmithError:
    """Describe a key under a passphrase."""
    hint = f"take it off: ssh-keygen -p -N '' -f {quote(path)}"
    if not is_ssh:
        hint = f"take it off: (umask 077; age -d {quote(path)} > {quote(path + '.new')}), and put that in its place"
    return SecretsmithError(
        Code.PASSPHRASE,
        f"{path} has a passphrase, and activation never asks for one",
        hints=(hint,),
        path=path,
    )


def plugins_only(path: str) -> SecretsmithError:
    """Describe a file with identities of plugins and no other."""
    return SecretsmithError(
        Code.KEY_UNSUPPORTED,
        f"{path} has plugin identities only, and activation runs no plugins",
        hints=("a plugin would be a program of somebody else that runs as root: add a key of age or ssh",),
        path=path,
    )


def wrong_type(path: str, error: SecretsmithError) -> SecretsmithError:
    """Describe a key of a type that opens nothing (ECDSA, DSA …); ``error`` says which."""
    hint = "ssh-keygen -A makes an ed25519 host key: name that in the manifest's identities"
    return SecretsmithError(error.code, f"{path}: {error.message}", hints=(hint,), path=path)


__all__ = [
    "empty",
    "exposed",
    "foreign",
    "is_public",
    "is_symlink",
    "locked",
    "missing",
    "plugins_only",
    "public",
    "unreadable",
    "wrong_type",
]
