"""``show``: a value as it is, and for a file that does not open, who could and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from secretsmith.crypto.evidence import Evidence
from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence, open_leaf, open_value
from secretsmith.documents.tree import parse_tree_path
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.identities.ring import (
    ABSENT,
    LOCKED_NO_TERMINAL,
    NOT_NEEDED,
    IdentityRing,
    Tried,
)
from secretsmith.operations.fileformat import format_of_sealed
from secretsmith.operations.readers import SealedFile, names_of, read_sealed
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file

OpenPgp = Callable[[bytes], Sensitive] | None
"""What opens PGP messages, None without gpg."""


def show_secret(project: Project, path: str, key: str | None = None) -> Sensitive:
    """Return the value of the secret ``path`` (relative to the root), or of ``key`` in it.

    Raises:
        CannotDecrypt: no identity opens it; the hints say who can and what was tried.
        SecretsmithError: as reading, parsing and opening the file do, naming the file.
    """
    sealed = read_sealed(project, path)
    _refuse_key(path, sealed.format, key)
    return open_sealed(project, sealed, key)


def open_sealed(project: Project, sealed: SealedFile, key: str | None = None) -> Sensitive:
    """Return the value of a file that was read, or of ``key`` in it. Raises as :func:`show_secret`."""
    try:
        return _open(
            sealed.format,
            sealed.data,
            project.ring,
            key,
            None if sealed.format is Format.AGE else project.open_pgp,
        )
    except CannotDecrypt as error:
        raise explained(project, sealed, error) from None
    except SecretsmithError as error:
        raise error.at(sealed.path) from None


def explained(project: Project, sealed: SealedFile, error: CannotDecrypt) -> CannotDecrypt:
    """Return the same error with who could open the file, what was tried, and what to do next."""
    readers = (*names_of(project, sealed.present.keys), *sealed.present.unknown)
    from secretsmith.operations.nextstep import next_steps  # what a value that opens does not pay for

    return _explained(error, sealed.path, sealed.format, readers, project.ring, next_steps(project, sealed))


def show_file(
    path: Path, name: str, ring: IdentityRing, key: str | None = None, *, open_pgp: OpenPgp = None
) -> Sensitive:
    """Return the value of any sealed file, without a registry. ``name`` is what messages call it.

    ``open_pgp`` opens stanzas for PGP keys (:func:`secretsmith.identities.pgp.pgp_opener`).

    Raises:
        As :func:`show_secret`.
    """
    data = read_file(path, MAX_SECRET_BYTES)
    form = format_of_sealed(name, data)
    _refuse_key(name, form, key)
    try:
        return _open(form, data, ring, key, open_pgp)
    except CannotDecrypt as error:
        raise explained_file(error, name, form, data, ring) from None
    except SecretsmithError as error:
        raise error.at(name) from None


def explained_file(
    error: CannotDecrypt, name: str, form: Format, data: bytes, ring: IdentityRing
) -> CannotDecrypt:
    """Return the same error with whom the file itself names as readers, and what was tried."""
    # A document's error names its recipients already.
    readers = _stanzas(evidence(form, data)) if form is Format.AGE else ()
    return _explained(error, name, form, readers, ring, ())


def _open(form: Format, data: bytes, ring: IdentityRing, key: str | None, open_pgp: OpenPgp) -> Sensitive:
    if key is None:
        return open_value(form, data, ring.for_data, open_pgp=open_pgp)
    # One value is opened, not the others: the document's MAC is not looked at.
    return open_leaf(form, data, parse_tree_path(key), ring.for_data, open_pgp=open_pgp)


def _refuse_key(path: str, form: Format, key: str | None) -> None:
    if key is not None and form is Format.AGE:
        raise RefusedInput(
            Code.USAGE,
            f"{path} holds one value and no keys",
            hints=(f"secretsmith show {path}",),
            path=path,
        )


def _explained(
    error: CannotDecrypt,
    path: str,
    form: Format,
    readers: Sequence[str],
    ring: IdentityRing,
    then: Sequence[str],
) -> CannotDecrypt:
    hints = [*error.hints]
    if error.code is Code.NO_IDENTITY and form is Format.AGE:
        # What a document's error says of its key groups, and of keys that are not age's, stays.
        error = CannotDecrypt(Code.NO_IDENTITY, "none of your private keys opens it")
        hints = []
    if readers or form is Format.AGE:
        hints.append(f"it can be read by: {', '.join(readers) or 'nobody that is known'}")
    hints.append(f"tried: {tried_text(ring.trace())}")
    if ring.personal and any(tried.outcome.startswith(LOCKED_NO_TERMINAL) for tried in ring.trace()):
        hints.append("unlock your key on a terminal first: secretsmith identity unlock")
    hints += ["if you have the key: SECRETSMITH_IDENTITY=KEYFILE secretsmith show …", *then]
    return CannotDecrypt(error.code, f"{path}: {error.message}", hints=hints, path=path)


def tried_text(trace: Sequence[Tried]) -> str:
    """Return one line on what was tried: places with a key first, the empty ones named at the end."""
    with_key = [
        f"{tried.source}{f' ({tried.fingerprint})' if tried.fingerprint else ''}: {tried.outcome}"
        for tried in trace
        if tried.outcome not in (ABSENT, NOT_NEEDED)
    ]
    absent = list(dict.fromkeys(tried.source for tried in trace if tried.outcome == ABSENT))
    parts = with_key or ["no key at all"]
    if absent:
        parts.append(f"absent: {', '.join(absent)}")
    return "; ".join(parts)


def _stanzas(found: Sequence[Evidence]) -> list[str]:
    """Describe recipients that no registry names."""
    tagged = [f"{item.kind} key with age tag {item.tag}" for item in found if item.tag is not None]
    named = [item.recipient for item in found if item.recipient is not None]
    others = Counter(item.kind for item in found if item.tag is None and item.recipient is None)
    return (
        tagged
        + named
        + [f"{count} anonymous {kind} recipient{'s' if count > 1 else ''}" for kind, count in others.items()]
    )


__all__ = ["OpenPgp", "explained", "explained_file", "open_sealed", "show_file", "show_secret", "tried_text"]
