"""``import pass``: values of a password store, copied into secrets of the repository; the store stays what it is.

For every source that can list what it has (:class:`secretsmith.plugin.api.StoringSource`). All secrets are written in one
transaction, or none is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from secretsmith.errors import CannotDecrypt, Code, Conflict, Interrupted
from secretsmith.operations.importplan import Copy
from secretsmith.operations.linking.sources import Sources
from secretsmith.operations.readers import (
    SealedFile,
    accept_readers,
    describe_change,
    read_sealed,
    refuse_injection,
    refuse_unfit_readers,
    remember_accepted,
    verifier,
    wanted_by,
)
from secretsmith.operations.settle import settle_value
from secretsmith.operations.show import open_sealed
from secretsmith.operations.write_value import (
    Written,
    reader_notes,
    refuse_changed,
    refuse_linked,
    refuse_unwritable,
    seal_file,
)
from secretsmith.plugin.loader import Loader
from secretsmith.policy.drift import Drift, compare
from secretsmith.policy.edit import grant
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import REGISTRY_NAME, Project, WriteSession, writing
from secretsmith.record import record
from secretsmith.sensitive import Sensitive


@record
class _Ready:
    copy: Copy
    sealed: SealedFile | None
    value: Sensitive


def apply_import(
    project: Project,
    copies: Sequence[Copy],
    *,
    to: Sequence[str] = (),
    accept: Sequence[str] = (),
    force: bool = False,
    loader: Loader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Written, ...]:
    """Fetch the values one after the other and write them all, or none.

    ``to`` are readers for a rule of each path, ``accept`` as for ``set``. ``force`` replaces other values that are there.

    Raises:
        Conflict: EXISTS, other values are there and nobody can be asked; CHANGED.
        Interrupted: the answer was no.
        SecretsmithError: what the source says, and whatever keeps one of them from being written.
    """
    to = _asked_readers(project, copies, to)
    after = _with_rules(project, [copy.path for copy in copies], to)
    sealed = {copy.path: _present(after, copy.path) for copy in copies}
    keys = {key: public for copy in copies for key, public in wanted_by(after, copy.path).keys.items()}
    accepted = accept_readers(after, keys, accept)
    sources, ready = Sources(project, loader), []
    for number, copy in enumerate(copies, start=1):
        ready.append(_Ready(copy, sealed[copy.path], sources.fetch(copy.source).value))
        if progress is not None:
            progress(number, len(copies))
    fresh = [one for one in ready if not _is_same(project, one)]
    _agree(project, [one.copy for one in fresh if one.sealed is not None], force)
    same = [
        Written(one.copy.path, False, (), "", unchanged=True) for one in ready if one not in fresh
    ]  # fmt: skip
    return (*_written(project, fresh, to, accepted), *same)


def _asked_readers(project: Project, copies: Sequence[Copy], to: Sequence[str]) -> Sequence[str]:
    """Return the readers of what no rule names, asked for once."""
    bare = [copy.path for copy in copies if wanted_readers(project.registry, copy.path) is None]
    if to or not bare or not project.interaction.available:
        return to
    which = bare[0] if len(bare) == 1 else f"{len(bare)} of these files"
    answer = project.interaction.ask(
        f"no rule names {which}; who may read them besides the admins (users, hosts, @groups; empty: nobody)?",
        flag="--to WHO",
    )
    return tuple(word for word in answer.replace(",", " ").split() if word)


def _with_rules(project: Project, paths: Iterable[str], to: Sequence[str]) -> Project:
    """Return the project as the rules for ``to`` will make it; nothing is written."""
    if not to:
        return project
    text = grant(project.registry_text, list(paths), list(to))
    return project.changed(registry=parse_registry(text, REGISTRY_NAME), registry_text=text)


def _present(project: Project, path: str) -> SealedFile | None:
    """Read the file that is there, if any, and refuse what could not be written anyway."""
    refuse_linked(project, path)
    refuse_unwritable(project, path)
    refuse_unfit_readers(project, path, wanted_by(project, path))
    if not os.path.lexists(project.root / path):
        return None
    sealed = read_sealed(project, path)
    refuse_injection(path, sealed.present, drop_unknown=False)
    return sealed


def _is_same(project: Project, one: _Ready) -> bool:
    if one.sealed is None:
        return False
    try:
        return open_sealed(project, one.sealed) == one.value
    except CannotDecrypt:
        return False  # who cannot see the old value may not lose it unasked


def _agree(project: Project, copies: Sequence[Copy], force: bool) -> None:
    if force or not copies:
        return
    paths = ", ".join(copy.path for copy in copies)
    if not project.interaction.available:
        raise Conflict(
            Code.EXISTS,
            f"other values are there already: {paths}; nothing was written",
            hints=("replace them: --force", "or give an entry another place: --map NAME=PATH"),
        )
    if not project.interaction.confirm(
        f"other values are there already: {paths}; replace them?", flag="--force"
    ):
        raise Interrupted(Code.INTERRUPTED, "nothing was imported")


def _written(
    project: Project, ready: Sequence[_Ready], to: Sequence[str], accepted: Sequence[str]
) -> tuple[Written, ...]:
    if not ready:
        return ()
    with writing(project) as session:
        for one in ready:
            refuse_changed(session.project, one.copy.path, one.sealed.digest if one.sealed else None)
        if to:
            paths = [one.copy.path for one in ready]
            session.save_registry(grant(session.project.registry_text, paths, list(to)))
        done = tuple(_staged(session, one, accepted) for one in ready)
        remember_accepted(session.project, accepted)
        session.commit(verifier(session))
    return done


def _staged(session: WriteSession, one: _Ready, accepted: Sequence[str]) -> Written:
    fresh, path = session.project, one.copy.path
    wanted = wanted_by(fresh, path)
    refuse_unfit_readers(fresh, path, wanted)
    # The registry may have gained a key while values were fetched.
    accept_readers(fresh, wanted.keys, accepted)
    data = seal_file(path, one.sealed, wanted, one.value, fresh.interaction)
    session.stage_secret(path, data, tuple(wanted.keys), expect=one.sealed.digest if one.sealed else None)
    notes = (*reader_notes(path, wanted), *settle_value(session, one.sealed, wanted, one.value, None))
    change = Drift() if one.sealed is None else compare(wanted, one.sealed.present)
    told = describe_change(fresh, change.add, change.remove, change.unknown)
    return Written(path, one.sealed is None, wanted.names, told, notes)


__all__ = ["apply_import"]
