"""``unset``: a value, or a mapping or list with all in it, taken out of a document with its lines."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.tree import parse_tree_path
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.write_document import Change, open_document, store_document
from secretsmith.operations.write_value import Written, prepare_write
from secretsmith.project import Project


def unset_in_document(
    project: Project, path: str, key: str, *, accept: Sequence[str] = (), drop_unknown: bool = False
) -> Written:
    """Take what is at ``key`` (a slash path) out of the document ``path``, and give it to the wanted readers.

    ``accept`` and ``drop_unknown`` are as for ``prepare_write``.

    Raises:
        NotFound: there is no such file, or nothing at ``key``.
        RefusedInput: USAGE for a secret that has no keys.
        SecretsmithError: as preparing, opening and writing the document do.
    """
    # Imported here: what changes documents is for the commands that do.
    from secretsmith.documents.sopsedit import unset_value

    if format_of(path) in (Format.AGE, Format.BINARY):
        raise RefusedInput(
            Code.USAGE,
            f"{path} holds one value and no keys",
            hints=(f"to remove it: secretsmith rm {shlex.quote(path)}",),
            path=path,
        )
    names = parse_tree_path(key)
    write = open_document(project, prepare_write(project, path, accept=accept, drop_unknown=drop_unknown))
    if write.opened is None:
        raise NotFound(Code.NOT_FOUND, f"no secret {path}", hints=("secretsmith ls lists all",), path=path)
    try:
        data = unset_value(write.opened, names)
    except NotFound as error:
        raise error.with_hints(f"see what there is: secretsmith show {shlex.quote(path)}").at(path) from None
    except SecretsmithError as error:
        raise error.at(path) from None
    return store_document(project, write, Change(data))


__all__ = ["unset_in_document"]
