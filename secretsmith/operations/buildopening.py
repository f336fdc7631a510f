"""Whether the registered key of a manifest's host opens a file, as far as that can be told without a private key.

An ssh stanza bears the key's tag, and a sops document names its recipients: then the file itself says it. An ``X25519`` stanza
of an age file is anonymous, and the lock may know whose it is, if it knows this very content. Else nobody can tell.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Literal

from secretsmith.crypto.evidence import Evidence
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.operations.buildsources import Source
from secretsmith.operations.buildsubject import Subject, described_former
from secretsmith.operations.keygroups import service_names
from secretsmith.operations.whonames import in_words
from secretsmith.policy.drift import Present, present_readers
from secretsmith.policy.lock import LockEntry
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.record import record

Proof = Literal["file", "lock", "untold", "refused"]
"""What shows that a file opens; ``untold`` when nothing does, ``refused`` when it is known not to."""

_NAMED = 5  # strange recipients in one message


@record
class Opening:
    """What is known of one file, and what is wrong with it."""

    proof: Proof
    findings: tuple[Finding, ...] = ()


def judge_opening(
    registry: Registry, subject: Subject, source: Source, wanted: Wanted | None, entry: LockEntry | None
) -> Opening:
    """Say whether ``subject`` opens ``source``, whose evidence is known.

    ``entry`` is what the lock records of exactly this content, None if nothing.
    """
    seen = source.evidence or ()
    by_file = frozenset(key for key in subject.keys if any(_names(registry, item, key) for item in seen))
    if len(source.groups) > 1 and by_file:
        return _of_groups(registry, subject, source)
    if _enough(subject, by_file):
        return Opening("file")
    anonymous = sum(_may_hide(item) for item in seen)
    if not anonymous:
        return _refused(registry, subject, source, present_readers(registry, seen, wanted), by_file)
    present = present_readers(registry, seen, wanted, entry)
    if present.basis != "lock":
        return Opening("untold", (_untold(subject, source, anonymous, entry),))
    opened = by_file | (present.keys & frozenset(subject.keys))
    if _enough(subject, opened):
        return Opening("lock")
    return _refused(registry, subject, source, present, opened)


def _enough(subject: Subject, opened: frozenset[str]) -> bool:
    return bool(opened) if subject.any_key else opened.issuperset(subject.keys)


def _may_hide(item: Evidence) -> bool:
    """Say whether a stanza may be for an ed25519 key, or for the ``age1…`` of a person, without saying so."""
    return item.kind == "x25519" and item.tag is None and item.recipient is None


def _names(registry: Registry, item: Evidence, fingerprint: str) -> bool:
    """Say whether a stanza names the key: by its tag, or by its recipient in either form."""
    uses = registry.key_owner(fingerprint)
    if item.tag is not None:
        return any(use.key.tag == item.tag and use.key.kind == item.kind for use in uses)
    return item.recipient is not None and _stands_for(registry, item.recipient, fingerprint)


def _stands_for(registry: Registry, recipient: str, fingerprint: str) -> bool:
    return any(use.key.fingerprint == fingerprint for use in registry.by_recipient(recipient))


def _of_groups(registry: Registry, subject: Subject, source: Source) -> Opening:
    """Count the key groups that the host opens: one key is enough only if so many groups have it."""
    counts = [
        sum(any(_stands_for(registry, text, key) for text in group) for group in source.groups)
        for key in subject.keys
    ]
    opened = max(counts) if subject.any_key else min(counts)
    if opened >= source.needed:
        return Opening("file")
    message = (
        f"{subject.name} opens {opened} of the {len(source.groups)} key groups of {source.path},"
        f" and {source.needed} are needed: a host is on its own"
    )
    hint = "keep what hosts read in a document without key groups, or name the host in enough of them"
    return Opening("refused", (Finding(Code.KEY_GROUPS, "error", source.path, message, hint, "file"),))


def _refused(
    registry: Registry, subject: Subject, source: Source, present: Present, opened: frozenset[str]
) -> Opening:
    """Describe a file that is for others: most often for the key that the host had before it was reinstalled."""
    missing = [key for key in subject.keys if key not in opened]
    former = [old for key in sorted(present.keys) if (old := subject.former(key)) is not None]
    whom = [f"{old.key.fingerprint} ({described_former(subject.name, old)})" for old in former]
    if not former:
        whom = list(_others(registry, present, source.services))
    path, registered = source.path, f"{subject.name} is registered as {' and '.join(missing)}"
    message = f"{registered} but {path} is encrypted for {', '.join(whom)}: run secretsmith rekey"
    if opened:  # a key is being replaced, and which of the two the host has by now is not known
        message = f"{registered}, too, but {path} is encrypted for {', '.join(sorted(opened))} alone: run secretsmith rekey"
    basis: Literal["lock", "file"] = "lock" if present.basis == "lock" else "file"
    finding = Finding(
        Code.FORMER_KEY if former and not opened else Code.DRIFT,
        "warning" if opened else "error",
        path,
        message,
        f"secretsmith rekey {shlex.quote(path)}",
        basis,
    )
    return Opening(basis if opened else "refused", (finding,))


def _others(registry: Registry, present: Present, services: Sequence[str]) -> Iterable[str]:
    names = {uses[0].principal for key in present.keys if (uses := registry.key_owner(key))}
    if names:
        yield in_words(registry, names)
    yield from ("a passphrase" if name == "scrypt" else name for name in present.unknown[:_NAMED])
    if len(present.unknown) > _NAMED:
        yield f"{len(present.unknown) - _NAMED} more that the registry never named"
    if services:  # activation opens files with age keys alone
        yield service_names(services)
    if not names and not present.unknown and not services:
        yield "nobody"


def _untold(subject: Subject, source: Source, anonymous: int, entry: LockEntry | None) -> Finding:
    recipients = "an anonymous recipient" if anonymous == 1 else f"{anonymous} anonymous recipients"
    path = source.path
    if entry is None:
        why = "the lock does not know this content"
    else:
        why = f"the lock {'only assumes whose' if entry.basis == 'assumed' else 'does not account for them'}"
    return Finding(
        Code.ASSUMED,
        "info",
        path,
        f"cannot tell whether it opens on {subject.name}: it has {recipients}, and {why}",
        f"any write settles it, for instance: secretsmith rotate {shlex.quote(path)}; then commit the lock",
        "assumed",
    )


__all__ = ["Opening", "Proof", "judge_opening"]
