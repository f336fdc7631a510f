"""Credentials on the disk: values that are encrypted again with a key of this machine, for ``LoadCredentialEncrypted=``.

The folder is root's alone. Its index says what each was made from, by digests of *encrypted* files, so that a value is only
encrypted again when its secret has changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import (
    failed,
    make_folder,
    open_folder,
    read_small,
    remove_if_there,
    replace_file,
    safe_folder,
)
from secretsmith.activation.install import with_failures
from secretsmith.activation.opening.sources import file_stamp
from secretsmith.activation.places.placed import make_record_folder
from secretsmith.activation.plan import Decision, State
from secretsmith.activation.report import Problem, Report
from secretsmith.activation.units.sealing import HOST_SECRET, seal
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import CredentialKey, Manifest, ManifestEntry, ManifestSecret, ManifestTemplate
from secretsmith.record import field, record, replace

_INDEX = "index.json"
_MAX_INDEX = 16 * 1024 * 1024
_VERSION = 1


@record(frozen=False, slots=False)
class Followed:
    """What was encrypted and removed (``UNIT:NAME``), and what went wrong, by entry; ``error`` concerns the whole folder."""

    sealed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failures: dict[str, SecretsmithError] = field(default_factory=dict)
    error: SecretsmithError | None = None


class Credstore:
    """The folder ``path`` for the manifest ``whole``. ``sources`` are SHA-256 of the encrypted files, by path."""

    def __init__(self, path: str, whole: Manifest, caller: Caller) -> None:
        self._path, self._caller = path, caller
        self._key = whole.credential_key
        entries = list(whole.entries()) if self._key is not None else []
        self._wanted = {text: entry for entry in entries for text in entry.credentials}
        self._secrets = {secret.name: secret for secret in whole.secrets}

    def is_current(self, entries: Iterable[ManifestEntry], sources: Mapping[str, str]) -> bool:
        """Whether all credentials of ``entries`` are there as they should be, and none that nobody wants."""
        try:
            with self._opened(create=False) as folder:
                index, present = ({}, set[str]()) if folder is None else _contents(folder)
        except (SecretsmithError, OSError):
            return False  # what is wrong is told where it is mended
        if present - self._wanted.keys():
            return False
        return all(
            text in present and index.get(text) == self._input(entry, sources)
            for entry in entries
            for text in self._texts(entry)
        )

    def due(self, decisions: Iterable[Decision], sources: Mapping[str, str]) -> tuple[str, ...]:
        """Return what :meth:`follow` would encrypt. Nothing is written, and what cannot be read counts as not there."""
        index, present = dict[str, str](), set[str]()
        with contextlib.suppress(SecretsmithError, OSError), self._opened(create=False) as folder:
            if folder is not None:
                index, present = _contents(folder)
        return tuple(
            text
            for decision in decisions
            if _is_good(decision)
            for text in self._texts(decision.entry)
            if text not in present or index.get(text) != self._input(decision.entry, sources)
        )

    def applied(self, report: Report, sources: Mapping[str, str]) -> Report:
        """Have the credentials follow what was installed; what goes wrong is in the report that is returned, as all else."""
        done = self.follow(report.decisions, sources)
        report = replace(report, sealed=tuple(done.sealed), unsealed=tuple(done.removed))
        if done.error is not None:
            report = replace(report, problems=(*report.problems, Problem(done.error)))
        return with_failures(report, done.failures)

    def follow(self, decisions: Iterable[Decision], sources: Mapping[str, str]) -> Followed:
        """Encrypt what changed and remove what is not wanted any more; what goes wrong is in the result.

        What is stale keeps what it has, as its file does. A secret that is refused loses it, and so does one that is missing and
        must not be stale for ever.
        """
        done = Followed()
        try:
            with self._opened(create=bool(self._wanted)) as folder:
                if folder is not None:
                    self._follow(folder, decisions, sources, done)
        except SecretsmithError as error:
            done.error = error
        except OSError as error:
            done.error = failed(error, self._path)
        return done

    def _follow(
        self, folder: int, decisions: Iterable[Decision], sources: Mapping[str, str], done: Followed
    ) -> None:
        index, present = _contents(folder)
        known = dict(index)
        for text in sorted(present - self._wanted.keys()):
            _remove(folder, text, index, done)
        try:
            for decision in decisions:
                for text in self._texts(decision.entry):
                    try:
                        self._one(folder, decision, text, sources, index, text in present, done)
                    except SecretsmithError as error:
                        done.failures.setdefault(decision.entry.name, error)
        finally:
            index = {text: made for text, made in index.items() if text in self._wanted}
            if index != known:
                data = json.dumps({"version": _VERSION, "credentials": index}, sort_keys=True).encode()
                replace_file(folder, _INDEX, data, mode=0o600, sync=True)

    def _one(
        self,
        folder: int,
        decision: Decision,
        text: str,
        sources: Mapping[str, str],
        index: dict[str, str],
        is_there: bool,
        done: Followed,
    ) -> None:
        if _is_lost(decision):
            if is_there:
                _remove(folder, text, index, done)
        elif _is_good(decision) and not (
            is_there and index.get(text) == self._input(decision.entry, sources)
        ):
            assert decision.file is not None and self._key is not None  # noqa: S101, PT018  # for the type checker
            made = seal(decision.file.content, text.rpartition(":")[2], self._key)
            replace_file(folder, text, made, mode=0o600, sync=True)
            # After it: the machine's own secret may have been made by this very call.
            index[text] = self._input(decision.entry, sources)
            done.sealed.append(text)

    def _texts(self, entry: ManifestEntry) -> tuple[str, ...]:
        return entry.credentials if self._key is not None else ()

    def _input(self, entry: ManifestEntry, sources: Mapping[str, str]) -> str:
        """Return a digest of what a credential is made from; none of it is plaintext or a private key."""
        stamp = [] if self._key is CredentialKey.TPM2 else file_stamp(HOST_SECRET)
        tree = [str(self._key), stamp, self._facts(entry, sources)]
        return sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    def _facts(self, entry: ManifestEntry, sources: Mapping[str, str]) -> list[object]:
        if isinstance(entry, ManifestSecret):
            return [sources.get(entry.source), entry.format, entry.key, entry.output]
        assert isinstance(entry, ManifestTemplate)  # noqa: S101  # for the type checker
        uses = {
            text: [item.filter, self._facts(self._secrets[item.secret], sources)]
            for text, item in entry.placeholders.items()
        }
        return [entry.content, entry.format, uses]

    @contextlib.contextmanager
    def _opened(self, *, create: bool) -> Iterator[int | None]:
        """Give the folder, held against other phases that run at the same time; None where there is none."""
        above, _, name = self._path.rpartition("/")
        with contextlib.ExitStack() as stack:
            try:
                if create:
                    make_record_folder(self._path, self._caller)
                parent = stack.enter_context(safe_folder(above, self._caller.trusted))
                folder = _open(parent.fd, name, self._path, create=create)
            except FileNotFoundError:
                folder = None
            except SecretsmithError as error:
                if error.code is not Code.NOT_FOUND:
                    raise
                folder = None
            if folder is None:
                yield None
                return
            stack.callback(os.close, folder)
            found = os.fstat(folder)
            if found.st_uid not in self._caller.trusted or found.st_mode & 0o077:
                why = f"belongs to user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}, and is for root alone"
                raise SecretsmithError(Code.PATH_UNSAFE, f"{self._path} {why}", path=self._path)
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder


def _open(parent: int, name: str, path: str, *, create: bool) -> int:
    with contextlib.suppress(FileExistsError):
        if create:
            os.close(make_folder(parent, name, path, 0o700))
    return open_folder(parent, name)


def _contents(folder: int) -> tuple[dict[str, str], set[str]]:
    """Return the index, empty if it is damaged, and what is there besides it, half-written files of a killed run included."""
    present = set(os.listdir(folder)) - {_INDEX}
    try:
        tree = json.loads(read_small(folder, _INDEX, _MAX_INDEX) or b"{}")
        index = {str(text): str(made) for text, made in tree["credentials"].items()}
        return (index if tree["version"] == _VERSION else {}), present
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, present


def _remove(folder: int, text: str, index: dict[str, str], done: Followed) -> None:
    remove_if_there(folder, text)
    index.pop(text, None)
    done.removed.append(text)


def _is_good(decision: Decision) -> bool:
    return decision.file is not None and decision.state in (State.FRESH, State.UNCHANGED)


def _is_lost(decision: Decision) -> bool:
    if decision.state is State.REFUSED:
        return decision.file is None
    return decision.state is State.MISSING and decision.subject.max_stale is not None


__all__ = ["Credstore", "Followed"]
