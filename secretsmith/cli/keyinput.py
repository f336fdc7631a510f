"""Public keys as they are given on the command line: a line, a file, standard input."""

from __future__ import annotations

import os
from collections.abc import Sequence

from secretsmith.cli.session import Session
from secretsmith.errors import Code, RefusedInput
from secretsmith.operations.keyfiles import MAX_KEY_FILE, key_lines, read_key_file

_KEY_WORDS = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "age1", "AGE1", "AGE-", "-----BEGIN")


def read_named(session: Session, name: str) -> tuple[str, ...]:
    """Return the key lines of the file ``name``, or of standard input for ``-``.

    Raises:
        NotFound, RefusedInput: there is no such file, or no key in it.
    """
    if name == "-":
        return key_lines(session.read_stdin(MAX_KEY_FILE).expose(), "standard input")
    return read_key_file(session.cwd / os.path.expanduser(name))


def read_key_or_file(session: Session, given: str) -> tuple[str, ...]:
    """Return the key lines that one word means: a key line itself, a file, or ``-``."""
    if given.lstrip().startswith(_KEY_WORDS) and not os.path.exists(session.cwd / given):
        return (given,)
    return read_named(session, given)


def one_host_key(session: Session, host: str, line: str | None, file: str | None) -> str | None:
    """Return the one key line of a host from ``--key`` or ``--key-file``; None when neither is given.

    Raises:
        RefusedInput: both are given, or the file holds several keys.
    """
    if line is not None and file is not None:
        raise RefusedInput(Code.USAGE, "--key and --key-file exclude each other")
    if line is not None or file is None:
        return line
    lines = read_named(session, file)
    if len(lines) > 1:
        raise RefusedInput(
            Code.USAGE,
            f"{file}: holds {len(lines)} keys, and {host} has one",
            hints=(
                f"give the one of ed25519: --key-file {file.rpartition('/')[0] or '.'}/ssh_host_ed25519_key.pub",
            ),
        )
    return lines[0]


def all_key_lines(session: Session, lines: Sequence[str], file: str | None) -> tuple[str, ...]:
    """Return the key lines of repeated ``--key`` and one ``--key-file``."""
    return (*lines, *(read_named(session, file) if file is not None else ()))


__all__ = ["all_key_lines", "one_host_key", "read_key_or_file", "read_named"]
