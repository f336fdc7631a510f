"""``cp``: the same value for the readers of another path, under a data key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secretsmith.operations.readers import read_sealed, refuse_injection
from secretsmith.operations.show import open_sealed
from secretsmith.operations.write_value import Written, prepare_write, refuse_changed, store_value
from secretsmith.project import Project, WriteSession


def copy_secret(
    project: Project, source: str, target: str, *, to: Sequence[str] = (), accept: Sequence[str] = ()
) -> Written:
    """Write the value of ``source`` to ``target`` (relative to the root, ``target`` is free).

    Never a copy of the bytes: they name the readers of the old path, and two files with one data key could be swapped
    unseen. What is owed for the value is owed for the copy as well. ``to`` and ``accept`` are as for ``prepare_write``.

    Raises:
        Conflict: CHANGED, the source changed or the target appeared.
        SecretsmithError: whatever keeps the value from being opened or written.
    """
    sealed = read_sealed(project, source)
    refuse_injection(source, sealed.present, drop_unknown=False)
    prepared = prepare_write(project, target, to=to, accept=accept)
    value = open_sealed(project, sealed)

    def owe(session: WriteSession) -> None:
        refuse_changed(session.project, source, sealed.digest)
        owed = [replace(debt, path=target) for debt in session.lock.debt if debt.path == source]
        session.lock = session.lock.with_debt(owed)

    return store_value(project, prepared, value, also=owe)


__all__ = ["copy_secret"]
