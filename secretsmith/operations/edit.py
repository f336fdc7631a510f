"""``edit``: a value, or a document in clear, in the user's editor, in memory only, and back without losing what was typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping

from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import Conflict, RefusedInput, SecretsmithError
from secretsmith.operations.editor import Editor, choose_editor, ending_signals, run_editor
from secretsmith.operations.locate import SUFFIX
from secretsmith.operations.readers import sealing_recipients
from secretsmith.operations.show import open_sealed
from secretsmith.operations.write_document import (
    Change,
    DocumentWrite,
    clear_text,
    open_document,
    store_document,
    with_text,
)
from secretsmith.operations.write_value import PreparedWrite, Written, store_value
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file, write_atomic
from secretsmith.store.scratch import scratch_folder, write_private

_FILE_MODE = 0o600


@record
class Edited:
    """The end of an edit. ``written`` is None when the text was not changed; ``notes`` are for the person."""

    path: str
    written: Written | None
    notes: tuple[str, ...] = ()


def edit_secret(
    project: Project,
    prepared: PreparedWrite,
    *,
    keep_newline: bool = False,
    environ: Mapping[str, str] | None = None,
    before_editor: Callable[[Editor], None] | None = None,
) -> Edited:
    """Open the value of ``prepared`` (empty for a new path) in the editor of ``environ`` and store what comes back.

    A document is edited as its text in clear. A text that cannot be read goes back to the editor if the person says so.
    The plaintext is only ever in a private folder on a tmpfs, which is gone when this returns or raises, signals included.
    ``before_editor`` is told which editor is about to run.

    Raises:
        SecretsmithError: EDITOR, it failed; CHANGED (``Conflict``) and whatever else keeps the value from being written,
            with the user's text kept, encrypted, beside the file.
        RefusedInput: NO_TMPFS.
    """
    environ = project.environ if environ is None else environ
    if prepared.is_document:
        write = open_document(project, prepared)
        return _edit_document(project, write, _chosen(environ, before_editor), environ)
    old = open_sealed(project, prepared.sealed) if prepared.sealed is not None else None
    editor = _chosen(environ, before_editor)
    typed = _in_editor(editor, _scratch_name(prepared.path), old or Sensitive(b""), environ)
    notes: list[str] = []
    value = typed if keep_newline else without_added_newline(old, typed)
    if value == (old or Sensitive(b"")):
        return Edited(prepared.path, None, _unchanged_notes(prepared.path, editor))
    if value != typed:
        notes.append("removed the final newline that the editor added (--keep-newline keeps it)")
    try:
        written = store_value(project, prepared, value, before=old)
    except SecretsmithError as error:
        raise error.with_hints(_kept_hint(project, prepared, value)) from None
    return Edited(prepared.path, written, tuple(notes))


def _chosen(environ: Mapping[str, str], before_editor: Callable[[Editor], None] | None) -> Editor:
    editor = choose_editor(environ)
    if before_editor is not None:
        before_editor(editor)
    return editor


def _edit_document(
    project: Project, write: DocumentWrite, editor: Editor, environ: Mapping[str, str]
) -> Edited:
    path = write.prepared.path
    old = clear_text(write)
    typed = _in_editor(editor, os.path.basename(path), old, environ)
    try:
        while typed != old and (write.opened is not None or typed.expose().strip()):
            change = _read_back(project, write, typed)
            if change is not None:
                return Edited(path, store_document(project, write, change))
            typed = _in_editor(editor, os.path.basename(path), typed, environ)
    except SecretsmithError as error:
        raise error.with_hints(_kept_hint(project, write.prepared, typed)) from None
    return Edited(path, None, _unchanged_notes(path, editor))


def _read_back(project: Project, write: DocumentWrite, typed: Sensitive) -> Change | None:
    """Read the document that was typed; None when it cannot be, and the person wants to go on with it in the editor."""
    try:
        return with_text(write, typed)
    except (RefusedInput, Conflict) as error:
        again = f"{error.message}; back to the editor?"
        if project.interaction.available and project.interaction.confirm(
            again, flag="a text that can be read"
        ):
            return None
        raise


def without_added_newline(old: Sensitive | None, typed: Sensitive) -> Sensitive:
    """Return ``typed`` without the one final newline that an editor adds to a value that had none.

    A new value is taken for a password if it is one line; of several lines it is a text file (a key in PEM, for instance,
    is not valid without its last newline) and stays as it is.
    """
    text = typed.expose()
    if not text.endswith(b"\n"):
        return typed
    shorter = text[:-1]
    if old is None or not old.expose():
        return typed if b"\n" in shorter else Sensitive(shorter)
    if old.expose().endswith(b"\n") or shorter.endswith(b"\n"):
        return typed
    return Sensitive(shorter)


def _in_editor(editor: Editor, name: str, value: Sensitive, environ: Mapping[str, str]) -> Sensitive:
    # The signals first: one that arrives between the making of the folder and its removal must find the removal.
    with ending_signals(), scratch_folder(environ) as folder:
        file = write_private(folder, name, value.expose())
        run_editor(editor, str(file), environ)
        # Editors replace the file as often as they overwrite it, so it is read anew by its name.
        return Sensitive(read_file(file, MAX_SECRET_BYTES))


def _scratch_name(path: str) -> str:
    """Return the name without ``.age``, so that ``tls.key.json.age`` is edited as JSON."""
    return os.path.basename(path).removesuffix(SUFFIX) or "value"


def _unchanged_notes(path: str, editor: Editor) -> tuple[str, ...]:
    notes = [f"{path}: unchanged, nothing was written"]
    if not editor.known:
        notes.append(
            f"if {editor.name} returned at once, give it the option that makes it wait (code --wait)"
        )
    return tuple(notes)


def _kept_hint(project: Project, prepared: PreparedWrite, value: Sensitive) -> str:
    try:
        kept = _keep(project, prepared, value)
    except SecretsmithError as error:
        return f"your text could not be kept: {error.message}"
    return (
        f"your text is kept, encrypted to you and the admins, in {kept}: secretsmith show {shlex.quote(kept)}"
    )


def _keep(project: Project, prepared: PreparedWrite, value: Sensitive) -> str:
    """Write the user's text beside the file, encrypted to the user's own registered keys and the admins."""
    keys: dict[str, PublicKey] = {
        key.fingerprint: key
        for user in project.registry.users.values()
        if user.admin and user.reads
        for key in user.keys
        # Of a document with key groups an admin may be no reader, and so nobody was asked about the key.
        if project.accepted.contains(key.fingerprint) or key.fingerprint in prepared.accepted
    }
    for key in project.ring.own_keys():
        if key.fingerprint in prepared.wanted.keys:
            keys[key.fingerprint] = key
    data = seal_value(Format.AGE, value, sealing_recipients(keys, Form.NATIVE), armor=True)
    folder, _, stem = prepared.path.removesuffix(SUFFIX).rpartition("/")
    while folder and not (project.root / folder).is_dir():
        folder = os.path.dirname(folder)  # a new path may be in a folder that is not there yet
    stem = os.path.join(folder, stem)
    number = 0
    while True:
        name = f"{stem}.rej{number or ''}{SUFFIX}"
        if not os.path.lexists(project.root / name):
            break
        number += 1
    write_atomic(project.root / name, data, mode=_FILE_MODE)
    return name


__all__ = ["Edited", "edit_secret", "without_added_newline"]
