"""A repository as it is, and as it was at a git revision: registry, lock and secrets of one moment, to be compared.

Nothing is checked out. What a revision lacks (a registry, before there was one) or cannot be read is a note, no error: the
comparison is then about the files alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from secretsmith.documents.format import HEAD, format_of, looks_encrypted
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.operations.managed import kept_texts, managed_files, unruled_files
from secretsmith.policy.lock import LOCK_NAME, Lock, parse_lock
from secretsmith.policy.registry import REGISTRY_NAME, Registry, parse_registry
from secretsmith.policy.resolve import wanted_readers
from secretsmith.project import MAX_LOCK_BYTES, MAX_REGISTRY_BYTES, MAX_SECRET_BYTES, Project
from secretsmith.record import field, record
from secretsmith.store.git import in_git
from secretsmith.store.history import Objects, commit_of, files_at, is_secret_name, merge_base


class Moment(Protocol):
    """A repository at one moment. ``files`` maps the paths of its secrets to the blobs that git keeps them as."""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def commit(self) -> str | None:
        """The commit, None for the work tree."""
        ...

    @property
    def registry(self) -> Registry | None:
        """Its registry, None when there was none, or none that can be read."""
        ...

    @property
    def lock(self) -> Lock:
        """Its lock."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """Its secrets."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read of it."""
        ...

    def read(self, path: str) -> bytes:
        """Return the bytes of one of ``files``."""
        ...


@record(slots=False)
class Revision:
    """The repository at a commit."""

    label: str
    commit: str | None
    registry: Registry | None
    lock: Lock
    objects: Objects = field(repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def read(self, path: str) -> bytes:
        """Return the bytes of one of ``files``. Raises NotFound, or RefusedInput (TOO_BIG)."""
        return _object(self.objects, self.files[path], MAX_SECRET_BYTES, f"{self.label}:{path}")


@record(slots=False)
class WorkTree:
    """The repository as it lies on the disk."""

    project: Project
    files: Mapping[str, str] = field(default_factory=dict)
    label: str = "the work tree"
    commit: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def registry(self) -> Registry | None:
        """The registry of the project."""
        return self.project.registry

    @property
    def lock(self) -> Lock:
        """The lock of the project."""
        return self.project.lock

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, as :meth:`Project.read`."""
        return self.project.read(path)


def parse_range(project: Project, text: str) -> tuple[str, str | None]:
    """Read ``REV``, ``REV..REV`` or ``REV...REV`` (what the second changed since they parted); give two commits.

    The second is None for ``REV`` alone: the work tree. A side left out is HEAD, as in git.

    Raises:
        RefusedInput: USAGE, not in a git repository, or no revisions.
        NotFound: git does not know one of them, or they have nothing in common.
    """
    if not in_git(project.root):
        raise RefusedInput(Code.USAGE, "--diff compares revisions of git, and this is no git repository")
    dots = "..." if "..." in text else ".."
    before, found, after = text.partition(dots)
    if not found:
        return commit_of(project.root, text), None
    one, other = commit_of(project.root, before or "HEAD"), commit_of(project.root, after or "HEAD")
    return (merge_base(project.root, one, other) if dots == "..." else one), other


def all_secrets(project: Project) -> list[str]:
    """Return every file of the work tree that is or looks like a secret, sorted: also what no rule names."""
    return sorted({*managed_files(project), *unruled_files(project), *kept_texts(project)})


def work_tree(project: Project, *, like: str = "") -> WorkTree:
    """Return the work tree as a moment; ``like`` is the name of any object, for the kind of hash that git uses here."""
    algorithm = "sha256" if len(like) == 64 else "sha1"
    files, notes = {}, []
    for path in all_secrets(project):
        try:
            data = project.read(path)
        except SecretsmithError as error:
            notes.append(error.message)
            continue
        # git hash-object; a file that git filters has another name there, and is looked into for nothing
        named = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
        named.update(data)
        files[path] = named.hexdigest()
    return WorkTree(project, files, notes=tuple(notes))


def revision(project: Project, objects: Objects, commit: str) -> Revision:
    """Return the repository at ``commit``; ``objects`` are its git's.

    Raises:
        SecretsmithError: ERROR, git failed.
    """
    listed = files_at(project.root, commit)
    label, notes = commit[:10], []
    registry, lock = None, Lock()
    try:
        if REGISTRY_NAME in listed:
            name = f"{label}:{REGISTRY_NAME}"
            text = _text(objects, listed[REGISTRY_NAME], MAX_REGISTRY_BYTES, name)
            registry = parse_registry(text, name)
        else:
            notes.append(
                f"{label} has no {REGISTRY_NAME}: who reads what is told by the keys in its files alone"
            )
    except SecretsmithError as error:
        notes.append(f"the registry of {label} is passed over: {error.message}")
    try:
        if LOCK_NAME in listed:
            name = f"{label}:{LOCK_NAME}"
            lock = parse_lock(_text(objects, listed[LOCK_NAME], MAX_LOCK_BYTES, name), name)
    except SecretsmithError as error:
        notes.append(f"the lock of {label} is passed over: {error.message}")
    made = Revision(label, commit, registry, lock, objects, notes=tuple(notes))
    files = _secrets(project, made, listed)
    return Revision(label, commit, registry, lock, objects, files, tuple(notes))


def _secrets(project: Project, made: Revision, listed: Mapping[str, str]) -> dict[str, str]:
    """Choose the secrets among all files, as :func:`all_secrets` does in the work tree.

    Without a registry, files in what is the secrets folder now that are encrypted.
    """
    registry = made.registry or project.registry
    top = "" if registry.secrets == "." else f"{registry.secrets}/"
    own = {REGISTRY_NAME, LOCK_NAME}
    found = {}
    for path, blob in listed.items():
        if path in made.lock.files:
            found[path] = blob
        elif path.startswith(top) and path not in own and is_secret_name(path.removeprefix(top)):
            ruled = made.registry is not None and wanted_readers(made.registry, path) is not None
            if ruled or path.endswith(".age") or (made.registry is None and _encrypted(made, path, blob)):
                found[path] = blob
    return found


def _encrypted(made: Revision, path: str, blob: str) -> bool:
    _, data = made.objects.read(blob, MAX_SECRET_BYTES)
    return data is not None and looks_encrypted(format_of(path), data[:HEAD])


def merged_registry(one: Registry | None, others: Iterable[Registry | None]) -> Registry:
    """Return ``one`` with the keys of ``others`` known to it, and nobody else reading anything by that.

    So that a key is called by the same fingerprint before it was registered and after it was forgotten. Without ``one``
    there are keys and no rules.
    """
    from secretsmith.policy.principals import Host, HostStatus, key_uses
    from secretsmith.record import replace

    base = Registry("", "off", {}, {}, {}, ()) if one is None else one
    strangers: dict[str, Host] = {}
    for other in others:
        for principal in () if other is None else other.everyone():
            keys = {use.key.fingerprint: use.key for use in key_uses(principal)}
            fresh = tuple(key for fingerprint, key in keys.items() if not base.key_owner(fingerprint))
            if fresh:
                # A name that no registry can hold, and a status that reads nothing.
                name = f" {len(strangers)}"
                strangers[name] = Host(name, fresh, HostStatus.RETIRED)
    return replace(base, hosts={**base.hosts, **strangers}) if strangers else base


def _text(objects: Objects, blob: str, limit: int, name: str) -> str:
    return _object(objects, blob, limit, name).decode("utf-8", errors="surrogateescape")


def _object(objects: Objects, blob: str, limit: int, name: str) -> bytes:
    found, data = objects.read(blob, limit)
    if data is not None:
        return data
    if found:
        raise RefusedInput(Code.TOO_BIG, f"{name}: larger than {limit >> 20} MiB", path=name)
    raise NotFound(
        Code.NOT_FOUND,
        f"{name}: not in this clone",
        hints=("a partial clone: git fetch --refetch",),
        path=name,
    )


__all__ = [
    "Moment",
    "Revision",
    "WorkTree",
    "all_secrets",
    "merged_registry",
    "parse_range",
    "revision",
    "work_tree",
]
