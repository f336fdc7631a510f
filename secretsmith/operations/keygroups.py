"""To whom a sops document is sealed, key group by key group: worked out, applied, and put on the lock.

Groups come from the rules. A document with several groups that no rule describes keeps them: whoever made them decided how
many people it takes, and nobody is put among them by guess.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from secretsmith.crypto.publickey import Form, PublicKey, parse_public_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.recipients import (
    Entry,
    Spell,
    entry_of,
    formed,
    held_by,
    kept_groups,
    opening_alone,
    ruled_groups,
)
from secretsmith.policy.drift import Drift
from secretsmith.policy.keygroups import wanted_groups, wanted_threshold
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.record import record, replace

if TYPE_CHECKING:
    from secretsmith.documents.format import Format
    from secretsmith.documents.metadata import KeyGroup
    from secretsmith.documents.sopsfile import SopsFile
    from secretsmith.documents.sopskey import Recovered
    from secretsmith.interaction import Interaction
    from secretsmith.operations.readers import SealedFile
    from secretsmith.project import Project, WriteSession

_SERVICES = {
    "pgp": "PGP",
    "kms": "AWS KMS",
    "gcp_kms": "GCP KMS",
    "azure_kv": "Azure Key Vault",
    "hc_vault": "Vault",
    "hckms": "Huawei Cloud KMS",
}


@record
class DocumentReaders:
    """What a write makes of the recipients of a document.

    ``groups`` are recipient texts as they are to be in the file, ``threshold`` how many groups are needed. ``drift`` is, by
    fingerprint, what the write changes. ``regrouped``: the groups themselves change. ``kept``: the file has groups that no
    rule describes; of those whom the rules want there, ``missing`` are not added, and of those whom they do not want,
    ``stuck`` stay, being alone in a group. ``services`` are the key services besides age that go, ``left`` those that stay.
    ``keys`` are the fingerprints of all who read it then. ``reformed``: a key gets its other recipient form. ``last`` are users
    who leave such groups and could open them alone, when no admin can afterwards.
    """

    groups: tuple[tuple[str, ...], ...]
    threshold: int | None
    drift: Drift
    regrouped: bool = False
    kept: bool = False
    services: tuple[str, ...] = ()
    path: str = ""
    keys: frozenset[str] = frozenset()
    left: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    reformed: bool = False
    last: tuple[str, ...] = ()

    @property
    def needs_new_key(self) -> bool:
        """Somebody who knows the data key, or could get at it with fewer others, shall not any more."""
        return bool(self.drift.remove or self.drift.unknown or self.regrouped or self.services)

    def __bool__(self) -> bool:
        return self.needs_new_key or bool(self.drift.add) or self.reformed

    @property
    def recorded(self) -> bool:
        """Whether the lock can speak for the readers. Of groups and key services it knows nothing: such files are read."""
        return len(self.groups) == 1 and not self.left


def document_readers(
    project: Project,
    sealed: SealedFile,
    *,
    wanted: Wanted | None = None,
    form: Form | None = None,
    drop_unknown: bool = False,
) -> DocumentReaders:
    """Work out what a write of the document makes of its recipients; needs no key.

    ``wanted`` are other readers than those of its path; ``form`` asks for another recipient form of all ed25519 keys;
    ``drop_unknown``: key services besides age go as well. Whether unknown recipients may be dropped the caller asks.

    Raises:
        RefusedInput: REG_EMPTY, RULES for groups that cannot be; RECIPIENT_MISSING when ``drop_unknown`` would empty one;
            NO_ADMIN when who leaves groups that no rule describes would leave them to several who are no admins.
    """
    made = _readers(project, sealed, wanted, form, drop_unknown, PublicKey.recipient)
    if made.last:
        raise RefusedInput(
            Code.NO_ADMIN,
            f"{sealed.path}: without {', '.join(made.last)} no admin's key would open it: it has key groups that no rule"
            " describes",
            hints=("say who belongs there: key_groups = [[…], […]] in its rule in secretsmith.toml",),
            path=sealed.path,
        )
    return made


def document_drift(project: Project, sealed: SealedFile) -> DocumentReaders:
    """Do the same only to know what differs, which takes no arithmetic; new recipients have no text.

    Raises:
        RefusedInput: as :func:`document_readers`.
    """
    return _readers(project, sealed, None, None, False, lambda key, _: key.fingerprint)


def new_groups(
    registry: Registry, wanted: Wanted, form: Form = Form.DERIVED
) -> tuple[tuple[tuple[str, ...], ...], int | None]:
    """Return the groups of a new document and how many of them are needed (None for one group).

    Who writes it has the lock record its readers only if it is one group (see :attr:`DocumentReaders.recorded`).

    Raises:
        RefusedInput: REG_EMPTY for a group in which nobody has a key, RULES for a threshold that sops does not know.
    """
    made = [
        tuple(dict.fromkeys(keys[fingerprint].recipient(form) for fingerprint in sorted(keys)))
        for keys in wanted_groups(registry, wanted)
    ]
    return tuple(made), wanted_threshold(wanted, len(made))


def reseal(
    format: Format,  # noqa: A002  # the word for it everywhere else
    data: bytes,
    recovered: Recovered,
    readers: DocumentReaders,
    *,
    file: SopsFile | None = None,
    keep_data_key: bool = False,
    interaction: Interaction | None = None,
) -> tuple[bytes, bool]:
    """Give a document to exactly ``readers``; return its new bytes, and whether somebody who left knows the data key.

    ``file`` is the document as it was read, if it was. Who is only added, or gets another recipient form, costs the metadata block and no value is opened. Nothing to change
    gives the same bytes.

    Raises:
        RefusedInput: UNSUPPORTED when a new data key is needed and key services that stay could not be given it.
        SecretsmithError: whatever :func:`secretsmith.documents.sopsrewrap.rewrap` raises.
    """
    # Here, not above: what lists and checks needs nothing that writes.
    from secretsmith.documents.seal import read_document
    from secretsmith.documents.sopsrewrap import rewrap, without_services

    if not readers:
        return data, False
    new_key = readers.needs_new_key and not keep_data_key
    if new_key:
        refuse_left_services(readers)
    file = read_document(format, data) if file is None else file
    if readers.services:
        file = without_services(file)
    out = rewrap(
        file,
        recovered,
        readers.groups,
        threshold=readers.threshold,
        keep_data_key=not new_key,
        dropping=bool(readers.services),
        interaction=interaction,
    )
    return out, readers.needs_new_key and keep_data_key


def refuse_left_services(readers: DocumentReaders) -> None:
    """Stop before a new data key when others than age keys are to have it: nothing is encrypted for those here.

    Raises:
        RefusedInput: UNSUPPORTED, with the commands that help.
    """
    if not readers.left:
        return
    names = service_names(readers.left)
    path = readers.path or "FILE"
    raise RefusedInput(
        Code.UNSUPPORTED,
        f"{path}: is also encrypted under {names}, for which a new data key cannot be encrypted here",
        hints=(
            f"to move it to age, without {names}: secretsmith rekey {shlex.quote(path)} --drop-unknown",
            f"or, by somebody who can use {names}: sops rotate --in-place {shlex.quote(path)} (--rm-age drops a reader)",
        ),
        path=readers.path or None,
    )


def stage_document(
    session: WriteSession,
    path: str,
    data: bytes,
    readers: DocumentReaders,
    *,
    expect: str | None,
    exposed: bool = False,
    new_key: bool = False,
) -> None:
    """Stage the sealed document ``data`` and what the lock is to know of it; every write of an existing document ends here.

    ``exposed`` is what :func:`reseal` said. A data key that was exposed before stays so until there is a new one, which
    ``new_key`` says of a write that made one although ``readers`` did not ask for it. A data key that nobody knows the age of
    stays one as well: the entry says "wrote" only under a key that was made here, and :func:`made_here` tells.
    """
    source = readers.path or path
    before = session.lock.files.get(source)
    renewed = new_key or (readers.needs_new_key and not exposed)
    # Who was a reader by the lock and is none now left without us: `sops updatekeys` drops a stanza and keeps the data key,
    # and whoever expects to be revoked can take his own stanza out first.
    known = before is not None and (before.key_exposed or not readers.keys.issuperset(before.recipients))
    still = known and not renewed
    session.stage_secret(
        path,
        data,
        readers.keys,
        expect=expect,
        basis="wrote" if renewed or made_here(session, source) else "opened",
        key_exposed=exposed or still,
        recorded=readers.recorded,
    )


def made_here(session: WriteSession, path: str) -> bool:
    """Say whether the data key of the document on the disk was made here, the last time that one was needed.

    Of a file that somebody else wrote since, sops or whoever put back an old version, nobody knows.
    """
    before = session.lock.files.get(path)
    if before is None or before.basis != "wrote":
        return False
    return before.sha256 == session.project.index.digest(session.project.root, path)


def keys_of(project: Project, readers: DocumentReaders) -> dict[str, PublicKey]:
    """Return the keys, by fingerprint, of all who read a document once it is written, for :func:`accept_readers`."""
    return {key: project.registry.key_owner(key)[0].key for key in sorted(readers.keys)}


def service_names(services: Iterable[str]) -> str:
    """Name key services of sops as people do: "PGP, AWS KMS"."""
    return ", ".join(_SERVICES.get(name, name) for name in services)


def service_notes(path: str, readers: DocumentReaders) -> tuple[str, ...]:
    """Say who reads a document besides the keys of the registry: keys of other services, of which it knows nothing."""
    if not readers.left:
        return ()
    return (
        f"{path} is also encrypted under {service_names(readers.left)}, which no rule speaks of;"
        f" to take that off: secretsmith rekey {shlex.quote(path)} --drop-unknown",
    )


def may_open(project: Project, file: SopsFile) -> bool:
    """Say whether the keys here may open enough groups of a document; nothing is opened and nobody is asked.

    A stanza counts when the ring may open it and the document names one of the ring's keys for it: an ``X25519`` stanza alone
    fits every key. A key whose public half is not known (a locked one, a plugin's) may be any.
    """
    from secretsmith.identities.ring import FOUND, LOCKED

    own = {text for key in project.ring.own_keys() for text in (key.text, key.derived)}
    nameless = any(
        tried.fingerprint is None and tried.outcome.startswith((FOUND, LOCKED))
        for tried in project.ring.trace()
    )
    opened = sum(_may_open_group(project, group, own, nameless) for group in file.metadata.groups)
    return bool(file.metadata.groups) and opened >= file.metadata.threshold


def _may_open_group(project: Project, group: KeyGroup, own: set[str], nameless: bool) -> bool:
    for entry in group.age:
        try:
            named = nameless or parse_public_key(entry.recipient).text in own
            if named and project.ring.may_open(entry.enc.encode("utf-8", "replace")):
                return True
        except RefusedInput:
            continue  # a damaged stanza locks out its own reader, not the others
    return "pgp" in group.services and project.open_pgp is not None


def _readers(
    project: Project,
    sealed: SealedFile,
    wanted: Wanted | None,
    form: Form | None,
    drop_unknown: bool,
    spell: Spell,
) -> DocumentReaders:
    if sealed.sops is None:
        raise TypeError(f"{sealed.path} is no sops document")
    metadata, registry = sealed.sops.metadata, project.registry
    wanted = sealed.wanted if wanted is None else wanted
    present = [
        [entry_of(registry, wanted, entry.recipient) for entry in group.age] for group in metadata.groups
    ]
    kept = wanted.key_groups is None and len(present) > 1
    if kept:
        held = [bool(group.services) and not drop_unknown for group in metadata.groups]
        staying = kept_groups(sealed.path, present, held, wanted, drop_unknown=drop_unknown)
        target = [[formed(registry, entry, form) for entry in group] for group in staying]
        threshold: int | None = metadata.threshold
    else:
        target = ruled_groups(registry, present, wanted, form, spell)
        threshold = wanted_threshold(wanted, len(target))
    made = DocumentReaders(
        groups=tuple(tuple(dict.fromkeys(entry.text for entry in group)) for group in target),
        threshold=threshold,
        drift=Drift(),
        regrouped=len(target) != len(present) or (len(target) > 1 and threshold != metadata.threshold),
        kept=kept,
        services=metadata.services if drop_unknown else (),
        path=sealed.path,
        left=() if drop_unknown else metadata.services,
    )
    made = _compared(made, wanted, present, target)
    return replace(made, last=_last(registry, present, target, metadata.threshold)) if kept else made


def _last(
    registry: Registry, present: Sequence[Sequence[Entry]], target: Sequence[Sequence[Entry]], needed: int
) -> tuple[str, ...]:
    """Return the users who could open the groups ``present`` alone and leave them, when no admin is left who can."""
    after = opening_alone(registry, target, needed)
    if any(user.name in after for user in registry.admins()):
        return ()
    return tuple(sorted((opening_alone(registry, present, needed) - after) & registry.users.keys()))


def _compared(
    made: DocumentReaders,
    wanted: Wanted,
    present: Sequence[Sequence[Entry]],
    target: Sequence[Sequence[Entry]],
) -> DocumentReaders:
    before, after = [held_by(group) for group in present], [held_by(group) for group in target]
    had, have = frozenset[str]().union(*before), frozenset[str]().union(*after)
    moved = len(before) == len(after) and any(
        (old ^ new) & had & have for old, new in zip(before, after, strict=True)
    )
    texts = {entry.text for group in present for entry in group}
    return replace(
        made,
        drift=Drift(
            add=tuple(sorted(have - had)),
            remove=tuple(sorted(had - have)),
            unknown=tuple(entry.unknown for group in present for entry in group if entry.unknown),
        ),
        regrouped=made.regrouped or moved,
        keys=have,
        missing=tuple(sorted(wanted.keys.keys() - have)) if made.kept else (),
        stuck=tuple(sorted(have - wanted.keys.keys())) if made.kept else (),
        reformed=any(entry.text not in texts and entry.keys & had for group in target for entry in group),
    )


__all__ = [
    "DocumentReaders",
    "document_drift",
    "document_readers",
    "keys_of",
    "made_here",
    "may_open",
    "new_groups",
    "refuse_left_services",
    "reseal",
    "service_names",
    "service_notes",
    "stage_document",
]
