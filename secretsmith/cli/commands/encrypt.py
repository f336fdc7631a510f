"""``secretsmith encrypt``: a file in clear, encrypted to standard output or in its place."""

from __future__ import annotations

from pathlib import Path

from secretsmith.cli.arguments.files import EncryptParameters
from secretsmith.cli.places import existing_file, project_around
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.encryption import (
    Encrypted,
    Wishes,
    encrypt_managed,
    encrypt_plain,
    managed_target,
    read_clear_file,
    replace_managed,
    replace_plain,
)
from secretsmith.project import MAX_SECRET_BYTES
from secretsmith.sensitive import Sensitive

_STDIN = "-"
_SELECTION = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)


def run(session: Session, given: EncryptParameters) -> ExitCode:
    """Find out who reads the file, encrypt it, write it."""
    wishes = Wishes(
        age=given.age,
        input_type=given.input_type,
        selection=tuple((name, value) for name in _SELECTION if (value := getattr(given, name))),
        mac_only_encrypted=given.mac_only_encrypted,
        accept=given.accept,
    )
    source = _source(session, given)
    clear = session.read_stdin(MAX_SECRET_BYTES) if source is None else read_clear_file(source)
    # Format and rules are those of this path, which need not be where the text lies.
    name = given.filename_override or given.file
    target = session.cwd / name if given.filename_override or source is None else source
    # Text without a name is no secret of the repository.
    project = project_around(session, target) if name != _STDIN else None
    path = None if project is None else managed_target(project, target)
    if project is not None and path is not None:
        if not given.in_place:
            return _print(session, encrypt_managed(project, path, clear, wishes))
        made = replace_managed(project, path, clear, wishes)
        name = path
    else:
        made = encrypt_plain(
            clear,
            target,
            name,
            wishes,
            environ=session.environ,
            cwd=session.cwd,
            interaction=session.interaction,
        )
        if source is None or not given.in_place:
            return _print(session, made)
        name = given.file
        made = replace_plain(source, name, clear, made)
    session.note(f"encrypted {name}, readable by {', '.join(made.readers)}")
    _note(session, made)
    return ExitCode.OK


def _source(session: Session, given: EncryptParameters) -> Path | None:
    """Give the file to read, None for standard input."""
    if given.file != _STDIN:
        if given.in_place and given.filename_override:
            raise RefusedInput(
                Code.USAGE, "--in-place and --filename-override: a file in its own place has its own name"
            )
        return existing_file(session, given.file)
    if given.in_place:
        raise RefusedInput(Code.USAGE, "--in-place: standard input is no file that could be replaced")
    if not given.filename_override and given.input_type is None:
        raise RefusedInput(
            Code.USAGE,
            "what kind of file is on standard input?",
            hints=(
                "say which file it is meant for: --filename-override PATH",
                "or its format: --input-type TYPE",
            ),
        )
    return None


def _print(session: Session, made: Encrypted) -> ExitCode:
    session.value(Sensitive(made.data))
    _note(session, made)
    return ExitCode.OK


def _note(session: Session, made: Encrypted) -> None:
    for note in made.notes:
        session.note(f"note: {note}")
