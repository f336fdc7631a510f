"""``access``: who can read what, down to the keys of documents, and what that rests on. Needs no key.

What counts is who is in the file, not who should be: a host whose old key is still in it reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from secretsmith.documents.format import Format, format_of
from secretsmith.documents.tree import LeafKind, format_tree_path
from secretsmith.errors import SecretsmithError
from secretsmith.operations.readers import judge_sealed, quick_drift, read_sealed
from secretsmith.operations.revisions import all_secrets
from secretsmith.policy.drift import Basis
from secretsmith.policy.membership import expand
from secretsmith.policy.principals import KeyState
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted
from secretsmith.policy.words import did_you_mean
from secretsmith.project import Project
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.documents.sopsfile import SopsFile

_Known = dict[tuple[frozenset[str], int], tuple[tuple["Reader", ...], tuple[str, ...], Wanted]]

# What tells one key of a key service from another, in the metadata of sops.
_SERVICE_NAMES = {
    "pgp": "fp",
    "kms": "arn",
    "gcp_kms": "resource_id",
    "hckms": "key_id",
    "azure_kv": "vault_url",
    "hc_vault": "vault_address",
}


@record
class Reader:
    """One principal who can read a file.

    ``fingerprints`` are those of its keys that are in the file. ``state`` is the best of them: a reader whose state is not
    "active" has only a key that should be in no file any more. ``why`` are the reasons ("rule …", "admin"); none means that
    nobody said so: the file drifts.
    """

    name: str
    fingerprints: tuple[str, ...]
    state: KeyState
    why: tuple[str, ...] = ()


@record
class Access:
    """One secret file and who can read it.

    ``unknown`` are readers that the registry never named, key services included. ``keys`` are the slash paths of a document's
    encrypted values, None for whole files and when nobody asked; ``clear`` counts its values that are not encrypted.
    ``missing`` should read it and cannot; ``threshold`` of ``groups`` key groups are needed. ``problem`` says why nothing is
    known, "" when it is.
    """

    path: str
    readers: tuple[Reader, ...] = ()
    unknown: tuple[str, ...] = ()
    basis: Basis = "file"
    keys: tuple[str, ...] | None = None
    clear: int = 0
    missing: tuple[str, ...] = ()
    groups: int = 1
    threshold: int = 1
    problem: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the readers."""
        return tuple(reader.name for reader in self.readers)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of all known keys in the file, sorted."""
        return tuple(sorted({key for reader in self.readers for key in reader.fingerprints}))


@record
class Question:
    """What is asked: the secrets ``paths`` (None: all), and of their readers ``names`` (None: all)."""

    paths: tuple[str, ...] | None = None
    names: frozenset[str] | None = None


def access(project: Project, question: Question | None = None, *, keys: bool = False) -> tuple[Access, ...]:
    """Return who reads what, by path.

    ``keys``: with the keys of documents, for which those are read. Other files are read only when the lock cannot speak for
    them; those that the question names always, so that what the file itself proves is not put down to the lock.
    """
    question = question or Question()
    named = question.paths is not None
    paths = all_secrets(project) if question.paths is None else sorted(set(question.paths))
    known: _Known = {}
    found = tuple(_access(project, path, known, read=named, keys=keys or named) for path in paths)
    project.index.save()
    if question.names is None:
        return found
    return tuple(one for one in found if one.problem or question.names & set(one.names))


def paths_below(project: Project, places: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets that ``places`` (files and folders relative to the root) mean, sorted."""
    wanted = [place.rstrip("/") for place in places]
    return tuple(
        path
        for path in all_secrets(project)
        if any(place in (".", path) or path.startswith(f"{place}/") for place in wanted)
    )


def principals_named(registry: Registry, word: str) -> frozenset[str] | None:
    """Return the principals that ``word`` names: a user, a host, or the members of a group; None when it names nobody."""
    group = word.removeprefix("@")
    if not word.startswith("@") and (word in registry.users or word in registry.hosts):
        return frozenset((word,))
    return frozenset(expand((f"@{group}",), registry.groups)) if group in registry.groups else None


def similar_principals(registry: Registry, word: str) -> tuple[str, ...]:
    """Return a hint with the principal or group that looks most like ``word``, if there is one."""
    return tuple(did_you_mean(word, (*registry.users, *registry.hosts, *registry.groups)))


def _access(project: Project, path: str, known: _Known, *, read: bool, keys: bool) -> Access:
    document = format_of(path) is not Format.AGE
    try:
        if read or (keys and document):
            judged = judge_sealed(project, read_sealed(project, path))
        else:
            judged = quick_drift(project, path)
    except SecretsmithError as error:
        return Access(path, problem=error.message.removeprefix(f"{path}: "))
    sops = judged.sealed.sops if judged.sealed is not None else None
    readers, missing = _people(project.registry, judged.present.keys, judged.wanted, known)
    found = Access(path, readers, judged.present.unknown, judged.present.basis, missing=missing)
    return found if sops is None else _document(found, sops, keys=keys)


def _people(
    registry: Registry, present: frozenset[str], wanted: Wanted, known: _Known
) -> tuple[tuple[Reader, ...], tuple[str, ...]]:
    """Return who reads, and who should and does not; a fleet has few such sets, however many files."""
    mark = (present, id(wanted))
    if mark not in known:
        readers = readers_by_key(registry, present, wanted.keys, wanted.why)
        missing = tuple(
            name
            for name in wanted.names
            if not any(key.fingerprint in present for key in registry.principal(name).keys)
        )
        # With the wish itself, so that no other gets its identity.
        known[mark] = (readers, missing, wanted)
    return known[mark][:2]


def _document(found: Access, sops: SopsFile, *, keys: bool) -> Access:
    from secretsmith.record import replace

    sealed, clear = sealed_keys(sops) if keys else (None, 0)
    return replace(
        found,
        unknown=(*found.unknown, *service_keys(sops)),
        keys=sealed,
        clear=clear,
        groups=len(sops.metadata.groups),
        threshold=sops.metadata.threshold,
    )


def readers_by_key(
    registry: Registry,
    present: Iterable[str],
    wanted: Collection[str] = (),
    why: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Reader, ...]:
    """Return everybody who holds one of the keys ``present``, by name; two names with one key both read."""
    held: dict[str, list[tuple[KeyState, str]]] = {}
    for key in sorted(present):
        for use in registry.key_owner(key):
            held.setdefault(use.principal, []).append((use.state, key))
    return tuple(
        Reader(
            name,
            tuple(key for _, key in keys),
            min((state for state, _ in keys), key=lambda state: state is not KeyState.ACTIVE),
            (why or {}).get(name, ()) if any(key in wanted for _, key in keys) else (),
        )
        for name, keys in sorted(held.items())
    )


def sealed_keys(sops: SopsFile) -> tuple[tuple[str, ...] | None, int]:
    """Return the slash paths of the encrypted values of a document, each once, and how many values are in clear.

    None for a binary document, which is one value. Comments have no name, and are no values here. A path that occurs in
    several documents of one file stands for all of them.
    """
    if sops.format is Format.BINARY:
        return None, 0
    from secretsmith.documents.naming import is_list_comment

    found: dict[str, None] = {}
    clear = 0
    for number, leaf in enumerate(sops.document.leaves):
        if leaf.kind is LeafKind.COMMENT or is_list_comment(leaf):
            continue
        if sops.is_sealed(number):
            found[format_tree_path(sops.named[number])] = None
        else:
            clear += 1
    return tuple(found), clear


def service_keys(sops: SopsFile) -> tuple[str, ...]:
    """Return the keys of key services besides age that open a document, as "pgp:FINGERPRINT", "kms:ARN"."""
    found: dict[str, None] = {}
    for group in sops.metadata.groups:
        for service in group.services:
            for entry in group.foreign[service]:
                value = entry.get(_SERVICE_NAMES.get(service, "")) if isinstance(entry, Mapping) else None
                found[f"{service}:{value}" if isinstance(value, str) and value else service] = None
    return tuple(found)


def as_rows(found: Sequence[Access]) -> list[dict[str, object]]:
    """Return the rows of docs/reference/schemas/access.schema.json, one a value."""
    rows: list[dict[str, object]] = []
    for one in found:
        if one.problem:
            continue
        facts = {
            "readers": list(one.names),
            "fingerprints": list(one.fingerprints),
            "unknown": list(one.unknown),
            "basis": one.basis,
        }
        keys: Sequence[str | None] = (None,) if one.keys is None else one.keys
        rows.extend({"path": one.path, "key": key, **facts} for key in keys)
    return rows


__all__ = [
    "Access",
    "Question",
    "Reader",
    "access",
    "as_rows",
    "paths_below",
    "principals_named",
    "readers_by_key",
    "sealed_keys",
    "service_keys",
    "similar_principals",
]
