"""Storing a value: ``set`` of an age file, and what every write of a secret shares with it.

A write has two halves. :func:`prepare_write` asks every question (who reads a new path, which keys to accept) without holding
the repository's lock; :func:`store_value`, or for sops documents
:func:`secretsmith.operations.write_document.store_document`, takes the lock, looks again, and writes. What changed in
between is refused.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import seal_value
from secretsmith.documents.sopsfile import require_writable
from secretsmith.errors import Code, Conflict, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.operations.keygroups import document_readers, keys_of, new_groups, refuse_left_services
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    read_sealed,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    sealing_recipients,
    verifier,
    wanted_by,
)
from secretsmith.operations.settle import settle_value
from secretsmith.policy.drift import Drift, compare
from secretsmith.policy.edit import grant
from secretsmith.policy.keygroups import wanted_groups
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.resolve import Wanted, unruled_readers, wanted_readers
from secretsmith.project import REGISTRY_NAME, Project, WriteSession, writing
from secretsmith.record import record
from secretsmith.sensitive import Sensitive


@record
class PreparedWrite:
    """A write whose questions are answered.

    ``sealed`` is the file as it was read, None for a new one. ``to`` are the readers of a rule to write for exactly this
    path, empty when none is needed. ``wanted`` is who the value will be encrypted to, that rule included. ``accepted`` are
    the keys that were accepted for it.
    """

    path: str
    sealed: SealedFile | None
    to: tuple[str, ...]
    wanted: Wanted
    accepted: tuple[str, ...]
    drop_unknown: bool

    @property
    def format(self) -> Format:
        """The format of the file, by its name."""
        return format_of(self.path)

    @property
    def is_document(self) -> bool:
        """Whether it is a sops document, which is changed, and not one value, which is made anew."""
        return self.format is not Format.AGE

    @property
    def digest(self) -> str | None:
        """What the file must still be when it is replaced."""
        return self.sealed.digest if self.sealed is not None else None


@record
class Written:
    """One secret written. ``change`` says who was added or dropped, "" when nobody; ``notes`` are for the person.

    ``unchanged``: there was nothing to write, and nothing was written.
    """

    path: str
    created: bool
    readers: tuple[str, ...]
    change: str
    notes: tuple[str, ...] = ()
    unchanged: bool = False


def prepare_write(
    project: Project,
    path: str,
    *,
    to: Sequence[str] = (),
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
    from_source: bool = False,
) -> PreparedWrite:
    """Find out who reads ``path`` (relative to the root) and ask what there is to ask; writes nothing.

    ``to`` are readers for a rule with exactly this path, ``accept`` fingerprints or "all". ``from_source``: what is to be
    written is fetched from elsewhere, so the file may be linked.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA, the file has a recipient that the registry never named.
        RefusedInput: LINKED, its value comes from elsewhere; KEY_ACCEPT, NO_ADMIN, a registry that ``to`` does not fit, or key groups that cannot be.
        SecretsmithError: ACCESS, the file could not be written anyway.
    """
    if not from_source:
        refuse_linked(project, path)
    refuse_unwritable(project, path)
    sealed = read_sealed(project, path) if os.path.lexists(project.root / path) else None
    if sealed is not None:
        refuse_injection(path, sealed.present, drop_unknown=drop_unknown)
    to = tuple(_readers_to_grant(project, path, to))
    wanted = _wanted_with(project, path, to)
    refuse_unfit_readers(project, path, wanted)
    keys = wanted.keys
    if format_of(path) is not Format.AGE:  # a document, that is
        keys = document_keys(project, path, sealed, wanted, drop_unknown=drop_unknown)
    accepted = accept_readers(project, keys, accept)
    return PreparedWrite(path, sealed, to, wanted, accepted, drop_unknown)


def store_value(
    project: Project,
    prepared: PreparedWrite,
    value: Sensitive,
    *,
    before: Sensitive | None = None,
    like: SealedFile | None = None,
    also: Callable[[WriteSession], None] | None = None,
) -> Written:
    """Encrypt ``value`` to the wanted readers and write it, with registry and lock, in one transaction.

    ``before`` is the present value if the caller has opened it; with it, or an identity for it, debt is paid.
    ``like`` is the file whose armor and recipient form a new one takes over. ``also`` stages more in the same transaction.

    Raises:
        Conflict: CHANGED, the file is not the one ``prepared`` was made for.
        SecretsmithError: as :func:`prepare_write`, when the registry changed in between.
    """
    path = prepared.path
    with writing(project) as session:
        refuse_changed(session.project, path, prepared.digest)
        if prepared.to:
            session.save_registry(grant(session.project.registry_text, [path], list(prepared.to)))
        fresh = session.project
        wanted = wanted_by(fresh, path)
        refuse_unfit_readers(fresh, path, wanted)
        # The registry may have gained a key while the user was typing.
        accepted = accept_readers(fresh, wanted.keys, prepared.accepted)
        data = seal_file(path, like or prepared.sealed, wanted, value, fresh.interaction)
        session.stage_secret(path, data, tuple(wanted.keys), expect=prepared.digest)
        notes = [
            *reader_notes(path, wanted),
            *settle_value(session, prepared.sealed, wanted, value, before),
        ]
        if also is not None:
            also(session)
        remember_accepted(fresh, accepted)
        session.commit(verifier(session))
    change = _change(prepared, wanted)
    return Written(
        path,
        prepared.sealed is None,
        wanted.names,
        describe_change(fresh, change.add, change.remove, change.unknown),
        (*notes, *session.notes),
    )


def document_keys(
    project: Project, path: str, sealed: SealedFile | None, wanted: Wanted, *, drop_unknown: bool
) -> Mapping[str, PublicKey]:
    """Return the keys, by fingerprint, that will read a document once it is written; it is new when ``sealed`` is None.

    Raises:
        RefusedInput: key groups that cannot be, a document that a later sops wrote.
    """
    try:
        if sealed is None or sealed.sops is None:
            new_groups(project.registry, wanted)
            groups = wanted_groups(project.registry, wanted)
            return {key: public for group in groups for key, public in group.items()}
        require_writable(sealed.sops)
        readers = document_readers(project, sealed, wanted=wanted, drop_unknown=drop_unknown)
        if readers.needs_new_key:
            refuse_left_services(readers)
    except SecretsmithError as error:
        raise error.at(path) from None
    return keys_of(project, readers)


def refuse_changed(project: Project, path: str, digest: str | None) -> None:
    """Raise ``Conflict`` (CHANGED) unless ``path`` still has this digest, or, for None, still does not exist."""
    if not os.path.lexists(project.root / path):
        found = None
    else:
        found = hashlib.sha256(project.read(path)).hexdigest()
    if found != digest:
        what = "appeared" if digest is None else "was removed" if found is None else "changed"
        raise Conflict(
            Code.CHANGED,
            f"{path}: {what} since it was read; nothing was written",
            hints=(f"look at it, then try again: secretsmith show {shlex.quote(path)}",),
            path=path,
        )


def _readers_to_grant(project: Project, path: str, to: Sequence[str]) -> Sequence[str]:
    """Return the readers for a rule of exactly this path; asks when no rule names the path."""
    if to or wanted_readers(project.registry, path) is not None or not project.interaction.available:
        return to
    answer = project.interaction.ask(
        f"no rule names {path}; who may read it besides the admins (users, hosts, @groups; empty: nobody)?",
        flag="--to WHO",
    )
    return tuple(word for word in answer.replace(",", " ").split() if word)


def _wanted_with(project: Project, path: str, to: Sequence[str]) -> Wanted:
    if not to:
        return wanted_by(project, path)
    if any(mark in path for mark in "*?"):
        # There is no escape in patterns: the rule would name other paths as well.
        raise RefusedInput(
            Code.NAME,
            f"{path}: a path with * or ? cannot have a rule of its own",
            hints=("give it another name",),
            path=path,
        )
    registry = parse_registry(grant(project.registry_text, [path], list(to)), REGISTRY_NAME)
    return wanted_readers(registry, path) or unruled_readers(registry)


def seal_file(
    path: str, like: SealedFile | None, wanted: Wanted, value: Sensitive, interaction: Interaction
) -> bytes:
    """Encrypt ``value`` for the file ``path``, with the armor and recipient form of ``like``, else as its rules say.

    Raises:
        SecretsmithError: as :func:`secretsmith.documents.seal.seal_value`, naming the file.
    """
    if like is None:
        form, armor = Form.NATIVE, wanted.armor is not False
    else:
        form, armor = like.form or Form.NATIVE, is_armored(like.data)
    try:
        recipients = sealing_recipients(wanted.keys, form)
        return seal_value(format_of(path), value, recipients, armor=armor, interaction=interaction)
    except SecretsmithError as error:
        raise error.at(path) from None


def _change(prepared: PreparedWrite, wanted: Wanted) -> Drift:
    if prepared.sealed is None:
        return Drift()
    return compare(wanted, prepared.sealed.present)


def reader_notes(path: str, wanted: Wanted) -> list[str]:
    """Return what a person should know of who reads ``path``: that no rule says so, and who cannot yet."""
    notes = [f"{name} has no key yet and cannot read {path}" for name in wanted.pending]
    if wanted.rules:
        return notes
    grant_it = f"secretsmith grant {shlex.quote(path)} --to WHO --rekey"
    return [f"no rule names {path}, so only admins can read it: {grant_it}", *notes]


def refuse_linked(project: Project, path: str) -> None:
    """Stop for a file whose value comes from elsewhere: the next sync would put the old value back (LINKED)."""
    link = project.lock.links.get(path)
    if link is None:
        return
    quoted = shlex.quote(path)
    raise RefusedInput(
        Code.LINKED,
        f"{path}: is linked to {link.source}, where its value is kept",
        hints=(
            f"change it there, then: secretsmith sync {quoted}",
            f"or end the link first: secretsmith unlink {quoted} --keep-file",
        ),
        path=path,
    )


def refuse_unwritable(project: Project, path: str) -> None:
    """Stop before anybody types a value for a file that could not be written (ACCESS).

    What is written goes beside the file and takes its place, so it is the folders that count, that of the lock included.
    """
    for place in (project.root / path, project.root / REGISTRY_NAME, project.state / "x"):
        folder = place.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SecretsmithError(
                Code.ACCESS,
                f"{path}: cannot be written, because nothing can be in the folder {_shown(project, folder)}",
                hints=(f"see whose it is: ls -ld {shlex.quote(str(folder))}",),
                path=path,
            )


def _shown(project: Project, folder: Path) -> str:
    return str(folder.relative_to(project.root)) if folder.is_relative_to(project.root) else str(folder)


__all__ = [
    "PreparedWrite",
    "Written",
    "document_keys",
    "prepare_write",
    "reader_notes",
    "refuse_changed",
    "refuse_linked",
    "refuse_unwritable",
    "seal_file",
    "store_value",
]
