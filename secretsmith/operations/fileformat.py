"""Which format a file has, of which nothing is known but its name, its bytes, and perhaps what somebody says."""

from __future__ import annotations

import shlex

from secretsmith.documents.format import HEAD, Format, format_of, looks_encrypted
from secretsmith.errors import Code, RefusedInput

_TEXTS = (Format.YAML, Format.DOTENV, Format.INI)


def format_of_sealed(name: str, data: bytes, given: str | None = None) -> Format:
    """Return the format of an encrypted file.

    ``given`` is what ``--input-type`` says, and decides. A file whose name tells nothing is an age file, or a binary
    document of sops.

    Raises:
        RefusedInput: FORMAT, the bytes are a document whose format has to be given.
    """
    if given is not None:
        return Format(given)
    form = format_of(name)
    head = data[:HEAD]
    if form is not Format.BINARY or looks_encrypted(Format.AGE, head):
        return Format.AGE if form is Format.BINARY else form
    if head.lstrip().startswith(b"{"):
        return Format.BINARY
    for other in _TEXTS:
        if looks_encrypted(other, head):
            raise RefusedInput(
                Code.FORMAT,
                f"{name}: an encrypted document, whose format its name does not tell",
                hints=(f"secretsmith decrypt {shlex.quote(name)} --input-type yaml (or dotenv, or ini)",),
                path=name,
            )
    # Most likely: the parser says what is wrong with it.
    return Format.AGE


__all__ = ["format_of_sealed"]
