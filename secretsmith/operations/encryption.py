"""``encrypt``: a file in clear becomes an age file or a sops document, for the readers that registry or ``.sops.yaml`` name."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from secretsmith.crypto.publickey import Form, PublicKey, parse_public_key
from secretsmith.documents.format import HEAD, Format, format_of, looks_encrypted
from secretsmith.documents.seal import read_document, seal_value
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.operations.keygroups import new_groups
from secretsmith.operations.managed import is_managed
from secretsmith.operations.newfile import NewReaders, readers_of_new, seal_new
from secretsmith.operations.readers import (
    accept_readers,
    refuse_unfit_readers,
    remember_accepted,
    sealing_recipients,
    verifier,
    wanted_by,
)
from secretsmith.operations.unmanaged import replace_file
from secretsmith.operations.write_value import reader_notes, refuse_changed
from secretsmith.policy.keygroups import wanted_groups
from secretsmith.project import MAX_SECRET_BYTES, Project, writing
from secretsmith.record import record, replace
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file
from secretsmith.store.git import in_git, tracked


@record
class Wishes:
    """What a person says about a file to encrypt: recipients, format, and what is left in clear. ``accept`` as for every write.

    ``selection`` are (name, value) of the fields of sops; there may be one.
    """

    age: tuple[str, ...] = ()
    input_type: str | None = None
    selection: tuple[tuple[str, str], ...] = ()
    mac_only_encrypted: bool = False
    accept: tuple[str, ...] = ()

    @property
    def rule(self) -> tuple[str, str] | None:
        """The one selection rule. Raises ``RefusedInput``: USAGE for two."""
        if len(self.selection) > 1:
            first, second = (f"--{name.replace('_', '-')}" for name, _ in self.selection[:2])
            raise RefusedInput(Code.USAGE, f"{first} and {second}: only one of them can hold")
        return self.selection[0] if self.selection else None


@record
class Encrypted:
    """An encrypted file. ``readers`` are names, or recipients where nobody has a name; ``notes`` are for the person."""

    data: bytes
    readers: tuple[str, ...]
    notes: tuple[str, ...] = ()


def encrypt_plain(
    clear: Sensitive,
    target: Path,
    name: str,
    wishes: Wishes,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    interaction: Interaction | None = None,
) -> Encrypted:
    """Encrypt ``clear`` as the file ``target`` that no registry manages; ``name`` is what messages call it.

    Raises:
        RefusedInput: FORMAT or YAML_SHAPE, it is encrypted already; RECIPIENT_MISSING, nothing says who reads it, with the
            three ways to say so; UNSUPPORTED, RULES, KEY codes, USAGE; as reading the text does.
    """
    form = _format(target.name, clear, wishes, name)
    readers = readers_of_new(target, name, environ=environ, cwd=cwd, age=wishes.age)
    _require_parts(form, name, wishes)
    data = _sealed(form, clear, _with(readers, wishes), name, interaction)
    return Encrypted(data, readers.recipients, _source_notes(readers, wishes))


def _source_notes(readers: NewReaders, wishes: Wishes) -> tuple[str, ...]:
    return () if wishes.age else (f"the readers are those of {readers.source}",)


def read_clear_file(path: Path) -> Sensitive:
    """Read a file in clear. Raises as :func:`secretsmith.store.atomic.read_file`."""
    return Sensitive(read_file(path, MAX_SECRET_BYTES))


def replace_plain(path: Path, name: str, clear: Sensitive, made: Encrypted) -> Encrypted:
    """Put what was encrypted in the place of the file in clear; returns it with further notes. Raises Conflict: CHANGED."""
    replace_file(path, name, made.data, before=clear.expose())
    return replace(made, notes=(*made.notes, *_history_notes(path.parent, path.name, name)))


def managed_target(project: Project, path: Path) -> str | None:
    """Return ``path`` relative to the root when registry or lock manage it, else None: then it is like any other file."""
    for root in (project.root, project.root.resolve()):
        relative = os.path.relpath(os.path.normpath(path), root)
        if relative.split("/", 1)[0] != "..":
            return relative if is_managed(project, relative) else None
    return None


def encrypt_managed(project: Project, path: str, clear: Sensitive, wishes: Wishes) -> Encrypted:
    """Encrypt ``clear`` as the secret ``path`` (relative to the root), for the readers that the registry wants.

    Raises:
        RefusedInput: as :func:`encrypt_plain`; KEY_ACCEPT, NO_ADMIN; USAGE for other recipients than those of the rules.
    """
    form = _format(path, clear, wishes, path)
    keys = _wanted_keys(project, path, form, wishes)
    remember_accepted(project, accept_readers(project, keys, wishes.accept))
    return _for_registry(project, path, form, clear, wishes)[0]


def replace_managed(project: Project, path: str, clear: Sensitive, wishes: Wishes) -> Encrypted:
    """Replace the secret ``path``, which lies there in clear, by the encrypted one, its lock entry with it.

    Raises:
        As :func:`encrypt_managed`; Conflict: CHANGED, LOCKED.
    """
    form = _format(path, clear, wishes, path)
    if form is not format_of(path):
        raise RefusedInput(
            Code.USAGE,
            f"{path}: every command that reads it takes it for {format_of(path)}, by its name",
            hints=(f"give it a name that ends as {form} files do, then encrypt it",),
            path=path,
        )
    # No question is asked with the lock held.
    asked = accept_readers(project, _wanted_keys(project, path, form, wishes), wishes.accept)
    digest = hashlib.sha256(clear.expose()).hexdigest()
    history = _history_notes(project.root, path, path)  # before the write makes the file known to git
    with writing(project) as session:
        fresh = session.project
        refuse_changed(fresh, path, digest)
        keys = _wanted_keys(fresh, path, form, wishes)
        accepted = accept_readers(fresh, keys, (*wishes.accept, *asked))
        made, groups = _for_registry(fresh, path, form, clear, wishes)
        if path not in session.lock.files:
            session.created.append(path)  # new to git as well, most likely
        # The lock has no room for what groups say.
        session.stage_secret(path, made.data, keys, expect=digest, recorded=groups == 1)
        remember_accepted(fresh, accepted)
        session.commit(verifier(session))
    return replace(made, notes=(*made.notes, *session.notes, *history))


def _wanted_keys(project: Project, path: str, form: Format, wishes: Wishes) -> dict[str, PublicKey]:
    """Give the keys, by fingerprint, that will read the secret.

    Raises:
        RefusedInput: USAGE, ``--age`` names others: the next rekey would change them back; NO_ADMIN; REG_EMPTY.
    """
    wanted = wanted_by(project, path)
    refuse_unfit_readers(project, path, wanted)
    if form is Format.AGE:
        keys = dict(wanted.keys)
    else:
        keys = {name: key for group in wanted_groups(project.registry, wanted) for name, key in group.items()}
    # An ssh key and the age1… made of it are the same reader.
    given = {parse_public_key(text).recipient(Form.DERIVED) for text in wishes.age}
    if not given or given == {key.recipient(Form.DERIVED) for key in keys.values()}:
        return keys
    raise RefusedInput(
        Code.USAGE,
        f"{path}: the registry says who reads it ({', '.join(wanted.names) or 'nobody'}), and --age names others",
        hints=(
            f"leave --age out, or change the rules: secretsmith grant {shlex.quote(path)} --to WHO",
            "a file outside of the repository can be encrypted to anybody",
        ),
        path=path,
    )


def _for_registry(
    project: Project, path: str, form: Format, clear: Sensitive, wishes: Wishes
) -> tuple[Encrypted, int]:
    """Give the encrypted secret, and how many key groups it has."""
    wanted = wanted_by(project, path)
    _require_parts(form, path, wishes)
    notes = tuple(reader_notes(path, wanted))
    if form is Format.AGE:
        recipients = sealing_recipients(wanted.keys, Form.NATIVE)
        armor = wanted.armor is not False
        data = seal_value(form, clear, recipients, armor=armor, interaction=project.interaction)
        return Encrypted(data, wanted.names, notes), 1
    groups, threshold = new_groups(project.registry, wanted)
    readers = NewReaders(groups, "the registry", threshold, wanted.selection, bool(wanted.mac_only_encrypted))
    data = _sealed(form, clear, _with(readers, wishes), path, project.interaction)
    return Encrypted(data, wanted.names, notes), len(groups)


def _with(readers: NewReaders, wishes: Wishes) -> NewReaders:
    """Let what was said on the command line win over what a rule says."""
    return replace(
        readers,
        selection=wishes.rule or readers.selection,
        mac_only_encrypted=wishes.mac_only_encrypted or readers.mac_only_encrypted,
    )


def _require_parts(form: Format, name: str, wishes: Wishes) -> None:
    if (wishes.rule or wishes.mac_only_encrypted) and form in (Format.AGE, Format.BINARY):
        what = "an age file" if form is Format.AGE else "a binary document"
        raise RefusedInput(
            Code.USAGE,
            f"{name}: {what} is one value, of which nothing can stay in clear",
            hints=("where the name does not tell the format: --input-type",),
            path=name,
        )


def _sealed(
    form: Format, clear: Sensitive, readers: NewReaders, name: str, interaction: Interaction | None
) -> bytes:
    try:
        return seal_new(form, clear, readers, interaction=interaction)
    except SecretsmithError as error:
        raise error.at(name) from None


def _format(file: str, clear: Sensitive, wishes: Wishes, name: str) -> Format:
    """Give the format to write. Raises ``RefusedInput`` (FORMAT) when the bytes are encrypted already."""
    form = format_of(file) if wishes.input_type is None else Format(wishes.input_type)
    data = clear.expose()
    if _is_encrypted(form, data):
        quoted = shlex.quote(name)
        raise RefusedInput(
            Code.FORMAT,
            f"{name}: it is encrypted already",
            hints=(f"to see it: secretsmith show {quoted}; to change it: secretsmith edit {quoted}",),
            path=name,
        )
    return form


def _is_encrypted(form: Format, data: bytes) -> bool:
    if looks_encrypted(Format.AGE, data[:HEAD]):
        return True
    try:
        read_document(Format.BINARY if form is Format.AGE else form, data)
    except SecretsmithError:
        return False  # what is wrong with the text, what encrypts it will say
    return True


def _history_notes(folder: Path, path: str, name: str) -> tuple[str, ...]:
    """Say that git still has the text in clear."""
    try:
        known = in_git(folder) and tracked(folder, [path])
    except SecretsmithError:
        return ()
    if not known:
        return ()
    return (
        f"git tracks {name}: if it was ever committed or staged in clear, the history still holds that; "
        "change the values if others have it",
    )


__all__ = [
    "Encrypted",
    "Wishes",
    "encrypt_managed",
    "encrypt_plain",
    "managed_target",
    "read_clear_file",
    "replace_managed",
    "replace_plain",
]
