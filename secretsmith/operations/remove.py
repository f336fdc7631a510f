"""``rm``: files and what the lock knows of them go; what is owed stays, because who read a value still knows it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from secretsmith.documents.format import format_of, looks_encrypted
from secretsmith.errors import Code, Interrupted, RefusedInput
from secretsmith.operations.managed import is_managed
from secretsmith.project import Project, writing
from secretsmith.record import record

_HEAD_BYTES = 4096


@record
class Removed:
    """What was removed; ``notes`` are for the person."""

    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


def remove_secrets(project: Project, paths: Sequence[str], *, force: bool = False) -> Removed:
    """Remove secrets (paths relative to the root), all or none; asks unless ``force``.

    Raises:
        RefusedInput: NOT_INTERACTIVE, there is nobody to ask; FORMAT, a file that is no secret.
        Interrupted: the answer was no.
        Conflict: CHANGED, a file changed since the question.
    """
    paths = tuple(dict.fromkeys(paths))
    for path in paths:
        _refuse_foreign(project, path)
    digests = {path: hashlib.sha256(project.read(path)).hexdigest() for path in paths}
    if not force and not project.interaction.confirm(f"remove {', '.join(paths)}?", flag="--force"):
        raise Interrupted(Code.INTERRUPTED, "nothing was removed")
    with writing(project) as session:
        for path in paths:
            session.remove_secret(path, expect=digests[path])
        owed = {debt.path for debt in session.lock.debt}
        exact = {rule.pattern for rule in session.project.registry.rules}
        session.commit()
    notes = [f"the value of {path} is still to be changed at its source" for path in paths if path in owed]
    notes += [f"the rule of {path} stays in the registry" for path in paths if path in exact]
    return Removed(paths, tuple(notes))


def _refuse_foreign(project: Project, path: str) -> None:
    """Refuse the registry, the lock, a README: what no rule names and we did not write goes only when it is encrypted."""
    if is_managed(project, path) or looks_encrypted(format_of(path), project.read(path)[:_HEAD_BYTES]):
        return
    raise RefusedInput(
        Code.FORMAT,
        f"{path}: is no secret, and stays",
        hints=("secretsmith ls lists the secrets",),
        path=path,
    )


__all__ = ["Removed", "remove_secrets"]
