"""Files with public keys, as users name them; they may lie anywhere and be symbolic links."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import Code, RefusedInput
from secretsmith.store.atomic import read_file

MAX_KEY_FILE: Final = 1024 * 1024


def read_key_file(path: Path) -> tuple[str, ...]:
    """Return the public key lines of a file.

    Raises:
        NotFound, RefusedInput: there is no such file, or no key in it.
    """
    return key_lines(read_file(path, MAX_KEY_FILE, follow=True), str(path))


def key_lines(data: bytes, where: str) -> tuple[str, ...]:
    """Return the public key lines in ``data``; empty lines and comments (``#``) are passed over.

    Raises:
        RefusedInput: KEY_FORMAT, ``where`` (a file's name) holds none.
    """
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise RefusedInput(Code.KEY_FORMAT, f"{where}: holds no public key", path=where)
    if found[0].startswith("-----BEGIN"):
        try:
            parse_public_key(found[0])  # refuses a private key with its own words
        except RefusedInput as error:
            raise error.at(where) from None
    return found


__all__ = ["MAX_KEY_FILE", "key_lines", "read_key_file"]
