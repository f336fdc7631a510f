"""Reading one place: a file, the text of a variable, the output of a command."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import PublicKey, parse_public_key
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.identities.command import run_key_command
from secretsmith.identities.parse import FoundKeys, parse_keys
from secretsmith.identities.sources import Source, SourceKind
from secretsmith.interaction import Interaction
from secretsmith.store.atomic import read_file

MAX_KEY_FILE: Final = 4 * 1024 * 1024
_KEY: Final = (b"AGE-", b"#")
_MAX_PUBLIC: Final = 64 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_source(source: Source, environ: Mapping[str, str], interaction: Interaction) -> FoundKeys | None:
    """Return the keys of one place, None when nothing is there.

    Raises:
        SecretsmithError: what is there cannot be used; one line that says why and repeats none of it.
    """
    if source.kind is SourceKind.TEXT:
        text = environ[source.name].encode("utf-8", "surrogateescape")
        return parse_keys(_one_a_line(text), source.name, interaction)
    if source.kind is SourceKind.COMMAND:
        output = run_key_command(source.name, source.location, environ)
        return parse_keys(output.expose(), source.name, interaction)
    return _read_key_file(source, interaction)


def _one_a_line(text: bytes) -> bytes:
    """Put keys that stand in one line, with blanks between them, on lines of their own, as sops does from 3.13 on."""
    if not text.lstrip()[:4].upper().startswith(_KEY):
        return text
    return b"\n".join(
        line if line.startswith(b"#") else b"\n".join(line.split()) for line in text.splitlines()
    )


def _read_key_file(source: Source, interaction: Interaction) -> FoundKeys | None:
    # People keep their keys in a dotfiles repository and link to them; the file behind the link must be a regular one.
    path = Path(source.location)
    try:
        data = read_file(path, MAX_KEY_FILE, follow=True)
    except NotFound:
        return None
    remark = _exposure(path)
    if remark and source.kind is SourceKind.HOST_KEY:
        raise RefusedInput(Code.ACCESS, f"{remark}; a host key that others could read or replace is not used")
    found = parse_keys(data, source.name, interaction, _public_beside(source.location))
    return FoundKeys(found.identities, found.locked, remark)


def _exposure(path: Path) -> str:
    """Say who else could read the key or put another in its place; empty when nobody."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return "owned by somebody else"
    if status.st_mode & _OTHERS:
        return (
            "readable by others" if status.st_mode & (stat.S_IRGRP | stat.S_IROTH) else "writable by others"
        )
    return ""


def _public_beside(location: str) -> PublicKey | None:
    try:
        text = read_file(Path(f"{location}.pub"), _MAX_PUBLIC, follow=True).decode()
        return parse_public_key(text.strip())
    except (SecretsmithError, UnicodeDecodeError):
        return None


__all__ = ["MAX_KEY_FILE", "read_source"]
