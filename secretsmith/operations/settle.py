"""What a write takes off the list of values to change: debt of values that we saw change (design.md §2).

A principal who lost access still knows the value, and perhaps the data key of a document. Only a new value under a data key
that is newer than the loss is out of their reach.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from secretsmith.documents.seal import open_value
from secretsmith.documents.tree import LeafKind, TreePath, format_tree_path, parse_tree_path
from secretsmith.errors import CannotDecrypt
from secretsmith.operations.readers import SealedFile
from secretsmith.policy.lock import Debt, DebtReason
from secretsmith.policy.principals import KeyState
from secretsmith.policy.resolve import Wanted
from secretsmith.project import Project, WriteSession
from secretsmith.record import replace
from secretsmith.sensitive import Sensitive

if TYPE_CHECKING:
    from secretsmith.documents.sopsopen import OpenDocument

_TELLING_DIGITS: Final = 4  # a PIN has as many
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
                path,
                f"its data key may be known; first secretsmith rotate {shlex.quote(path)}, then change what it holds",
            )
        )
    else:
        paid = [debt for debt in changed if not _reads_on(session.project, debt, keys)]
        notes = [*_settle(session, paid), *notes]
    # Last: a record may get the key of one that was paid.
    moved = {debt: _followed(debt, before, now) for debt in owed if debt not in changed}
    session.lock = session.lock.without_debt(lambda debt: debt in moved).with_debt(moved.values())
    return notes


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
    """Say whether nothing that was sealed at or below the key of ``debt`` is still there, also under another name.

    A key that was gone before proves nothing: the value may have been moved by another program. A number that became the
    same digits as a text, or the other way round, is the value that it was.
    """
    start = parse_tree_path(debt.key) if debt.key else ()
    known = _sealed_values(before, start)
    if not known:
        return False
    now = [held for held in _values(after) if held[2] is not LeafKind.COMMENT]
    places = {(document, path, plain) for document, path, _, plain in now}
    anywhere = {plain for _, _, _, plain in now}
    return not any(
        (document, path, plain) in places or (_is_telling(kind, plain) and plain in anywhere)
        for document, path, kind, plain in known
    )


def _is_telling(kind: LeafKind, plain: bytes) -> bool:
    """Say whether the same value at another place is likely the same secret, and not just another 1 or true."""
    return kind is LeafKind.STRING or (kind is not LeafKind.BOOLEAN and len(plain) >= _TELLING_DIGITS)


def _followed(debt: Debt, before: OpenDocument, after: OpenDocument) -> Debt:
    """Return ``debt`` under the key that its value has now: items of a list move up, and people rename keys."""
    known = _sealed_values(before, parse_tree_path(debt.key)) if debt.key else []
    if len(known) != 1:
        return debt
    kind, plain = known[0][2:]
    keys = [format_tree_path(path) for _, path, *value in _values(after) if value == [kind, plain]]
    if not keys or debt.key in keys or not keys[0].isprintable():
        return debt
    return replace(debt, key=keys[0])


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
