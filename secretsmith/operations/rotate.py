"""``rotate``: a new data key for documents, a new file key for age files; the values stay.

Who kept a copy of an old version, or of a stanza in it, opens nothing that is written from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.seal import open_sops, seal_value
from secretsmith.documents.sopsrewrap import rotate, without_services
from secretsmith.errors import CannotDecrypt, SecretsmithError
from secretsmith.operations.keygroups import (
    DocumentReaders,
    document_readers,
    keys_of,
    refuse_left_services,
    stage_document,
)
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
)
from secretsmith.operations.show import explained, open_sealed
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import record, replace


@record
class Rotated:
    """One secret under a new key. ``change`` says who was added or dropped by the way, "" when nobody."""

    path: str
    change: str


@record
class _Turn:
    """A file to rotate, with the readers that a document is to have (None for an age file)."""

    file: SealedFile
    readers: DocumentReaders | None


def rotate_secrets(
    project: Project,
    paths: Sequence[str],
    *,
    accept: Sequence[str] = (),
    drop_unknown: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Rotated, ...]:
    """Encrypt the secrets ``paths`` (relative to the root) under new keys, to the readers the rules want; all or none.

    ``accept`` are fingerprints or "all"; ``drop_unknown``: recipients that the registry never named go, PGP keys and the
    like of documents included. ``progress(done, total)`` is called after each file.

    Raises:
        IntegrityFailure: RECIPIENT_EXTRA; MAC and others, for a file that is damaged.
        RefusedInput: KEY_ACCEPT, NO_ADMIN; UNSUPPORTED, a document that is encrypted under key services besides age.
        CannotDecrypt: no identity opens one of them.
    """
    with writing(project) as session:
        fresh = session.project
        turns = [_turn(fresh, path, drop_unknown) for path in dict.fromkeys(paths)]
        keys = {key: value for turn in turns for key, value in _keys_after(fresh, turn).items()}
        accepted = accept_readers(fresh, keys, accept)
        done = []
        for number, turn in enumerate(turns, start=1):
            done.append(_stage(session, turn))
            if progress is not None:
                progress(number, len(turns))
        remember_accepted(fresh, accepted)
        session.commit(verifier(session))
    return tuple(done)


def _turn(project: Project, path: str, drop_unknown: bool) -> _Turn:
    file = read_sealed(project, path)
    refuse_injection(path, file.present, drop_unknown=drop_unknown)
    refuse_unfit_readers(project, path, file.wanted)
    if file.sops is None:
        return _Turn(file, None)
    try:
        readers = document_readers(project, file, drop_unknown=drop_unknown)
    except SecretsmithError as error:
        raise error.at(path) from None
    refuse_left_services(readers)
    return _Turn(file, readers)


def _keys_after(project: Project, turn: _Turn) -> Mapping[str, PublicKey]:
    return turn.file.wanted.keys if turn.readers is None else keys_of(project, turn.readers)


def _stage(session: WriteSession, turn: _Turn) -> Rotated:
    project, file = session.project, turn.file
    drift = file.drift if turn.readers is None else turn.readers.drift
    try:
        if turn.readers is None:
            _stage_age(session, file)
        else:
            data = renewed(project, file, turn.readers)
            stage_document(session, file.path, data, turn.readers, expect=file.digest, new_key=True)
    except SecretsmithError as error:
        raise error.at(file.path) from None
    return Rotated(file.path, describe_change(project, drift.add, drift.remove, drift.unknown))


def _stage_age(session: WriteSession, file: SealedFile) -> None:
    project = session.project
    data = seal_value(
        file.format,
        open_sealed(project, file),
        sealing_recipients(file.wanted.keys, file.form or Form.NATIVE),
        armor=is_armored(file.data),
        interaction=project.interaction,
    )
    session.stage_secret(file.path, data, file.wanted.keys, expect=file.digest)


def renewed(project: Project, file: SealedFile, readers: DocumentReaders) -> bytes:
    """Return the document ``file`` under a new data key, for ``readers``.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        SecretsmithError: as opening and sealing it do.
    """
    try:
        opened = open_sops(file.format, file.data, project.ring.for_data, open_pgp=project.open_pgp)
    except CannotDecrypt as error:
        raise explained(project, file, error) from None
    if readers.services:
        opened = replace(opened, file=without_services(opened.file))
    return rotate(opened, groups=readers.groups, threshold=readers.threshold, interaction=project.interaction)


__all__ = ["Rotated", "renewed", "rotate_secrets"]
