"""``blast-radius``: what the keys of one principal open, now and in git history. Needs no key.

All its keys count, also those that were retired: whoever got hold of the machine or its backups may have any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.documents.format import Format, format_of
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.operations.access import Reader, readers_by_key, sealed_keys
from secretsmith.operations.readers import quick_drift, read_sealed
from secretsmith.operations.revisions import all_secrets
from secretsmith.policy.drift import Basis, tag_of
from secretsmith.policy.forms import point_of_key, point_of_recipient
from secretsmith.policy.principals import key_uses
from secretsmith.project import Project
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.crypto.evidence import Evidence
    from secretsmith.documents.metadata import Metadata

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@record(slots=False)
class Holder:
    """Whose keys are looked for: all that a principal ever had, or one by its fingerprint.

    ``name`` is None for a key that the registry never named; of such a one only the ssh tag and the lock can tell.
    """

    name: str | None
    keys: tuple[PublicKey, ...]
    fingerprints: frozenset[str]
    tags: frozenset[str]
    points: frozenset[bytes]

    def named_by(self, recipient: str) -> bool:
        """Say whether a recipient, as documents name it, is one of these keys in any form."""
        try:
            key = parse_public_key(recipient)
        except RefusedInput:
            return False
        return key.fingerprint in self.fingerprints or point_of_recipient(key) in self.points

    def tagged_in(self, evidence: Iterable[Evidence]) -> bool:
        """Say whether a stanza bears the tag of one of these keys (four bytes: a hint that can be forged)."""
        return any(item.tag in self.tags for item in evidence if item.tag is not None)

    def groups_opened(self, metadata: Metadata) -> int:
        """Count the key groups of a document that these keys open."""
        return sum(any(self.named_by(entry.recipient) for entry in group.age) for group in metadata.groups)


@record
class Opened:
    """A secret that the keys open now.

    ``keys`` are the slash paths of a document, None for whole files. ``through`` are the fingerprints that open it, ``hosts``
    all hosts that read it. ``alone`` is false when it takes other key groups as well. ``retired``: by no key in use.
    """

    path: str
    keys: tuple[str, ...] | None
    through: tuple[str, ...]
    basis: Basis
    hosts: tuple[str, ...]
    alone: bool = True
    retired: bool = False


@record
class BlastRadius:
    """What the keys open. ``problems`` are files of which nothing is known, with the reason."""

    holder: Holder
    now: tuple[Opened, ...]
    problems: tuple[tuple[str, str], ...] = ()


def holder_of(project: Project, word: str) -> Holder:
    """Return whose keys ``word`` means: the name of a user or host, or ``SHA256:…``.

    Raises:
        NotFound: nobody is called that.
        RefusedInput: KEY_FORMAT, no fingerprint.
    """
    if not word.startswith("SHA256:"):
        principal = project.registry.principal(word)
        return holder_with(word, [use.key for use in key_uses(principal)])
    if not _FINGERPRINT.fullmatch(word):
        raise RefusedInput(
            Code.KEY_FORMAT,
            f"{word[:80]!r} is no fingerprint",
            hints=("it is SHA256: and 43 characters, as ssh-keygen -lf prints it",),
        )
    uses = project.registry.key_owner(word)
    if uses:
        return holder_with(uses[0].principal, [uses[0].key])
    tag = tag_of(word)
    return Holder(None, (), frozenset((word,)), frozenset(() if tag is None else (tag,)), frozenset())


def holder_with(name: str | None, keys: Sequence[PublicKey]) -> Holder:
    """Return the holder of ``keys``."""
    points = (point_of_key(key) or point_of_recipient(key) for key in keys)
    return Holder(
        name,
        tuple(keys),
        frozenset(key.fingerprint for key in keys),
        frozenset(key.tag for key in keys if key.tag is not None),
        frozenset(point for point in points if point is not None),
    )


def blast_radius(project: Project, holder: Holder) -> BlastRadius:
    """Return what the keys of ``holder`` open in the work tree. Documents are read for their keys, other files if need be."""
    now: list[Opened] = []
    known: dict[frozenset[str], tuple[Reader, ...]] = {}  # a fleet has few sets of readers
    problems: list[tuple[str, str]] = []
    for path in all_secrets(project):
        try:
            opened = _opened(project, holder, path, known)
        except SecretsmithError as error:
            problems.append((path, error.message.removeprefix(f"{path}: ")))
            continue
        if opened is not None:
            now.append(opened)
    project.index.save()
    return BlastRadius(holder, tuple(now), tuple(problems))


def _opened(
    project: Project, holder: Holder, path: str, known: dict[frozenset[str], tuple[Reader, ...]]
) -> Opened | None:
    judged = quick_drift(project, path)
    present = judged.present
    through = tuple(sorted(holder.fingerprints.intersection({*present.keys, *present.unknown})))
    if not through and any(f"ssh-tag:{tag}" in present.unknown for tag in holder.tags):
        through = tuple(sorted(holder.fingerprints))  # of a key that the registry never named
    if not through:
        return None
    readers = known.get(present.keys)
    if readers is None:
        readers = known[present.keys] = readers_by_key(project.registry, present.keys)
    retired = any(reader.name == holder.name and reader.state != "active" for reader in readers)
    hosts = tuple(reader.name for reader in readers if reader.name in project.registry.hosts)
    if format_of(path) is Format.AGE:
        return Opened(path, None, through, present.basis, hosts, retired=retired)
    sops = (judged.sealed or read_sealed(project, path)).sops
    assert sops is not None  # noqa: S101  (it is a document)
    alone = not holder.keys or holder.groups_opened(sops.metadata) >= sops.metadata.threshold
    return Opened(path, sealed_keys(sops)[0], through, present.basis, hosts, alone, retired)


__all__ = ["BlastRadius", "Holder", "Opened", "blast_radius", "holder_of", "holder_with"]
