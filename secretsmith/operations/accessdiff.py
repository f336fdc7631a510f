"""``access --diff``: who gained and who lost what between two moments, from the files themselves.

Readers are keys: a principal that got another name has the same access, one that got another key has not. A file whose bytes
are the same has the same readers, whatever registry and lock say of it by now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final, Literal

from secretsmith.documents.format import HEAD, Format, format_of, looks_encrypted
from secretsmith.documents.seal import document_evidence, evidence, read_document
from secretsmith.errors import SecretsmithError
from secretsmith.operations.access import sealed_keys, service_keys
from secretsmith.operations.revisions import Moment, merged_registry, parse_range, revision, work_tree
from secretsmith.policy.drift import Basis, present_readers
from secretsmith.policy.forms import point_of_key, point_of_recipient
from secretsmith.policy.registry import Registry
from secretsmith.policy.resolve import Wanted, unruled_readers, wanted_readers
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.history import Objects

State = Literal["changed", "new", "removed"]

EVERYBODY: Final = "everybody (not encrypted)"
"""What stands for the readers of a file in clear."""


@record
class Gain:
    """A reader that was gained or lost: its names ("" for one that no registry named), and its fingerprint or what stands for it."""

    names: tuple[str, ...]
    key: str


@record
class Change:
    """A change of access to a file, or to those ``keys`` (slash paths) of a document.

    ``state`` says whether the secrets themselves are new, or are gone. ``moved_from`` is the path that the file had.
    ``basis`` is what both sides rest on, None for a side without the file.
    """

    path: str
    keys: tuple[str, ...] | None
    state: State
    gained: tuple[Gain, ...]
    lost: tuple[Gain, ...]
    moved_from: str | None = None
    basis: tuple[Basis | None, Basis | None] = (None, None)


@record
class AccessDiff:
    """What differs. ``before`` and ``after`` are commits, None for the work tree.

    ``moved`` are files with a new path and the same readers; ``notes`` what could not be told.
    """

    before: str
    after: str | None
    changes: tuple[Change, ...]
    moved: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@record
class _File:
    """Who reads one file of one moment: keys, and texts for unknown readers. ``values`` are the sealed texts in it."""

    readers: frozenset[str]
    basis: Basis
    keys: frozenset[str] | None
    values: frozenset[bytes] = frozenset()


def access_diff(project: Project, revisions: str) -> AccessDiff:
    """Compare the revisions ``REV`` (with the work tree), ``REV..REV`` or ``REV...REV``.

    Raises:
        RefusedInput: USAGE; NotFound: no such revision; SecretsmithError: git is missing or failed.
    """
    before, after = parse_range(project, revisions)
    with Objects(project.root) as objects:
        old = revision(project, objects, before)
        new: Moment = work_tree(project, like=before) if after is None else revision(project, objects, after)
        return _Comparison(project, old, new).result()


class _Comparison:
    def __init__(self, project: Project, old: Moment, new: Moment) -> None:
        self._old, self._new = old, new
        # Whoever had a name before or after, or has one now.
        self._registries = (new.registry, old.registry, project.registry)
        self._known = {
            id(moment): merged_registry(moment.registry, self._registries) for moment in (old, new)
        }
        self._notes = [*old.notes, *new.notes]

    def result(self) -> AccessDiff:
        old, new = self._old.files, self._new.files
        gone = {path: blob for path, blob in old.items() if path not in new}
        come = {path: blob for path, blob in new.items() if path not in old}
        before = {path: self._file(self._old, path) for path in old if new.get(path) != old[path]}
        after = {path: self._file(self._new, path) for path in new if old.get(path) != new[path]}
        origins = dict(self._moves(gone, come, before, after))
        changes: list[Change] = []
        moved = []
        for path in sorted({*before, *after} - set(origins.values())):
            source = origins.get(path)
            if source is not None and old[source] == new[path]:
                moved.append((source, path))
                continue
            found = list(self._changes(path, before.get(source or path), after.get(path), source))
            changes.extend(found)
            if source is not None and not found:
                moved.append((source, path))
        assert self._old.commit is not None  # noqa: S101  (only the second side may be the work tree)
        return AccessDiff(
            self._old.commit,
            self._new.commit,
            tuple(changes),
            tuple(moved),
            tuple(dict.fromkeys(self._notes)),
        )

    def _moves(
        self,
        gone: Mapping[str, str],
        come: Mapping[str, str],
        before: Mapping[str, _File | None],
        after: Mapping[str, _File | None],
    ) -> Iterator[tuple[str, str]]:
        """Yield (new path, old path) of files with the same bytes, and of documents that share a sealed value.

        An age file that was moved and encrypted anew in one commit has nothing in common with what it was.
        """
        left = dict(gone)
        by_blob = {blob: path for path, blob in gone.items()}
        by_value: dict[bytes, str] = {}
        for path in gone:
            if (lost := before[path]) is not None:
                by_value.update(dict.fromkeys(lost.values, path))
        for path, blob in come.items():
            source = by_blob.get(blob)
            if source is None and (found := after[path]) is not None:
                source = next((by_value[value] for value in sorted(found.values) if value in by_value), None)
            if source is not None and left.pop(source, None) is not None:
                yield path, source

    def _file(self, moment: Moment, path: str) -> _File | None:
        form = format_of(path)
        try:
            data = moment.read(path)
            if data and not looks_encrypted(form, data[:HEAD]):
                return _File(frozenset((EVERYBODY,)), "file", None)
            sops = None if form is Format.AGE else read_document(form, data)
            found = evidence(form, data) if sops is None else document_evidence(sops)
            wanted = self._wanted(moment, path)
        except SecretsmithError as error:
            self._notes.append(f"{moment.label}: {error.at(path).message}: who reads it is not known")
            return None
        # The lock is only asked about recipients that do not say whose they are.
        nameless = any(item.tag is None and item.recipient is None for item in found)
        entry = moment.lock.entry_for(path, hashlib.sha256(data).hexdigest()) if nameless else None
        present = present_readers(self._known[id(moment)], found, wanted, entry)
        readers = {self._same_key.get(key, key) for key in present.keys}
        readers.update(present.unknown)
        if sops is None:
            return _File(frozenset(readers), present.basis, None)
        readers.update(service_keys(sops))
        keys, _ = sealed_keys(sops)
        values = frozenset(
            leaf.plain for number, leaf in enumerate(sops.document.leaves) if sops.is_sealed(number)
        )
        return _File(frozenset(readers), present.basis, None if keys is None else frozenset(keys), values)

    def _wanted(self, moment: Moment, path: str) -> Wanted | None:
        """Who should read it, to tell anonymous recipients; without a registry nothing is assumed."""
        if moment.registry is None:
            return None
        return wanted_readers(moment.registry, path) or unruled_readers(moment.registry)

    def _changes(
        self, path: str, old: _File | None, new: _File | None, source: str | None
    ) -> Iterator[Change]:
        if old is None and new is None:
            return
        basis = (old.basis if old else None, new.basis if new else None)
        had = old.readers if old else frozenset[str]()
        have = new.readers if new else frozenset[str]()
        # A side that could not be read is no side without a file.
        if (old is None and (source or path) in self._old.files) or (new is None and path in self._new.files):
            return
        old_keys = old.keys if old else None
        new_keys = new.keys if new else None
        if old is None or new is None or old_keys is None or new_keys is None:
            state: State = "new" if old is None else "removed" if new is None else "changed"
            yield from self._change(path, old_keys or new_keys, state, had, have, source, basis)
            return
        yield from self._change(path, old_keys & new_keys, "changed", had, have, source, basis)
        yield from self._change(path, new_keys - old_keys, "new", frozenset(), have, source, basis)
        yield from self._change(path, old_keys - new_keys, "removed", had, frozenset(), source, basis)

    def _change(
        self,
        path: str,
        keys: frozenset[str] | None,
        state: State,
        had: frozenset[str],
        have: frozenset[str],
        source: str | None,
        basis: tuple[Basis | None, Basis | None],
    ) -> Iterator[Change]:
        if had != have and (keys is None or keys):
            listed = None if keys is None else tuple(sorted(keys))
            gained, lost = self._named(have - had), self._named(had - have)
            yield Change(path, listed, state, gained, lost, source, basis)

    def _named(self, readers: Iterable[str]) -> tuple[Gain, ...]:
        return tuple(
            sorted((Gain(self._names(key), key) for key in readers), key=lambda one: (one.names, one.key))
        )

    def _names(self, key: str) -> tuple[str, ...]:
        for registry in self._registries:
            uses = registry.key_owner(key) if registry is not None else []
            if uses:
                return tuple(dict.fromkeys(use.principal for use in uses))
        return ()

    @cached_property
    def _same_key(self) -> dict[str, str]:
        """The one fingerprint that stands for all forms of a key: it may be registered as ssh here, as ``age1…`` there."""
        found: dict[str, str] = {}
        first: dict[bytes, str] = {}
        for registry in self._registries:
            for fingerprint, point in () if registry is None else _points(registry):
                found[fingerprint] = first.setdefault(point, fingerprint)
        return found


def _points(registry: Registry) -> Iterator[tuple[str, bytes]]:
    from secretsmith.policy.principals import key_uses

    for principal in registry.everyone():
        for use in key_uses(principal):
            point = point_of_key(use.key) or point_of_recipient(use.key)
            if point is not None:
                yield use.key.fingerprint, point


def as_json(found: AccessDiff) -> dict[str, object]:
    """Return what docs/reference/schemas/access-diff.schema.json describes."""
    return {
        "from": found.before,
        "to": found.after,
        "changes": [
            {
                "path": change.path,
                "keys": None if change.keys is None else list(change.keys),
                "state": change.state,
                "moved_from": change.moved_from,
                "gained": [_reader(one) for one in change.gained],
                "lost": [_reader(one) for one in change.lost],
                "basis": list(change.basis),
            }
            for change in found.changes
        ],
        "moved": [{"from": old, "to": new} for old, new in found.moved],
        "notes": list(found.notes),
    }


def _reader(one: Gain) -> dict[str, object]:
    return {"names": list(one.names), "key": one.key}


__all__ = ["AccessDiff", "Change", "Gain", "access_diff", "as_json"]
