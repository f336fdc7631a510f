"""``link`` and ``unlink``: a value that is kept elsewhere begins or ends to be the value of a file here."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from secretsmith.errors import Code, Conflict, Interrupted, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.linking.approval import approve_pair
from secretsmith.operations.linking.plan import is_linkable, meant
from secretsmith.operations.linking.sources import Sources, parse_reference
from secretsmith.operations.locate import locate_secret, locate_target, similar_names
from secretsmith.operations.remove import remove_secrets
from secretsmith.operations.write_value import Written, prepare_write, store_value
from secretsmith.plugin.loader import Loader
from secretsmith.policy.lock import Link
from secretsmith.project import Project, WriteSession, writing
from secretsmith.record import record


@record
class Unlinked:
    """A link that ended; ``removed`` says whether the file went with it. ``notes`` are for the person."""

    path: str
    source: str
    removed: bool
    notes: tuple[str, ...] = ()


def link_secret(
    project: Project,
    reference: str,
    path: str,
    *,
    to: Sequence[str] = (),
    accept: Sequence[str] = (),
    replace: bool = False,
    loader: Loader | None = None,
) -> Written:
    """Fetch ``reference``, write it to ``path`` (relative to the root) for its wanted readers, and record the link.

    ``to`` and ``accept`` are as for ``prepare_write``. ``replace`` lets the value take the place of one that is there. What the
    words name is approved with them: this reference, for the readers of this file.

    Raises:
        RefusedInput: FORMAT, a path that is not one value; NOT_INTERACTIVE, a value that is there and nobody to ask.
        Interrupted: the answer was no.
        SecretsmithError: what the source says, and whatever keeps the value from being written.
    """
    parse_reference(reference)
    _refuse_unlinkable(project, reference, path)
    _agree(project, reference, path, replace)
    prepared = prepare_write(project, path, to=to, accept=accept, from_source=True)
    fetched = Sources(project, loader).fetch(reference)
    approve_pair(project, reference, prepared.wanted.keys)
    link = Link(reference, fetched.digest or "", _linked_by(project))

    def record(session: WriteSession) -> None:
        if session.lock.links.get(path) != project.lock.links.get(path):
            raise Conflict(
                Code.CHANGED, f"{path}: linked by somebody else meanwhile; nothing was written", path=path
            )
        session.lock = session.lock.with_link(path, link)

    return store_value(project, prepared, fetched.value, also=record)


def unlink_secret(
    project: Project, path: str, *, keep_file: bool = False, build: bool = False, loader: Loader | None = None
) -> Unlinked:
    """End the link of ``path``, and remove the file unless ``keep_file``; then it is a secret like any other.

    A file that a host declares is not removed, by what builders last said, or say now with ``build``.

    Raises:
        NotFound: it is not linked.
        Conflict: DECLARED (``Code.LINKED``), a host declares the file, or that is not known.
    """
    link = project.lock.links.get(path)
    if link is None:
        raise NotFound(
            Code.NOT_FOUND,
            f"{path}: is not linked",
            hints=("secretsmith sync --plan lists what is",),
            path=path,
        )
    there = os.path.lexists(project.root / path)
    if there and not keep_file:
        # Here, not above: only what removes files needs to know what hosts declare.
        from secretsmith.operations.linking.stilldeclared import refuse_declared

        refuse_declared(project, path, build=build, loader=loader)
        return Unlinked(path, link.source, True, remove_secrets(project, [path], force=True).notes)
    with writing(project) as session:
        session.lock = session.lock.without_link(path) if there else session.lock.without_file(path)
        session.commit()
    return Unlinked(path, link.source, False)


def locate_for_link(project: Project, word: str, *, cwd: Path) -> str:
    """Return the path that ``word`` means as the target of a link; as :func:`locate_target`, and a file may be gone."""
    exact, _ = meant(project, project.lock.links, word, cwd)
    return exact[0] if exact else locate_target(project, word, cwd=cwd)


def locate_link(project: Project, word: str, *, cwd: Path) -> str:
    """Return the path of the link that ``word`` means; its file may be gone.

    Raises:
        NotFound: there is none.
    """
    exact, _ = meant(project, project.lock.links, word, cwd)
    if exact:
        return exact[0]
    try:
        return locate_secret(project, word, cwd=cwd)  # there, and said to be not linked
    except NotFound:
        similar = similar_names(word, project.lock.links, project.registry.secrets)
        hints = [f"did you mean {name}?" for name in similar]
        raise NotFound(
            Code.NOT_FOUND, f"{word}: no linked secret there", hints=(*hints, "secretsmith sync --plan")
        ) from None


def _refuse_unlinkable(project: Project, reference: str, path: str) -> None:
    if not is_linkable(project, path):
        below = f"{project.registry.secrets}/"
        raise RefusedInput(
            Code.FORMAT,
            f"{path}: only a file with one value, whose name ends in .age, below {below} can be linked",
            hints=(f"secretsmith link {shlex.quote(reference)} {below}NAME.age",),
            path=path,
        )


def _agree(project: Project, reference: str, path: str, replace: bool) -> None:
    """Ask before a value is replaced; not when it comes from the same place already."""
    link = project.lock.links.get(path)
    if replace or not os.path.lexists(project.root / path) or (link and link.source == reference):
        return
    digest = hashlib.sha256(project.read(path)).hexdigest()
    now = f"linked to {link.source}" if link else "there"
    if not project.interaction.confirm(
        f"{path} is {now} already; replace its value by that of {reference}?", flag="--replace"
    ):
        raise Interrupted(Code.INTERRUPTED, "nothing was linked")
    if hashlib.sha256(project.read(path)).hexdigest() != digest:
        raise Conflict(Code.CHANGED, f"{path}: changed since the question; nothing was linked", path=path)


def _linked_by(project: Project) -> str:
    """Return the user whose key is here, "" when it is nobody's."""
    try:
        own = {key.fingerprint for key in project.ring.own_keys()}
    except SecretsmithError:
        return ""  # who cannot open the file afterwards may still write it
    names = (
        user.name for user in project.registry.users.values() if any(k.fingerprint in own for k in user.keys)
    )
    return next(names, "")


__all__ = ["Unlinked", "link_secret", "locate_for_link", "locate_link", "unlink_secret"]
