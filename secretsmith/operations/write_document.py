"""Changing a sops document: one value, or its whole text, and then its readers, as every write does.

A change is made of the text first, with nobody's lock held, so that whoever types learns at once what the format or the
document's rule refuses. :func:`store_document` then gives the document to the wanted readers and writes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from secretsmith.documents.format import Format
from secretsmith.documents.node import List, Map
from secretsmith.documents.seal import open_sops
from secretsmith.documents.sopsfile import SopsFile, read_sops, selection_of
from secretsmith.documents.tree import LeafKind, TreePath, format_tree_path
from secretsmith.errors import CannotDecrypt, SecretsmithError
from secretsmith.operations.given import given_node, given_path, new_text
from secretsmith.operations.keygroups import (
    DocumentReaders,
    document_readers,
    keys_of,
    new_groups,
    reseal,
    service_names,
    service_notes,
    stage_document,
)
from secretsmith.operations.readers import (
    accept_readers,
    describe_change,
    names_of,
    read_sealed,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    verifier,
    wanted_by,
)
from secretsmith.operations.settle import settle_document
from secretsmith.operations.show import explained
from secretsmith.operations.write_value import (
    PreparedWrite,
    Written,
    document_keys,
    reader_notes,
    refuse_changed,
)
from secretsmith.policy.edit import grant
from secretsmith.policy.resolve import Wanted
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import field, record, replace
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.crypto.publickey import PublicKey
    from secretsmith.documents.sopsopen import OpenDocument

# Imports in functions: what opens and seals values, for the commands that do.


@record
class DocumentWrite:
    """A write of a document whose questions are answered. ``opened`` is the document, None when it is a new one.

    The data key is opened once: a plugin's key may want a touch for each time.
    """

    prepared: PreparedWrite
    opened: OpenDocument | None = field(repr=False)


@record
class Change:
    """What a document is to become. ``notes`` are for the person.

    ``data`` is the text sealed under the data key it has; of a new document, whose key is yet to be made, the clear text.
    """

    data: bytes = field(repr=False)
    notes: tuple[str, ...] = ()


def open_document(project: Project, prepared: PreparedWrite) -> DocumentWrite:
    """Open the document that is about to be written, if it is there already.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        IntegrityFailure: a value or the MAC does not verify.
        RefusedInput: it cannot be read.
    """
    sealed = prepared.sealed
    if sealed is None:
        return DocumentWrite(prepared, None)
    try:
        opened = open_sops(sealed.format, sealed.data, project.ring.for_data, open_pgp=project.open_pgp)
    except CannotDecrypt as error:
        raise explained(project, sealed, error) from None
    except SecretsmithError as error:
        raise error.at(sealed.path) from None
    return DocumentWrite(prepared, opened)


def clear_text(write: DocumentWrite) -> Sensitive:
    """Return the document's text in clear, in its own format; empty for a new one."""
    from secretsmith.documents.sopsplain import plaintext

    return Sensitive(b"" if write.opened is None else plaintext(write.opened))


def refuse_key(prepared: PreparedWrite, key: str) -> None:
    """Refuse a key that no document of this format can have, before anybody is asked for its value.

    Raises:
        RefusedInput: USAGE for a path that is none; YAML_SHAPE, NAME.
    """
    try:
        given_path(prepared.format, key)
    except SecretsmithError as error:
        raise error.at(prepared.path) from None


def with_value(write: DocumentWrite, key: str, value: Sensitive, *, json: bool = False) -> Change:
    """Put ``value``, a text or with ``json`` what it says, at ``key``; an equal value changes nothing.

    Mappings that are missing are made, a number at or beyond a list's length appends, and what is in the way goes.

    Raises:
        RefusedInput: what the format cannot hold, in words that have nothing of the value; VERSION.
    """
    from secretsmith.documents.sopsedit import set_value

    prepared, opened = write.prepared, write.opened
    try:
        path = given_path(prepared.format, key)
        node = given_node(prepared.format, key, value, json=json)
        if opened is None:
            clear = new_text(prepared.format, path, node)
            return Change(clear, _exposed_notes(None, _new_file(prepared, clear)))
        data = set_value(opened, path, node, idempotent=True)
        changed = read_sops(prepared.format, data)
    except SecretsmithError as error:
        raise error.at(prepared.path) from None
    kept = () if not isinstance(node, Map | List) else path
    return Change(data, (*_exposed_notes(opened.file, changed), *_lost_notes(opened.file, changed, kept)))


def with_text(write: DocumentWrite, clear: Sensitive) -> Change:
    """Give the document the text ``clear``, in its own format; values that stay keep their sealed text.

    Raises:
        RefusedInput, Conflict: a text that cannot be read, or that the document's rule does not allow.
    """
    from secretsmith.documents.sopsedit import replace_plaintext

    prepared = write.prepared
    try:
        if write.opened is not None:
            return Change(replace_plaintext(write.opened, clear.expose()))
        _new_file(prepared, clear.expose())
    except SecretsmithError as error:
        raise error.at(prepared.path) from None
    return Change(clear.expose())


def store_document(
    project: Project,
    write: DocumentWrite,
    change: Change,
    *,
    also: Callable[[WriteSession], None] | None = None,
) -> Written:
    """Give the changed document to the wanted readers and write it, with registry and lock, in one transaction.

    When neither a value nor the readers change, nothing is written. ``also`` stages more in the same transaction.

    Raises:
        Conflict: CHANGED, the file is not the one that was opened.
        SecretsmithError: as ``prepare_write``, when the registry changed in between; what sealing raises.
    """
    path = write.prepared.path
    with writing(project) as session:
        refuse_changed(session.project, path, write.prepared.digest)
        if write.prepared.to:
            session.save_registry(grant(session.project.registry_text, [path], list(write.prepared.to)))
        wanted = wanted_by(session.project, path)
        refuse_unfit_readers(session.project, path, wanted)
        try:
            if write.opened is None:
                written = _store_new(session, write.prepared, change, wanted)
            else:
                written = _store_changed(session, write.prepared, write.opened, change, wanted)
        except SecretsmithError as error:
            raise error.at(path) from None
        if also is not None:
            also(session)
        session.commit(verifier(session))
    ruled = written.unchanged and session.project.registry_text != session.registry_text
    rule = (f"secretsmith.toml has a rule for {path} now",) if ruled else ()
    return replace(written, notes=(*change.notes, *written.notes, *rule, *session.notes))


def _store_new(session: WriteSession, prepared: PreparedWrite, change: Change, wanted: Wanted) -> Written:
    from secretsmith.documents.sopsnew import new_document

    project = session.project
    groups, threshold = new_groups(project.registry, wanted)
    keys = document_keys(project, prepared.path, None, wanted, drop_unknown=False)
    accepted = accept_readers(project, keys, prepared.accepted)
    data = new_document(
        prepared.format,
        change.data,
        groups,
        threshold=threshold,
        selection=wanted.selection,
        mac_only_encrypted=wanted.mac_only_encrypted is True,
        interaction=project.interaction,
    )
    # Of key groups the lock knows nothing: such files are read.
    session.stage_secret(prepared.path, data, keys, expect=None, recorded=len(groups) == 1)
    remember_accepted(project, accepted)
    names = _names(project, keys, wanted)
    return Written(prepared.path, True, names, "", tuple(reader_notes(prepared.path, wanted)))


def _store_changed(
    session: WriteSession, prepared: PreparedWrite, opened: OpenDocument, change: Change, wanted: Wanted
) -> Written:
    project, path, drop_unknown = session.project, prepared.path, prepared.drop_unknown
    sealed = read_sealed(project, path)
    # The registry may be another one by now, and so may be whom it knows.
    refuse_injection(path, sealed.present, drop_unknown=drop_unknown)
    readers = document_readers(project, sealed, wanted=wanted, drop_unknown=drop_unknown)
    keys = keys_of(project, readers)
    accepted = accept_readers(project, keys, prepared.accepted)
    data, exposed = reseal(
        sealed.format, change.data, opened.recovered, readers, interaction=project.interaction
    )
    names = _names(project, keys, wanted)
    if data == sealed.data:
        return Written(path, False, names, "", unchanged=True)
    stage_document(session, path, data, readers, expect=sealed.digest, exposed=exposed)
    entry = session.lock.files[path]
    settled = settle_document(
        session,
        path,
        keys,
        before=opened,
        after=lambda: _reopened(opened, change),
        fresh_key=entry.basis == "wrote" and not entry.key_exposed,
    )
    remember_accepted(project, accepted)
    notes = (
        *reader_notes(path, wanted),
        *_group_notes(project, readers),
        *service_notes(path, readers),
        *([_known_key(path)] if entry.key_exposed else ()),
        *settled,
    )
    return Written(path, False, names, _described(project, readers), notes)


def _known_key(path: str) -> str:
    return (
        f"somebody who lost access may know the data key of {path}, and so read what it holds:"
        f" secretsmith rotate {shlex.quote(path)}"
    )


def _names(project: Project, keys: Mapping[str, PublicKey], wanted: Wanted) -> tuple[str, ...]:
    return wanted.names if keys.keys() == wanted.keys.keys() else names_of(project, keys)


def _reopened(opened: OpenDocument, change: Change) -> OpenDocument:
    from secretsmith.documents.sopsopen import open_values

    return open_values(read_sops(opened.file.format, change.data), opened.recovered)


def _described(project: Project, readers: DocumentReaders) -> str:
    drift = readers.drift
    parts = [describe_change(project, drift.add, drift.remove, drift.unknown)]
    if readers.services:
        parts.append(f"dropped the keys of {service_names(readers.services)}")
    if readers.regrouped:
        parts.append("key groups as in the rule")
    return "; ".join(part for part in parts if part)


def _group_notes(project: Project, readers: DocumentReaders) -> list[str]:
    if not readers.kept:
        return []
    notes = [f"{readers.path} has key groups that no rule describes, and keeps them"]
    if readers.missing:
        notes.append(f"not in any of its groups: {', '.join(names_of(project, readers.missing))}")
    if readers.stuck:
        notes.append(f"still in a group, alone: {', '.join(names_of(project, readers.stuck))}")
    return [*notes, "key_groups in the rule decides who is in which"]


def _new_file(prepared: PreparedWrite, clear: bytes) -> SopsFile:
    """Read the text of a document to be, with the rule that it will have."""
    from secretsmith.documents.metadata import Metadata
    from secretsmith.documents.sopsnew import read_clear

    binary = prepared.format is Format.BINARY
    selection_of(prepared.wanted.selection)
    metadata = Metadata((), "", "", selection=None if binary else prepared.wanted.selection)
    return SopsFile(prepared.format, read_clear(prepared.format, clear), metadata)


def _exposed_notes(before: SopsFile | None, after: SopsFile) -> tuple[str, ...]:
    """Say which values are now in the file for everybody to read, because its rule leaves them in clear."""
    old = set() if before is None else _clear_leaves(before)
    new = sorted({format_tree_path(path) for path, _ in _clear_leaves(after) - old})
    rule = after.selection
    return tuple(
        f"{shown} is not encrypted: the document's rule leaves it in clear ({rule.name} = {rule.value})"
        for shown in new
    )


def _clear_leaves(file: SopsFile) -> set[tuple[TreePath, bytes]]:
    return {
        (path, leaf.plain)
        for path, leaf, encrypted in zip(file.named, file.document.leaves, file.encrypted, strict=True)
        if not encrypted and leaf.plain and leaf.kind not in (LeafKind.COMMENT, LeafKind.NULL)
    }


def _lost_notes(before: SopsFile, after: SopsFile, replaced: TreePath) -> tuple[str, ...]:
    """Say which values had to make room; those of a mapping or list at ``replaced`` were meant to."""
    gone = [
        format_tree_path(path)
        for path in before.by_name
        if path not in after.by_name
        and not (replaced and tuple(map(str, path[: len(replaced)])) == tuple(map(str, replaced)))
    ]
    if not gone:
        return ()
    return (f"no longer there, because the new value took their place: {', '.join(gone)}",)


__all__ = [
    "Change",
    "DocumentWrite",
    "clear_text",
    "open_document",
    "refuse_key",
    "store_document",
    "with_text",
    "with_value",
]
