"""``secretsmith decrypt``: any encrypted file in clear, on standard output or in its place."""

from __future__ import annotations

import shlex

from secretsmith.cli.arguments.files import DecryptParameters
from secretsmith.cli.places import in_repository
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.decryption import (
    Decrypted,
    Reading,
    decrypt_data,
    decrypt_file,
    decrypt_secret,
    write_clear,
    write_clear_secret,
)
from secretsmith.operations.locate import locate_secret
from secretsmith.operations.ownkeys import own_keys
from secretsmith.project import MAX_SECRET_BYTES

_STDIN = "-"


def run(session: Session, given: DecryptParameters) -> ExitCode:
    """Open the file and write what it holds."""
    how = Reading(given.input_type, given.output_type, given.ignore_mac)
    if given.file == _STDIN:
        found = _from_stdin(session, given, how)
    elif (project := in_repository(session, given.file)) is not None:
        path = locate_secret(project, given.file, cwd=session.cwd)
        found = decrypt_secret(project, path, how)
        if given.in_place:
            write_clear_secret(project, path, found, how)
            _warn_of_clear(session, path)
    else:
        ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
        place = session.cwd / given.file
        found = decrypt_file(place, given.file, ring, how, open_pgp=open_pgp)
        if given.in_place:
            write_clear(place, given.file, found, how)
            _warn_of_clear(session, given.file)
    _warn(session, found)
    if not given.in_place:
        session.value(found.clear)
    return ExitCode.OK


def _from_stdin(session: Session, given: DecryptParameters, how: Reading) -> Decrypted:
    if given.in_place:
        raise RefusedInput(Code.USAGE, "--in-place: standard input is no file that could be replaced")
    data = session.read_stdin(MAX_SECRET_BYTES).expose()
    ring, open_pgp = own_keys(session.environ, session.interaction, session.cwd)
    return decrypt_data(data, _STDIN, ring, how, open_pgp=open_pgp)


def _warn_of_clear(session: Session, name: str) -> None:
    again = f"secretsmith encrypt --in-place {shlex.quote(name)}"
    session.note(
        f"warning: {name} now lies on the disk in clear; do not commit it; to encrypt it again: {again}"
    )


def _warn(session: Session, found: Decrypted) -> None:
    for warning in found.warnings:
        session.note(f"warning: {warning}")
