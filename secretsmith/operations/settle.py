"""What a write takes off the list of values to change: debt of values that we saw change (design.md §2).

A principal who lost access still knows the value, and perhaps the data key of a document. Only a new value under a data key
that is newer than the loss is out of their reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from secretsmith.documents.seal import open_value
from secretsmith.documents.tree import LeafKind, TreePath, parse_tree_path
from secretsmith.errors import CannotDecrypt
from secretsmith.operations.readers import SealedFile
from secretsmith.policy.lock import Debt, DebtReason
from secretsmith.policy.principals import KeyState
from secretsmith.policy.resolve import Wanted
from secretsmith.project import Project, WriteSession
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.documents.sopsopen import OpenDocument

_KEY_LOST: Final[frozenset[DebtReason]] = frozenset({"reinstalled", "retired", "compromised"})


def settle_value(
    session: WriteSession,
    sealed: SealedFile | None,
    wanted: Wanted,
    value: Sensitive,
    before: Sensitive | None,
) -> list[str]:
    """Take off the lock the debt of the age file ``sealed`` that is about to hold ``value``; returns notes for the person.

    ``before`` is its present value where the caller knows it; else it is opened.
    """
    if sealed is None:
        return []
    owed = [debt for debt in session.lock.debt if debt.path == sealed.path and debt.key is None]
    if not owed:
        return []
    if before is None:
        try:
            before = open_value(sealed.format, sealed.data, session.project.ring.for_data(sealed.data))
        except CannotDecrypt:
            return [_owed_on(sealed.path, "you cannot open the old value")]
    if before == value:
        return [_owed_on(sealed.path, "the value is the same")]
    # A host that reads again does so with a new key: what was lost is the old one, which never is wanted.
    return _settle(session, [d for d in owed if d.reason in _KEY_LOST or d.principal not in wanted.names])


def settle_document(
    session: WriteSession,
    path: str,
    keys: Iterable[str],
    *,
    before: OpenDocument,
    after: Callable[[], OpenDocument],
    fresh_key: bool,
) -> list[str]:
    """Take off the lock the debt of a document; returns notes for the person.

    ``keys`` are the fingerprints of those who will read it, ``before`` is what it held, and ``after`` gives what it is
    about to hold. ``fresh_key``: its data key is known to be newer than the last loss of access.
    """
    owed = [debt for debt in session.lock.debt if debt.path == path]
    if not owed:
        return []
    now = after()
    changed = [debt for debt in owed if _is_changed(debt, before, now)]
    notes = []
    if len(changed) < len(owed):
        notes.append(_owed_on(path, "not every value that was known changed"))
    if changed and not fresh_key:
        notes.append(
            _owed_on(
                path, f"its data key may be known; first secretsmith rotate {path}, then change what it holds"
            )
        )
        return notes
    return [*_settle(session, [d for d in changed if not _reads_on(session.project, d, keys)]), *notes]


def _settle(session: WriteSession, paid: Sequence[Debt]) -> list[str]:
    session.lock = session.lock.without_debt(lambda debt: debt in paid)
    return [
        f"{f'{debt.key}: ' if debt.key else ''}changed since {debt.principal} lost access ({debt.reason}, {debt.since})"
        for debt in paid
    ]


def _owed_on(path: str, why: str) -> str:
    return f"{path} stays on the list of values to change: {why}"


def _reads_on(project: Project, debt: Debt, keys: Iterable[str]) -> bool:
    uses = [use for key in keys for use in project.registry.key_owner(key) if use.principal == debt.principal]
    if debt.reason in _KEY_LOST:
        # The same name with another key is no loss; the key that was lost may stay in key groups that no rule describes.
        return any(use.state is not KeyState.ACTIVE for use in uses)
    return bool(uses)


def _is_changed(debt: Debt, before: OpenDocument, after: OpenDocument) -> bool:
    """Say whether nothing that was sealed at or below the key of ``debt`` is still there, also under another name."""
    start = parse_tree_path(debt.key) if debt.key else ()
    known = _sealed_values(before, start)
    now = set(_values(after))
    texts = {plain for _, _, kind, plain in now if kind is LeafKind.STRING}
    return not any(each in now or (each[2] is LeafKind.STRING and each[3] in texts) for each in known)


_Held = tuple[int, TreePath, LeafKind, bytes]


def _sealed_values(opened: OpenDocument, start: TreePath) -> list[_Held]:
    wanted = tuple(map(str, start))
    return [
        held
        for index, held in enumerate(_values(opened))
        if opened.file.is_sealed(index)
        and held[2] is not LeafKind.COMMENT
        and tuple(map(str, held[1][: len(wanted)])) == wanted
    ]


def _values(opened: OpenDocument) -> list[_Held]:
    """Return all leaves, in their order, with document, the path that people know, kind and value."""
    return [
        (leaf.document, path, *value)
        for leaf, path, value in zip(opened.document.leaves, opened.file.named, opened.values, strict=True)
    ]


__all__ = ["settle_document", "settle_value"]
