"""``decrypt``: any encrypted file in clear, with a registry and without one."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.seal import open_sops, open_value
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.identities.ring import IdentityRing
from secretsmith.operations.fileformat import format_of_sealed
from secretsmith.operations.readers import read_sealed
from secretsmith.operations.show import OpenPgp, explained, explained_file
from secretsmith.operations.unmanaged import replace_file
from secretsmith.operations.write_value import refuse_changed
from secretsmith.project import MAX_SECRET_BYTES, Project, writing
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file


@record
class Reading:
    """How a file is read: its format where the name does not tell it, the format wanted, and whether a bad MAC passes."""

    input_type: str | None = None
    output_type: str | None = None
    ignore_mac: bool = False


@record
class Decrypted:
    """A file in clear. ``source`` are the bytes it was read from; ``warnings`` are for the person."""

    format: Format
    source: bytes
    clear: Sensitive
    warnings: tuple[str, ...] = ()


def decrypt_data(
    data: bytes, name: str, ring: IdentityRing, how: Reading, *, open_pgp: OpenPgp = None
) -> Decrypted:
    """Decrypt the bytes of any encrypted file, an age file or a sops document; ``name`` is what messages call it.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        IntegrityFailure: MAC, CIPHERTEXT, the AGE codes.
        RefusedInput: FORMAT, it is not encrypted; USAGE; values that the format wanted cannot hold; as parsing does.
    """
    form = format_of_sealed(name, data, how.input_type)
    return _decrypted(
        form, data, name, ring, how, open_pgp, lambda error: explained_file(error, name, form, data, ring)
    )


def decrypt_file(
    path: Path, name: str, ring: IdentityRing, how: Reading, *, open_pgp: OpenPgp = None
) -> Decrypted:
    """Decrypt a file. Raises as :func:`decrypt_data`, and as reading it does."""
    return decrypt_data(read_file(path, MAX_SECRET_BYTES), name, ring, how, open_pgp=open_pgp)


def decrypt_secret(project: Project, path: str, how: Reading) -> Decrypted:
    """Decrypt the secret ``path`` (relative to the root). Raises as :func:`decrypt_data`, and as reading it does."""
    data = project.read(path)
    form = format_of_sealed(path, data, how.input_type)
    if form is not format_of(path):
        # Not what its name says: it is read, but nothing here would have written it so.
        return decrypt_data(data, path, project.ring, how, open_pgp=project.open_pgp)
    sealed = read_sealed(project, path)
    return _decrypted(
        form,
        sealed.data,
        path,
        project.ring,
        how,
        project.open_pgp,
        lambda error: explained(project, sealed, error),
    )


def _decrypted(
    form: Format,
    data: bytes,
    name: str,
    ring: IdentityRing,
    how: Reading,
    open_pgp: OpenPgp,
    explain: Callable[[CannotDecrypt], CannotDecrypt],
) -> Decrypted:
    try:
        if form is Format.AGE:
            return Decrypted(form, data, _age_value(data, ring, how))
        opened = open_sops(form, data, ring.for_data, ignore_mac=how.ignore_mac, open_pgp=open_pgp)
        # Here, not above: age files need no formats.
        from secretsmith.documents.sopsplain import converted

        clear = converted(opened, form if how.output_type is None else Format(how.output_type))
        return Decrypted(form, data, Sensitive(clear), opened.warnings)
    except CannotDecrypt as error:
        raise explain(error) from None
    except SecretsmithError as error:
        raise error.at(name) from None


def _age_value(data: bytes, ring: IdentityRing, how: Reading) -> Sensitive:
    if how.output_type not in (None, Format.BINARY):
        raise RefusedInput(Code.USAGE, "an age file holds one value, which has no other format")
    return open_value(Format.AGE, data, ring.for_data)


def write_clear(path: Path, name: str, found: Decrypted, how: Reading) -> None:
    """Replace the encrypted file by its text in clear, readable by its owner alone.

    Raises:
        RefusedInput: USAGE, the text is in another format than the file's name says.
        Conflict: CHANGED.
    """
    _require_own_format(name, found, how)
    replace_file(path, name, found.clear.expose(), before=found.source, mode=_narrowed(path))


def write_clear_secret(project: Project, path: str, found: Decrypted, how: Reading) -> None:
    """Replace a secret of the repository by its text in clear; the registry, the lock and git are left as they are.

    Raises:
        As :func:`write_clear`; Conflict: LOCKED.
    """
    _require_own_format(path, found, how)
    with writing(project) as session:
        # No transaction: its files are ciphertext, which an interrupted run may leave behind for the next one to finish.
        refuse_changed(session.project, path, hashlib.sha256(found.source).hexdigest())
        target = project.root / path
        replace_file(target, path, found.clear.expose(), before=found.source, mode=_narrowed(target))


def _narrowed(path: Path) -> int:
    return stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode) & 0o700


def _require_own_format(name: str, found: Decrypted, how: Reading) -> None:
    if (
        how.output_type is not None
        and found.format is not Format.AGE
        and Format(how.output_type) is not found.format
    ):
        raise RefusedInput(
            Code.USAGE,
            f"{name} would hold {how.output_type} and be named otherwise",
            hints=(f"secretsmith decrypt {shlex.quote(name)} --output-type {how.output_type} > FILE",),
        )


__all__ = [
    "Decrypted",
    "Reading",
    "decrypt_data",
    "decrypt_file",
    "decrypt_secret",
    "write_clear",
    "write_clear_secret",
]
