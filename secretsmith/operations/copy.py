"""``cp``: the same value for the readers of another path, under a data key of its own."""

from __future__ import annotations

from collections.abc import Sequence

from secretsmith.operations.carry import copying, place_document, refuse_format
from secretsmith.operations.readers import read_sealed, refuse_injection
from secretsmith.operations.show import open_sealed
from secretsmith.operations.write_value import Written, prepare_write, refuse_changed, store_value
from secretsmith.project import Project, WriteSession
from secretsmith.record import replace


def copy_secret(
    project: Project, source: str, target: str, *, to: Sequence[str] = (), accept: Sequence[str] = ()
) -> Written:
    """Write the value of ``source`` to ``target`` (relative to the root, ``target`` is free).

    Never a copy of the bytes: they name the readers of the old path, and two files with one data key could be swapped
    unseen. A document keeps its text, comments and the rule that says what of it is encrypted. What is owed for the value is owed for the copy as well. ``to`` and ``accept`` are as for ``prepare_write``.

    Raises:
        RefusedInput: FORMAT, the target would be read as another format.
        Conflict: CHANGED, the source changed or the target appeared.
        SecretsmithError: whatever keeps the value from being opened or written.
    """
    refuse_format(source, target)
    sealed = read_sealed(project, source)
    refuse_injection(source, sealed.present, drop_unknown=False)
    prepared = prepare_write(project, target, to=to, accept=accept)

    def owe(session: WriteSession) -> None:
        refuse_changed(session.project, source, sealed.digest)
        owed = [replace(debt, path=target) for debt in session.lock.debt if debt.path == source]
        session.lock = session.lock.with_debt(owed)

    if sealed.sops is None:
        return store_value(project, prepared, open_sealed(project, sealed), also=owe)
    make = copying(project, sealed)
    return place_document(project, prepared, sealed, make, new_key=True, accept=accept, also=owe)


__all__ = ["copy_secret"]
