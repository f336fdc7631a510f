"""A sops document at another path, for the readers there; what ``cp`` and ``mv --rekey`` have in common."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import open_key, open_sops
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.operations.keygroups import (
    DocumentReaders,
    document_readers,
    keys_of,
    refuse_left_services,
    reseal,
    service_notes,
    stage_document,
)
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    names_of,
    refuse_unfit_readers,
    remember_accepted,
    verifier,
    wanted_by,
)
from secretsmith.operations.show import explained
from secretsmith.operations.write_value import PreparedWrite, Written, reader_notes, refuse_changed
from secretsmith.policy.edit import grant
from secretsmith.project import Project, WriteSession, writing

Make = Callable[[Project, DocumentReaders], bytes]
"""Gives the bytes of a document for its new readers."""


def refuse_format(source: str, target: str) -> None:
    """Stop when ``target`` would be read as another format than ``source``: the bytes would mean nothing there.

    Raises:
        RefusedInput: FORMAT, with the command that converts.
    """
    before, after = format_of(source), format_of(target)
    if before is after:
        return
    show = f"secretsmith show {shlex.quote(source)}"
    if before is not Format.AGE:
        kind = "" if after is Format.AGE else f" --output-type {after}"
        show = f"secretsmith decrypt {shlex.quote(source)}{kind}"
    raise RefusedInput(
        Code.FORMAT,
        f"{target}: is read as {after} by its suffix, and {source} is {before}",
        hints=(f"to convert it: {show} | secretsmith set {shlex.quote(target)}",),
        path=target,
    )


def copying(project: Project, sealed: SealedFile) -> Make:
    """Open a document; return what makes copies of it, each under a data key of its own.

    Two documents with one data key could be given each other's values unseen.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        IntegrityFailure: a value or the MAC does not verify.
    """
    from secretsmith.documents.sopsrewrap import rotate

    try:
        opened = open_sops(sealed.format, sealed.data, project.ring.for_data, open_pgp=project.open_pgp)
    except CannotDecrypt as error:
        raise explained(project, sealed, error) from None
    except SecretsmithError as error:
        raise error.at(sealed.path) from None

    def make(fresh: Project, readers: DocumentReaders) -> bytes:
        refuse_left_services(readers)
        return rotate(
            opened, groups=readers.groups, threshold=readers.threshold, interaction=fresh.interaction
        )

    return make


def moving(project: Project, sealed: SealedFile) -> Make:
    """Open the data key of a document; return what gives the document itself other readers.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
    """
    if sealed.sops is None:
        raise TypeError(f"{sealed.path} is no sops document")
    try:
        recovered = open_key(sealed.sops, project.ring.for_data, open_pgp=project.open_pgp)
    except CannotDecrypt as error:
        raise explained(project, sealed, error) from None
    except SecretsmithError as error:
        raise error.at(sealed.path) from None

    def make(fresh: Project, readers: DocumentReaders) -> bytes:
        return reseal(sealed.format, sealed.data, recovered, readers, interaction=fresh.interaction)[0]

    return make


def place_document(
    project: Project,
    prepared: PreparedWrite,
    source: SealedFile,
    make: Make,
    *,
    new_key: bool,
    accept: Sequence[str] = (),
    also: Callable[[WriteSession], None],
) -> Written:
    """Write what ``make`` gives for the readers of ``prepared.path``, with registry and lock, in one transaction.

    Of who reads ``source`` stays what can: recipient forms, and key groups that no rule describes. ``new_key``: the document
    has a data key of its own. ``also`` stages more, what becomes of the source.

    Raises:
        Conflict: CHANGED, the target appeared.
        SecretsmithError: KEY_ACCEPT, NO_ADMIN, UNSUPPORTED; what sealing raises.
    """
    path = prepared.path
    with writing(project) as session:
        refuse_changed(session.project, path, prepared.digest)
        if prepared.to:
            session.save_registry(grant(session.project.registry_text, [path], list(prepared.to)))
        fresh = session.project
        wanted = wanted_by(fresh, path)
        refuse_unfit_readers(fresh, path, wanted)
        try:
            readers = document_readers(fresh, source, wanted=wanted)
            accepted = accept_readers(fresh, keys_of(fresh, readers), (*accept, *prepared.accepted))
            data = make(fresh, readers)
        except SecretsmithError as error:
            raise error.at(path) from None
        stage_document(session, path, data, readers, expect=prepared.digest, new_key=new_key)
        also(session)
        remember_accepted(fresh, accepted)
        session.commit(verifier(session))
    notes = reader_notes(path, wanted)
    if readers.kept:
        notes.append(f"{path} has the key groups of {source.path}, which no rule describes")
    notes.extend(service_notes(path, readers))
    names = names_of(fresh, readers.keys)
    return Written(path, True, names, "", (*notes, *session.notes))


__all__ = ["Make", "copying", "moving", "place_document", "refuse_format"]
