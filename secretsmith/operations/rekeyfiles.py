"""The new content of the files of a rekey: opened, sealed and checked, in forked workers when they are many.

A worker has what this process has read and unlocked and asks nobody. What it cannot do alone is done here: the first file of a
run, with which passphrases are asked for, files that want a plugin or gpg, and whatever failed, so that errors are the same.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from secretsmith.crypto.armor import is_armored
from secretsmith.crypto.publickey import Form, KeyKind, PublicKey
from secretsmith.documents.seal import document_evidence, evidence, open_key, read_document
from secretsmith.errors import Code, SecretsmithError
from secretsmith.operations.keygroups import DocumentReaders, keys_of, refuse_left_services, reseal
from secretsmith.operations.readers import SealedFile, require_meant, sealing_recipients
from secretsmith.operations.rekeyplan import PlannedFile
from secretsmith.parallel import WorkerDied, forked, workers_for
from secretsmith.policy.lock import LockEntry
from secretsmith.project import Project
from secretsmith.record import record

if TYPE_CHECKING:
    from secretsmith.crypto.identity import Identity
    from secretsmith.documents.sopsfile import SopsFile


@record
class Made:
    """A file as it is to be written, its readers checked. ``exposed``: somebody who left knows its data key."""

    data: bytes
    exposed: bool = False


@record
class Job:
    """One file as planned and as it was read."""

    planned: PlannedFile
    file: SealedFile

    def keys(self, project: Project) -> dict[str, PublicKey]:
        """Return the keys, by fingerprint, that are to read it."""
        readers = self.planned.readers
        return dict(self.file.wanted.keys) if readers is None else keys_of(project, readers)


def make_file(
    project: Project, job: Job, *, keep_data_key: bool, alone: Sequence[Identity] | None = None
) -> Made:
    """Open and seal one file, and see that exactly those read it who are meant to; nothing is written.

    ``alone`` are the only keys to open it with, by who may ask nobody; else the ring of the project does.

    Raises:
        CannotDecrypt: NO_IDENTITY and what opening raises.
        RefusedInput, IntegrityFailure, SecretsmithError: as opening and sealing do; IO when it names other readers.
    """
    planned, file = job.planned, job.file
    if file.sops is not None and planned.readers is not None:
        return _make_document(project, file, file.sops, planned.readers, keep_data_key, alone)
    from secretsmith.crypto.agefile import decrypt_age, seal_age  # what opens files, only for who opens some

    if file.header is None:
        raise TypeError(f"{file.path} is no age file")
    identities = project.ring.for_header(file.header) if alone is None else alone
    value = decrypt_age(file.data, identities, file.header).plaintext
    armor = is_armored(file.data)
    data, found = seal_age(
        value,
        sealing_recipients(file.wanted.keys, planned.form or file.form or Form.NATIVE),
        armor=armor,
        interaction=project.interaction,
    )
    keys = frozenset(file.wanted.keys)
    # The armor as well must give back what was put in.
    found = evidence(file.format, data) if armor else found
    require_meant(project, file.path, found, keys, _entry(file.digest, keys))
    return Made(data)


def _make_document(
    project: Project,
    file: SealedFile,
    sops: SopsFile,
    readers: DocumentReaders,
    keep_data_key: bool,
    alone: Sequence[Identity] | None,
) -> Made:
    if readers.needs_new_key and not keep_data_key:
        refuse_left_services(readers)  # before anybody is asked for a passphrase
    if alone is None:
        recovered = open_key(sops, project.ring.for_data, open_pgp=project.open_pgp)
    else:
        recovered = open_key(sops, alone)
    data, exposed = reseal(
        file.format,
        file.data,
        recovered,
        readers,
        file=sops,
        keep_data_key=keep_data_key,
        interaction=project.interaction,
    )
    found = document_evidence(read_document(file.format, data), sops.metadata, file.evidence)
    entry = _entry(file.digest, readers.keys if readers.recorded else ())
    require_meant(project, file.path, found, readers.keys, entry)
    return Made(data, exposed)


def _entry(digest: str, keys: Iterable[str]) -> LockEntry:
    """Return what the lock will know of the readers; the digest is not looked at."""
    return LockEntry(digest, tuple(sorted(keys)), "wrote")


def make_with_workers(
    project: Project, jobs: Sequence[Job], *, keep_data_key: bool
) -> Generator[Made | None, None, None]:
    """Yield for each job, in order, what a worker made of it; None for what is to be made here, by :func:`make_file`.

    To be closed. The next is asked for when what was None is done.

    Raises:
        SecretsmithError: ERROR, a worker was killed or crashed, naming the file.
    """
    yield from (None for _ in jobs[:1])
    ready = project.ring.ready()
    numbers = [number for number in range(1, len(jobs)) if _needs_nobody(project, jobs[number])]
    workers = workers_for(len(numbers)) if ready else 0
    if not workers:
        yield from (None for _ in jobs[1:])
        return

    def work(number: int) -> bytes:
        made = make_file(project, jobs[number], keep_data_key=keep_data_key, alone=ready)
        return bytes([made.exposed]) + made.data

    shared = frozenset(numbers)
    with closing(forked(work, numbers, workers)) as results:
        for number in range(1, len(jobs)):
            try:
                given = next(results) if number in shared else None
            except WorkerDied as died:
                raise _died(jobs[number].file.path, died.how) from None
            yield None if given is None else Made(given[1:], bool(given[0]))


def _needs_nobody(project: Project, job: Job) -> bool:
    """Say whether no plugin has a part in sealing the file, nor, as far as can be known, in opening it."""
    return not job.planned.blocked and all(
        key.kind is not KeyKind.PLUGIN for key in job.keys(project).values()
    )


def _died(path: str, how: str) -> SecretsmithError:
    return SecretsmithError(
        Code.ERROR,
        f"{path}: the process that was to encrypt it ended early ({how}); nothing was written",
        hints=("run the command again; is there enough memory?",),
        path=path,
    )


__all__ = ["Job", "Made", "make_file", "make_with_workers"]
