"""The composition root: a repository with its registry, lock, per-clone state and identities.

Operations receive a :class:`Project` and, to change anything, a :class:`WriteSession` from :func:`writing`: it holds the
repository's lock, has finished what an interrupted run left, and has read registry and lock anew, so that two writers never
lose each other's work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.identities.ring import IdentityRing
from secretsmith.interaction import Interaction
from secretsmith.policy.lock import LOCK_NAME, Basis, Lock, LockEntry, dump_lock, parse_lock
from secretsmith.policy.registry import Registry, parse_registry
from secretsmith.record import field, record, replace
from secretsmith.sensitive import Sensitive
from secretsmith.store.accepted import AcceptedKeys
from secretsmith.store.atomic import read_file
from secretsmith.store.clone import state_dir
from secretsmith.store.index import StatIndex
from secretsmith.store.journal import records_exist
from secretsmith.store.limits import MAX_LOCK_BYTES, MAX_REGISTRY_BYTES, MAX_SECRET_BYTES
from secretsmith.store.lockfile import repository_lock
from secretsmith.store.recovery import sweep
from secretsmith.store.registration import register_new, remember_new
from secretsmith.store.root import REGISTRY_NAME, find_root
from secretsmith.store.transaction import Transaction, recover
from secretsmith.store.walk import list_secret_files

_CACHES: Final = ("index", "accepted", "ring", "rings", "today")


@record(slots=False)
class Project:
    """One repository as it was read; immutable but for its caches.

    ``registry_text`` is the text ``registry`` was parsed from. ``environ`` is where identities and the state folder are
    looked up, so that tests and plugins need not change the process.
    """

    root: Path
    registry: Registry
    registry_text: str
    lock: Lock
    state: Path
    environ: Mapping[str, str]
    interaction: Interaction

    @cached_property
    def index(self) -> StatIndex:
        """The stat index of this clone."""
        return StatIndex.load(self.state)

    @cached_property
    def accepted(self) -> AcceptedKeys:
        """The keys that somebody accepted in this clone."""
        return AcceptedKeys.load(self.state)

    @cached_property
    def ring(self) -> IdentityRing:
        """The private keys of whoever runs this, looked for when first asked for."""
        return IdentityRing(self.environ, self.interaction)

    @cached_property
    def rings(self) -> dict[Path, IdentityRing]:
        """The private keys of single files that plugins asked for, kept so that a passphrase is asked for once a run."""
        return {}

    @cached_property
    def open_pgp(self) -> Callable[[bytes], Sensitive] | None:
        """What opens the stanzas of documents for PGP keys, None without gpg, which runs only when one is to be opened."""
        from secretsmith.identities.pgp import pgp_opener  # only for those who open documents

        return pgp_opener(self.environ, ask=self.interaction.available)

    @cached_property
    def today(self) -> str:
        """The date of this run, ``YYYY-MM-DD``, UTC."""
        import datetime  # only commands that write dates pay for it

        return datetime.datetime.now(datetime.UTC).date().isoformat()

    def read(self, path: str) -> bytes:
        """Return the bytes of the file ``path`` (relative to the root); NotFound, NOT_REGULAR, TOO_BIG as `read_file`."""
        try:
            return read_file(self.root / path, MAX_SECRET_BYTES)
        except RefusedInput as error:
            if error.code is not Code.TOO_BIG:
                raise
            raise RefusedInput(
                Code.TOO_BIG,
                f"{path}: larger than {MAX_SECRET_BYTES >> 20} MiB",
                hints=("restore it from git if it is damaged; what is that large is better kept elsewhere",),
                path=path,
            ) from None

    def sops_config(self) -> str:
        """Return the text of a ``.sops.yaml`` that says what the registry says."""
        from secretsmith.policy.sopsyaml import sops_config  # only for who has such a file

        return sops_config(
            self.registry, lambda: {*list_secret_files(self.root, self.registry.secrets), *self.lock.files}
        )

    def entry_for(self, path: str, digest: str | None = None) -> LockEntry | None:
        """Return what the lock knows of ``path``, if its digest (by the stat index, or given) still fits."""
        if path not in self.lock.files:
            return None
        return self.lock.entry_for(path, digest or self.index.digest(self.root, path))

    def changed(self, **changes: Any) -> Project:
        """Return the project with other fields; what was looked up stays known: a passphrase is asked for once a run."""
        fresh = replace(self, **changes)
        fresh.__dict__.update({name: self.__dict__[name] for name in _CACHES if name in self.__dict__})
        return fresh

    def name_of(self, fingerprint: str) -> str:
        """Return the principal whose key this is, or the fingerprint itself when the registry never named it."""
        uses = self.registry.key_owner(fingerprint)
        return uses[0].principal if uses else fingerprint


def open_project(
    start: Path, *, environ: Mapping[str, str] = os.environ, interaction: Interaction
) -> Project:
    """Read the repository that ``start`` lies in.

    Raises:
        NotFound: NO_REGISTRY, there is none here or above.
        RefusedInput: the registry or the lock is malformed; Conflict: it has conflict markers.
    """
    root = find_root(start, environ)
    if root is None or not (root / REGISTRY_NAME).is_file():
        raise NotFound(
            Code.NO_REGISTRY,
            f"no {REGISTRY_NAME} in {root or start.absolute()} or above",
            hints=("secretsmith init", "or name the repository: secretsmith -C DIR …"),
        )
    text, registry = _read_registry(root)
    _, lock = _read_lock(root)
    return Project(root, registry, text, lock, state_dir(root), environ, interaction)


def read_sops_config(root: Path) -> str | None:
    """Return the ``.sops.yaml`` of a repository if it is one that we wrote, and so ours to rewrite."""
    from secretsmith.policy.sopsyaml import CONFIG_NAME, is_generated

    try:
        text = _text(read_file(root / CONFIG_NAME, MAX_REGISTRY_BYTES))
    except SecretsmithError:
        return None  # none, or a link or something else that we do not write; no reason to stop a command
    return text if is_generated(text) else None


def _read_registry(root: Path) -> tuple[str, Registry]:
    text = _text(read_file(root / REGISTRY_NAME, MAX_REGISTRY_BYTES))
    return text, parse_registry(text, REGISTRY_NAME)


def _read_lock(root: Path) -> tuple[str | None, Lock]:
    try:
        text = _text(read_file(root / LOCK_NAME, MAX_LOCK_BYTES))
    except NotFound:
        return None, Lock()
    return text, parse_lock(text, LOCK_NAME)


def _text(data: bytes) -> str:
    # Bytes that are no UTF-8 must end in the parser's error with a position, not in a traceback here.
    return data.decode("utf-8", errors="surrogateescape")


@record(frozen=False, slots=False)
class WriteSession:
    """What one command changes, written as a whole by :meth:`commit` or not at all.

    ``lock`` and the registry of ``project`` are those read under the repository's lock; ``registry_text`` and ``lock_text``
    (None: there was none) are what the files must still hold when they are replaced. ``created`` are paths, ``sealed`` maps paths to the
    fingerprints they were sealed to, ``checked`` to the digest under which their readers were found to be those already.
    ``notes`` are for the person, after :meth:`commit`.
    """

    project: Project
    transaction: Transaction
    lock: Lock
    registry_text: str
    lock_text: str | None
    created: list[str] = field(default_factory=list)
    sealed: dict[str, frozenset[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, LockEntry] | None = None

    @contextmanager
    def many(self) -> Iterator[None]:
        """Stage thousands of secrets: the lock, which is copied for each change of it, is changed once, at the end."""
        waiting: dict[str, LockEntry] = {}
        self._waiting = waiting
        try:
            yield
        finally:
            self._waiting = None
            self.lock = self.lock.with_files(waiting)

    def stage_secret(
        self,
        path: str,
        data: bytes,
        keys: Iterable[str],
        *,
        expect: str | None,
        basis: Basis = "wrote",
        key_exposed: bool = False,
        recorded: bool = True,
    ) -> None:
        """Plan to write the sealed bytes ``data`` to ``path``.

        ``keys`` are the fingerprints it was sealed to; ``expect`` is the digest the file must still have, None when it
        must not exist yet. ``key_exposed``: somebody who lost access knows the data key. ``recorded`` False keeps the
        readers off the lock: there is more to say of them than it has room for.
        """
        import hashlib  # light commands never get here

        self.transaction.stage(path, data, expect=expect)
        self.sealed[path] = frozenset(keys)
        recipients = tuple(sorted(self.sealed[path])) if recorded else ()
        entry = LockEntry(hashlib.sha256(data).hexdigest(), recipients, basis, key_exposed)
        if self._waiting is None:
            self.lock = self.lock.with_file(path, entry)
        else:
            self._waiting[path] = entry
        if expect is None:
            self.created.append(path)

    def stage_file(self, path: str, data: bytes, *, expect: str | None) -> None:
        """Plan to write a file that is no secret."""
        self.transaction.stage(path, data, expect=expect)
        if expect is None:
            self.created.append(path)

    def remove_secret(self, path: str, *, expect: str) -> None:
        """Plan to remove ``path``, its lock entry included."""
        self.transaction.remove(path, expect=expect)
        self.lock = self.lock.without_file(path)

    def save_registry(self, text: str) -> None:
        """Plan to replace the registry; ``text`` must parse, and readers of this session see it at once."""
        self.project = self.project.changed(registry=parse_registry(text, REGISTRY_NAME), registry_text=text)

    def commit(self, verify: Callable[[str, bytes], None] | None = None) -> None:
        """Write everything planned, registry and lock in the same transaction; ``verify`` sees what is on the disk."""
        project = self.project
        self._stage_text(REGISTRY_NAME, self.registry_text, project.registry_text)
        self._stage_text(LOCK_NAME, self.lock_text, dump_lock(self.lock))
        self._refresh_sops_config()
        if self.transaction:
            remember_new(project.root, project.state, self.created, project.registry.git)
        self.transaction.commit(verify)
        project.index.save()
        self.notes.extend(register_new(project.root, project.state, project.registry.git))

    def _refresh_sops_config(self) -> None:
        """Make a ``.sops.yaml`` of ours follow the registry, and new files where it names files one by one."""
        changed = self.project.registry_text != self.registry_text
        if not changed and not self.created:
            return
        from secretsmith.policy.sopsyaml import CONFIG_NAME, lists_files  # only for who has such a file

        text = read_sops_config(self.project.root)
        if text is not None and (changed or lists_files(text)):
            self._stage_text(CONFIG_NAME, text, replace(self.project, lock=self.lock).sops_config())

    def _stage_text(self, name: str, before: str | None, after: str) -> None:
        import hashlib  # light commands never get here

        if before == after:
            return
        expect = (
            None if before is None else hashlib.sha256(before.encode("utf-8", "surrogateescape")).hexdigest()
        )
        self.stage_file(name, after.encode("utf-8", "surrogateescape"), expect=expect)


@contextmanager
def writing(project: Project) -> Iterator[WriteSession]:
    """Take the repository's lock, finish what an interrupted run left, and read registry and lock anew.

    Nothing is written before :meth:`WriteSession.commit`; leaving without it drops what was staged.

    Raises:
        Conflict: LOCKED, another process holds the lock; CONFLICT, an unfinished merge.
    """
    with repository_lock(project.state):
        recover(project.root, project.state)
        sweep(project.state)
        text, registry = _read_registry(project.root)
        lock_text, lock = _read_lock(project.root)
        fresh = replace(project, registry=registry, registry_text=text, lock=lock)
        # The ring has perhaps asked for a passphrase already, and asks once a run. The index and the accepted keys are read
        # anew: another process may have written them before we had the lock.
        fresh.__dict__["ring"] = project.ring
        session = WriteSession(fresh, Transaction(project.root, project.state), lock, text, lock_text)
        try:
            yield session
        finally:
            session.transaction.close()


def resumed(project: Project) -> Project:
    """Finish what an interrupted run left, if it left anything, and return the repository as it is then.

    For commands that look at many files before they write: what they saw must not change below them when they begin.
    """
    if not records_exist(project.state):
        return project
    with writing(project) as session:
        return session.project.changed(lock=session.lock)


__all__ = [
    "MAX_LOCK_BYTES",
    "MAX_REGISTRY_BYTES",
    "MAX_SECRET_BYTES",
    "REGISTRY_NAME",
    "Project",
    "WriteSession",
    "find_root",
    "open_project",
    "read_sops_config",
    "resumed",
    "writing",
]
