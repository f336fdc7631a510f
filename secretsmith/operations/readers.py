"""What every write asks of the readers of a file before it happens, and says of them afterwards.

Two promises live here: a recipient that the registry never named stops the command (somebody with push access can add
their own, and the next honest write would encrypt the value to them), and a key that nobody accepted in this clone gains
access only after a question.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import Header
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import age_header, document_evidence, evidence, read_document
from secretsmith.errors import Code, IntegrityFailure, RefusedInput, SecretsmithError
from secretsmith.operations.keygroups import DocumentReaders, document_drift
from secretsmith.policy.drift import Drift, Present, compare, form_of, present_readers
from secretsmith.policy.lock import NO_DIGEST, LockEntry
from secretsmith.policy.principals import Host
from secretsmith.policy.resolve import Wanted, unruled_readers, wanted_readers
from secretsmith.project import Project, WriteSession
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile


@record
class SealedFile:
    """A secret as it lies on the disk, with what can be known of its readers without a key.

    ``wanted`` are the admins alone when no rule matches (its ``rules`` are empty then). ``form`` is the one that ed25519 keys
    have in it, None when it names none. ``sops`` is a sops document as it was read, ``header`` that of an age file.
    """

    path: str
    format: Format
    data: bytes
    digest: str
    evidence: tuple[Evidence, ...]
    wanted: Wanted
    present: Present
    form: Form | None
    sops: SopsFile | None = None
    header: Header | None = None

    @property
    def drift(self) -> Drift:
        """How ``present`` differs from ``wanted``. What a write of a document changes, :func:`judge_sealed` knows."""
        return compare(self.wanted, self.present)


@record
class Judged:
    """What is known of the readers of a secret without a key.

    ``drift`` is what the next write would change, ``regrouped`` whether it would change the key groups. ``readers`` are those
    of a document that was read, None for an age file and where the lock could speak for it. ``sealed`` is the file, if it
    was read.
    """

    wanted: Wanted
    present: Present
    drift: Drift
    readers: DocumentReaders | None = None
    sealed: SealedFile | None = None

    @property
    def regrouped(self) -> bool:
        """Whether the key groups are not those of the rules."""
        return self.readers is not None and self.readers.regrouped

    @property
    def drifts(self) -> bool:
        """Whether the next write would change who reads it, or with whom."""
        return bool(self.drift) or self.regrouped


def read_sealed(project: Project, path: str) -> SealedFile:
    """Read the secret ``path`` (relative to the root) and judge its readers; needs no key.

    Raises:
        NotFound, RefusedInput: as reading and parsing the file do, naming the file.
    """
    data = project.read(path)
    digest = hashlib.sha256(data).hexdigest()
    form = format_of(path)
    try:
        sops = None if form is Format.AGE else read_document(form, data)
        header = age_header(data) if sops is None else None
        found = evidence_of(header) if header is not None else document_evidence(sops) if sops else ()
        wanted = wanted_by(project, path)
    except SecretsmithError as error:
        raise error.at(path) from None
    present = present_readers(project.registry, found, wanted, project.lock.entry_for(path, digest))
    keys_as = form_of(found, project.registry, present)
    return SealedFile(path, form, data, digest, found, wanted, present, keys_as, sops, header)


def found_entry(project: Project, path: str) -> LockEntry:
    """Return a lock entry for a file that we did not write: it claims only the readers that the file itself proves."""
    try:
        sealed = read_sealed(project, path)
    except SecretsmithError:
        return LockEntry(NO_DIGEST)
    proven = sealed.present.basis == "file" and not sealed.present.unknown
    if sealed.sops is not None:  # else the lock would speak for groups and services that it knows nothing of
        proven = proven and len(sealed.sops.metadata.groups) == 1 and not sealed.sops.metadata.services
    return LockEntry(sealed.digest, tuple(sorted(sealed.present.keys)) if proven else ())


def wanted_by(project: Project, path: str) -> Wanted:
    """Return who is meant to read ``path``: what the rules say, the admins alone when there is none."""
    return wanted_readers(project.registry, path) or unruled_readers(project.registry)


def quick_drift(project: Project, path: str) -> Judged:
    """Judge the readers of ``path``; opens the file only when the lock cannot speak for it.

    Raises:
        NotFound, RefusedInput: as :func:`read_sealed` and :func:`judge_sealed`.
    """
    entry = project.entry_for(path)
    if entry is None:
        return judge_sealed(project, read_sealed(project, path))
    wanted = wanted_by(project, path)
    if wanted.key_groups is not None and format_of(path) is not Format.AGE:
        return judge_sealed(project, read_sealed(project, path))
    present = locked_readers(project, entry)
    return Judged(wanted, present, compare(wanted, present))


def judge_sealed(project: Project, sealed: SealedFile) -> Judged:
    """Judge the readers of a file that was read.

    Raises:
        RefusedInput: REG_EMPTY, RULES for key groups of the rules that cannot be.
    """
    if sealed.sops is None:
        return Judged(sealed.wanted, sealed.present, sealed.drift, sealed=sealed)
    try:
        readers = document_drift(project, sealed)
    except SecretsmithError as error:
        raise error.at(sealed.path) from None
    return Judged(sealed.wanted, sealed.present, readers.drift, readers, sealed)


def locked_readers(project: Project, entry: LockEntry) -> Present:
    """Return the readers that a fitting lock entry names; keys that the registry never named are unknown.

    What was assumed when the entry was made stays assumed.
    """
    known = frozenset(key for key in entry.recipients if project.registry.key_owner(key))
    unknown = tuple(key for key in entry.recipients if key not in known)
    return Present(known, unknown, "assumed" if entry.basis == "assumed" else "lock")


def sealing_recipients(keys: Mapping[str, PublicKey], form: Form) -> tuple[str, ...]:
    """Return the recipient texts of ``keys``, in the order of their fingerprints, so that writes are reproducible."""
    return tuple(keys[fingerprint].recipient(form) for fingerprint in sorted(keys))


def refuse_injection(path: str, present: Present, *, drop_unknown: bool) -> None:
    """Stop when the file has a recipient that the registry never named.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, naming each.
    """
    if not present.unknown or drop_unknown:
        return
    quoted = shlex.quote(path)
    remedies: tuple[str, ...] = (
        "if it belongs to somebody, register the key: secretsmith user add NAME --key … (or host add)",
        f"if not, drop it: secretsmith rekey {quoted} --drop-unknown",
    )
    if any(name.startswith("anonymous") for name in present.unknown):
        asked = "if the registry was edited since the file was made: undo the edit, secretsmith rekey, and edit it again"
        remedies = (f"{asked} (who reads it is on record then)", *remedies[1:])
    if "scrypt" in present.unknown:  # a passphrase belongs to no name, and no identity opens the file
        remedies = (f"if you know its passphrase: age -d {quoted} | secretsmith set {quoted} --drop-unknown",)
    raise IntegrityFailure(
        Code.RECIPIENT_EXTRA,
        f"{path}: encrypted to a recipient that the registry never named: {', '.join(present.unknown)}",
        hints=(f"see who added it: git log -p -- {quoted}", *remedies),
        path=path,
    )


def refuse_grouped_age(path: str, wanted: Wanted) -> None:
    """Stop for an age file of which the rules want key groups: each reader would open it alone.

    Raises:
        RefusedInput: KEY_GROUPS.
    """
    if wanted.key_groups is None or len(wanted.key_groups) < 2 or format_of(path) is not Format.AGE:
        return
    raise RefusedInput(
        Code.KEY_GROUPS,
        f"{path}: rule {wanted.rules[0].pattern} wants key groups, which only sops documents have",
        hints=(
            "keep the value in a document (a name that ends in .yaml, for instance)",
            "or give .age files a rule without key_groups",
        ),
        path=path,
    )


def refuse_unfit_readers(project: Project, path: str, wanted: Wanted) -> None:
    """Stop when no admin could open what is about to be written, or each reader what takes several.

    Raises:
        RefusedInput: NO_ADMIN, KEY_GROUPS.
    """
    refuse_grouped_age(path, wanted)
    admins = [user for user in project.registry.users.values() if user.admin and user.reads]
    if any(key.fingerprint in wanted.keys for user in admins for key in user.keys):
        return
    raise RefusedInput(
        Code.NO_ADMIN,
        f"{path}: no admin's key would open it",
        hints=("secretsmith user add NAME --admin --key …",),
        path=path,
    )


def accept_readers(project: Project, keys: Mapping[str, PublicKey], accept: Sequence[str]) -> tuple[str, ...]:
    """Make sure that every key of ``keys``, all who will read what is written, was accepted in this clone.

    Not only those that the file lacks: whoever can push can make a file or a lock that names their key, and register that
    key, and nothing would be "added" by the next write. A key whose private half is here needs no question; for the others
    a terminal is asked. ``accept`` is what ``--accept`` gave: fingerprints, or "all". Returns the newly accepted
    fingerprints, for the caller to record.

    Raises:
        RefusedInput: KEY_ACCEPT, with each name and fingerprint, when there is nobody to ask or the answer is no.
    """
    fresh = [key for key in sorted(keys) if not project.accepted.contains(key)]
    if not fresh or "all" in accept:
        return tuple(fresh)
    own = {key.fingerprint for key in project.ring.own_keys()}
    asked = [key for key in fresh if key not in accept and key not in own]
    if not asked:
        return tuple(fresh)
    named = ", ".join(f"{project.name_of(key)} ({keys[key].kind} {key})" for key in asked)
    flag = " ".join(f"--accept {key}" for key in asked)
    if project.interaction.available and project.interaction.confirm(
        f"never accepted in this clone: {named}; give access?", flag=flag
    ):
        return tuple(fresh)
    raise RefusedInput(
        Code.KEY_ACCEPT,
        f"a key that was never accepted in this clone would gain access: {named}",
        hints=(
            f"compare the fingerprint with its owner, then add {flag}",
            "or accept what the registry says: --accept all",
        ),
    )


def remember_accepted(project: Project, keys: Iterable[str]) -> None:
    """Record keys as accepted in this clone."""
    if new := tuple(keys):
        project.accepted.add(*new)
        project.accepted.save()


def verifier(session: WriteSession) -> Callable[[str, bytes], None]:
    """Return what checks each staged secret as it lies on the disk: a whole file, with the readers that were meant.

    What it returns raises IntegrityFailure (IO). That the bytes are those meant, the transaction itself sees to; those whose
    readers were checked before they were staged, are not read again.
    """
    project, lock, meant, checked = session.project, session.lock, dict(session.sealed), dict(session.checked)

    def verify(path: str, data: bytes) -> None:
        if path not in meant:
            return  # registry and lock
        entry = lock.files.get(path)
        if entry is not None and checked.get(path) == entry.sha256:
            return
        require_meant(project, path, evidence(format_of(path), data), meant[path], entry)

    return verify


def require_meant(
    project: Project, path: str, found: Sequence[Evidence], meant: Collection[str], entry: LockEntry | None
) -> None:
    """Stop when a secret that was sealed names other readers than the fingerprints ``meant``; ``entry`` is its own.

    Raises:
        IntegrityFailure: IO.
    """
    present = present_readers(project.registry, found, wanted_by(project, path), entry)
    if present.unknown or present.keys != frozenset(meant):
        raise IntegrityFailure(Code.IO, f"{path}: what was written is not what was read back", path=path)


def names_of(project: Project, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names of the owners of ``keys``, or the fingerprints nobody owns, sorted."""
    return tuple(sorted({project.name_of(key) for key in keys}))


def describe_change(
    project: Project, added: Iterable[str], removed: Iterable[str], unknown: Sequence[str] = ()
) -> str:
    """Return "added web1; dropped web2" for the report of a write, "" when nothing changed."""
    parts = []
    if names := sorted({_described(project, key) for key in added}):
        parts.append("added " + ", ".join(names))
    if names := [*sorted({_described(project, key) for key in removed}), *unknown]:
        parts.append("dropped " + ", ".join(names))
    return "; ".join(parts)


def _described(project: Project, key: str) -> str:
    uses = project.registry.key_owner(key)
    if not uses:
        return key
    principal = project.registry.principal(uses[0].principal)
    many = isinstance(principal, Host) and bool(principal.retired)
    # A host whose key was replaced is both added and dropped: the fingerprint tells the two apart.
    return f"{uses[0].principal} ({key})" if many else uses[0].principal


__all__ = [
    "Judged",
    "SealedFile",
    "accept_readers",
    "describe_change",
    "found_entry",
    "judge_sealed",
    "locked_readers",
    "names_of",
    "quick_drift",
    "read_sealed",
    "refuse_grouped_age",
    "refuse_injection",
    "refuse_unfit_readers",
    "remember_accepted",
    "require_meant",
    "sealing_recipients",
    "verifier",
    "wanted_by",
]
