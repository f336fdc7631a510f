"""``init``: a registry with its first admin, an empty lock, and git's attributes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.operations.changes import parse_key
from secretsmith.operations.keyfiles import read_key_file
from secretsmith.policy.edit import new_registry
from secretsmith.policy.lock import LOCK_NAME, Lock, dump_lock
from secretsmith.policy.principals import NAME_RULE, is_name
from secretsmith.policy.words import shown
from secretsmith.project import REGISTRY_NAME, find_root
from secretsmith.record import record
from secretsmith.store.accepted import AcceptedKeys
from secretsmith.store.atomic import read_file
from secretsmith.store.clone import state_dir
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.registration import register_new, remember_new
from secretsmith.store.transaction import Transaction

ATTRIBUTES_NAME: Final = ".gitattributes"
# -text: a changed line end would change the digest in the lock. The drivers are set up in each clone; without them git
# falls back to its own.
ATTRIBUTES: Final = (
    "*.age -text diff=secretsmith merge=secretsmith",
    f"{LOCK_NAME} text eol=lf merge=secretsmith-lock",
    f"{REGISTRY_NAME} merge=secretsmith-lock",
)
_HEADING: Final = "# secretsmith"
_MAX_BYTES: Final = 1024 * 1024


@record
class Initialised:
    """``written`` are the files made or changed, relative to ``root``; ``notes`` are for whoever ran it."""

    root: Path
    user: str
    keys: tuple[PublicKey, ...]
    written: tuple[str, ...]
    notes: tuple[str, ...]


@record
class DefaultKey:
    """The public key that a user has by default, and what was passed over."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def default_user(environ: Mapping[str, str]) -> str | None:
    """Return the login name, if it can name a user."""
    name = environ.get("USER") or environ.get("LOGNAME") or ""
    return name if is_name(name) else None


def default_key(environ: Mapping[str, str]) -> DefaultKey:
    """Return the lines of ``~/.ssh/id_ed25519.pub``. An RSA key is not taken by default.

    Raises:
        NotFound: there is none; the hints say how to name or make one.
    """
    folder = Path(environ.get("HOME") or "~").expanduser() / ".ssh"
    rsa = folder / "id_rsa.pub"
    notes = (f"{rsa} is ignored: RSA keys are taken only when named with --key",) if rsa.is_file() else ()
    try:
        lines = read_key_file(folder / "id_ed25519.pub")
    except NotFound:
        raise NotFound(
            Code.NOT_FOUND,
            f"no public key at {folder}/id_ed25519.pub",
            hints=(*notes, "name one: secretsmith init --key FILE", "or make one: ssh-keygen -t ed25519"),
        ) from None
    return DefaultKey(lines, notes)


def initialise(
    root: Path, *, user: str, lines: Sequence[str], secrets: str = "secrets", git: str = "intent"
) -> Initialised:
    """Start a registry in ``root`` with ``user`` as admin.

    Raises:
        RefusedInput: EXISTS, there is a registry; NAME; a KEY code; REG_SCHEMA, ``secrets`` is no folder below.
        Conflict: CHANGED, somebody else started one at the same moment.
    """
    if not is_name(user):
        raise RefusedInput(
            Code.NAME, f"{shown(user)} cannot name a user", hints=(NAME_RULE, "secretsmith init --user NAME")
        )
    if os.path.lexists(root / REGISTRY_NAME):
        raise RefusedInput(
            Code.EXISTS,
            f"{root / REGISTRY_NAME}: exists already",
            hints=("secretsmith user list", "secretsmith host list"),
        )
    keys = tuple({key.fingerprint: key for key in (parse_key(line, user) for line in lines)}.values())
    text = new_registry(user, [key.line for key in keys], secrets=secrets, git=git)
    notes = _parent_notes(root)
    state = state_dir(root)
    with repository_lock(state), Transaction(root, state) as transaction:
        created = _stage(transaction, root, text)
        remember_new(root, state, created, git)
        transaction.commit()
        notes += register_new(root, state, git)
    accepted = AcceptedKeys.load(state)
    accepted.add(*(key.fingerprint for key in keys))
    accepted.save()
    return Initialised(root, user, keys, tuple(created), notes)


def _stage(transaction: Transaction, root: Path, registry: str) -> list[str]:
    transaction.stage(REGISTRY_NAME, registry.encode(), expect=None)
    written = [REGISTRY_NAME]
    if not os.path.lexists(root / LOCK_NAME):
        transaction.stage(LOCK_NAME, dump_lock(Lock()).encode(), expect=None)
        written.append(LOCK_NAME)
    try:
        before: bytes | None = read_file(root / ATTRIBUTES_NAME, _MAX_BYTES)
    except NotFound:
        before = None
    after = with_attributes(before or b"")
    if after != before:
        expect = None if before is None else hashlib.sha256(before).hexdigest()
        transaction.stage(ATTRIBUTES_NAME, after, expect=expect)
        written.append(ATTRIBUTES_NAME)
    return written


def with_attributes(text: bytes) -> bytes:
    """Return a .gitattributes that has our lines, with everything else in it as it was; the second time nothing changes."""
    known = {b" ".join(line.split()) for line in text.splitlines()}
    missing = [line for line in ATTRIBUTES if line.encode() not in known]
    if not missing:
        return text
    gap = b"" if not text else b"\n" if text.endswith(b"\n") else b"\n\n"
    heading = [] if _HEADING.encode() in known else [_HEADING]
    return text + gap + "\n".join([*heading, *missing, ""]).encode()


def _parent_notes(root: Path) -> tuple[str, ...]:
    above = find_root(root.absolute().parent, {})
    if above is None:
        return ()
    return (f"there is another registry above, in {above}; from here down, this one holds",)


__all__ = [
    "ATTRIBUTES",
    "DefaultKey",
    "Initialised",
    "default_key",
    "default_user",
    "initialise",
    "with_attributes",
]
