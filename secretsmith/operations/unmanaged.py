"""Changing a file that no registry knows, by what the file itself says of its readers.

The recipients stay exactly as they are. There is nobody to ask who they are, so all that is checked is that each stanza is
for the recipient that the document names.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import evidence, open_sops, read_document
from secretsmith.errors import CannotDecrypt, Code, Conflict, NotFound, RefusedInput, SecretsmithError
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import Interaction
from secretsmith.operations.fileformat import format_of_sealed
from secretsmith.operations.given import given_node, given_path, new_text
from secretsmith.operations.newfile import readers_of_new, seal_new
from secretsmith.operations.show import OpenPgp, explained_file
from secretsmith.operations.write_value import Written
from secretsmith.project import MAX_SECRET_BYTES
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file, write_atomic

if TYPE_CHECKING:
    from secretsmith.documents.sopsopen import OpenDocument


def set_in_file(
    path: Path,
    name: str,
    ring: IdentityRing,
    key: str | None,
    value: Sensitive,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    interaction: Interaction | None = None,
    json: bool = False,
    open_pgp: OpenPgp = None,
) -> Written:
    """Put ``value`` at ``key`` (a slash path) of the document ``path``; without ``key`` it is the whole new text in clear.

    ``name`` is what messages call the file. ``json``: the value is JSON, else a text byte for byte. A file that does not
    exist yet is made for the readers that SOPS_AGE_RECIPIENTS of ``environ`` or ``.sops.yaml`` (from ``cwd`` upward, or
    SOPS_CONFIG) name; ``interaction`` serves their plugins.

    Raises:
        RefusedInput: UNSUPPORTED for an age file, which does not say who its readers are; USAGE for ``json`` that is none;
            RECIPIENT_MISSING for a new file that nothing names readers for; as reading, parsing, setting do.
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        IntegrityFailure: RECIPIENT_MISMATCH, MAC, CIPHERTEXT.
        Conflict: CHANGED, somebody else wrote the file meanwhile.
    """
    if not os.path.lexists(path):
        return _create(path, name, key, value, environ=environ, cwd=cwd, interaction=interaction, json=json)
    from secretsmith.documents.sopsedit import replace_plaintext, set_value

    def change(opened: OpenDocument) -> bytes:
        form = opened.file.format
        if key is None:
            return replace_plaintext(opened, value.expose())
        node = given_node(form, key, value, json=json)
        return set_value(opened, given_path(form, key), node, idempotent=True)

    written = _changed(path, name, ring, open_pgp, change)
    return written if written.unchanged else replace(written, notes=_clear_notes(path, name, key))


def _clear_notes(path: Path, name: str, key: str | None) -> tuple[str, ...]:
    """Say that the value is there for everybody to read, because the document's rule leaves it in clear."""
    data = read_file(path, MAX_SECRET_BYTES)
    if key is None or (form := format_of_sealed(name, data)) is Format.AGE:
        return ()
    file = read_document(form, data)
    index = file.by_name.get(given_path(form, key))
    if index is None or file.encrypted[index]:
        return ()
    rule = file.selection
    return (f"{key} is not encrypted: the document's rule leaves it in clear ({rule.name} = {rule.value})",)


def unset_in_file(
    path: Path, name: str, ring: IdentityRing, key: str, *, open_pgp: OpenPgp = None
) -> Written:
    """Take what is at ``key`` (a slash path) out of the document ``path``.

    Raises:
        NotFound: NOT_FOUND, no such file, or nothing at ``key``.
        SecretsmithError: as :func:`set_in_file`.
    """
    from secretsmith.documents.sopsedit import unset_value

    return _changed(
        path, name, ring, open_pgp, lambda opened: unset_value(opened, given_path(opened.file.format, key))
    )


def rotate_file(path: Path, name: str, ring: IdentityRing, *, open_pgp: OpenPgp = None) -> Written:
    """Give the document ``path`` a new data key for the recipients and key groups it has.

    Raises:
        RefusedInput: UNSUPPORTED for an age file, and for a document under keys that are not age's.
        SecretsmithError: as :func:`set_in_file`.
    """
    from secretsmith.documents.sopsrewrap import rotate

    return _changed(path, name, ring, open_pgp, rotate)


def _changed(
    path: Path, name: str, ring: IdentityRing, open_pgp: OpenPgp, change: Callable[[OpenDocument], bytes]
) -> Written:
    """Open the document, give what ``change`` makes of it the place of the file."""
    if not os.path.lexists(path):
        raise NotFound(Code.NOT_FOUND, f"no file {name}")
    data = read_file(path, MAX_SECRET_BYTES)
    form = format_of_sealed(name, data)
    if form is Format.AGE:
        raise _age_file(name)
    try:
        # A stanza for somebody else than the document says would be kept, and so would what it opens.
        found = evidence(form, data)
        out = change(open_sops(form, data, ring.for_data, open_pgp=open_pgp))
    except CannotDecrypt as error:
        raise explained_file(error, name, form, data, ring) from None
    except SecretsmithError as error:
        raise error.at(name) from None
    if out != data:
        replace_file(path, name, out, before=data)
    readers = tuple(dict.fromkeys(each.recipient for each in found if each.recipient is not None))
    return Written(name, False, readers, "", (), unchanged=out == data)


def _create(
    path: Path,
    name: str,
    key: str | None,
    value: Sensitive,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    interaction: Interaction | None,
    json: bool,
) -> Written:
    form = format_of(path.name)
    if key is not None and form in (Format.AGE, Format.BINARY):
        raise RefusedInput(Code.USAGE, f"{name} holds one value and no keys", path=name)
    readers = readers_of_new(path, name, environ=environ, cwd=cwd)
    try:
        if key is not None:
            node = given_node(form, key, value, json=json)
            value = Sensitive(new_text(form, given_path(form, key), node))
        out = seal_new(form, value, readers, interaction=interaction)
    except SecretsmithError as error:
        raise error.at(name) from None
    replace_file(path, name, out, before=None)
    notes = (f"the readers are those of {readers.source}", *_clear_notes(path, name, key))
    return Written(name, True, readers.recipients, "", notes)


def replace_file(
    path: Path, name: str, data: bytes, *, before: bytes | None, mode: int | None = None
) -> None:
    """Write ``data`` in the place of ``path``, if that still holds ``before`` (None: if it still does not exist).

    Raises:
        Conflict: CHANGED.
        SecretsmithError: as :func:`secretsmith.store.atomic.write_atomic`.
    """
    now = read_file(path, MAX_SECRET_BYTES) if os.path.lexists(path) else None
    if now != before:
        raise Conflict(
            Code.CHANGED,
            f"{name}: changed since it was read; nothing was written",
            hints=("look at it, then try again",),
            path=name,
        )
    write_atomic(path, data, mode=mode)


def _age_file(name: str) -> RefusedInput:
    quoted = shlex.quote(name)
    return RefusedInput(
        Code.UNSUPPORTED,
        f"{name}: an age file does not say to whom it is encrypted, so without a registry it cannot be written again",
        hints=(
            f"say who reads it: secretsmith encrypt - --age RECIPIENT --filename-override {quoted} < VALUE > NEW",
            "or keep it in a secretsmith repository: secretsmith init",
        ),
        path=name,
    )


__all__ = ["replace_file", "rotate_file", "set_in_file", "unset_in_file"]
