"""What git history still holds for somebody's keys: every version of every secret in any commit that they could open.

Three things tell, as in the work tree: the tags of ssh stanzas, the recipients that documents name, and for anonymous
recipients what any version of the lock said of a file with that digest, wherever and whenever it said so. What remains is
assumed from the registry of the last commit that had the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from secretsmith.crypto.evidence import Evidence
from secretsmith.crypto.publickey import KeyKind, PublicKey, parse_public_key
from secretsmith.documents.format import Format, format_of, looks_encrypted
from secretsmith.documents.seal import evidence, read_document
from secretsmith.errors import Code, RefusedInput, SecretsmithError
from secretsmith.operations.blastradius import Holder, holder_with
from secretsmith.policy.drift import Basis, present_readers
from secretsmith.policy.lock import LOCK_NAME, parse_lock
from secretsmith.policy.registry import REGISTRY_NAME, Registry, parse_registry
from secretsmith.policy.resolve import unruled_readers, wanted_readers
from secretsmith.project import MAX_LOCK_BYTES, MAX_REGISTRY_BYTES, MAX_SECRET_BYTES, Project
from secretsmith.record import field, record, replace
from secretsmith.store.git import in_git
from secretsmith.store.history import (
    Objects,
    day_of,
    files_at,
    is_secret_name,
    is_shallow,
    prefix_of,
    tips,
    touches,
)

_FOLDER: Final = re.compile(r"""\bsecrets["']?\s*=\s*["']([^"'\n]+)["']""")
_KEY: Final = re.compile(r"(?:ssh-ed25519|ssh-rsa) AAAA[A-Za-z0-9+/=]+|age1[0-9a-z]{20,}")
_BINARY: Final = b"age-encryption.org/v1\n"
_STANZA: Final = re.compile(rb"^-> (\S+)(?: (\S+))?", re.MULTILINE)
_ANONYMOUS: Final = ("x25519", "hybrid", "plugin")


@record
class Version:
    """One version of a file that the keys open.

    ``commit`` is the newest that has it, ``date`` that commit's, ``YYYY-MM-DD``; a branch that a merge threw away is dated by
    its last commit that touched the file. ``current``: the file is still this. ``alone`` is false when it takes other key
    groups as well.
    """

    path: str
    blob: str
    commit: str
    date: str
    basis: Basis
    current: bool
    alone: bool = True


@record
class PastAccess:
    """What history holds, by path and newest first.

    ``uncertain`` counts versions with anonymous recipients of whom nothing is known, ``clear`` those that are not encrypted
    at all, ``missing`` those that this clone does not have. ``shallow``: nor does it have the older commits.
    """

    versions: tuple[Version, ...]
    uncertain: int = 0
    clear: int = 0
    missing: int = 0
    shallow: bool = False


def has_history(project: Project) -> bool:
    """Say whether there is git history to look through."""
    return in_git(project.root)


def past_access(project: Project, holder: Holder) -> PastAccess:
    """Look through all commits that a branch, a tag, a stash or HEAD reaches.

    Raises:
        RefusedInput: USAGE, this is no git repository.
        SecretsmithError: ERROR, git is missing or failed.
    """
    if not in_git(project.root):
        raise RefusedInput(
            Code.USAGE,
            "--history reads the commits of git, and this is no git repository",
            hints=("--no-history",),
        )
    with Objects(project.root) as objects:
        return _Search(project, holder, objects).result()


@record(frozen=False, slots=False)
class _Locks:
    """What all versions of the lock said of readers, by a file's digest: fingerprints, and whether anybody knew."""

    readers: dict[str, tuple[frozenset[str], bool]] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def take(self, data: bytes) -> None:
        """Read the lines that no other version had; the whole when it is laid out otherwise than we write it."""
        lines = [line for line in data.split(b"\n") if line.startswith(b'{"') and b'"sha256":"' in line]
        for line in lines:
            mark = hash(line)
            if mark not in self._seen:
                self._seen.add(mark)
                self._take_entry(line)
        if not lines and b'"sha256"' in data:
            try:
                lock = parse_lock(data.decode("utf-8", "surrogateescape"), LOCK_NAME)
            except SecretsmithError:
                return
            for entry in lock.files.values():
                self._take(entry.sha256, entry.recipients, entry.basis != "assumed")

    def _take_entry(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            recipients = [str(each) for each in entry["recipients"]]
            self._take(str(entry["sha256"]), recipients, entry["basis"] != "assumed")
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # a conflict, or not ours

    def _take(self, digest: str, recipients: list[str] | tuple[str, ...], proven: bool) -> None:
        if recipients:
            known, before = self.readers.get(digest, (frozenset(), False))
            self.readers[digest] = (known.union(recipients), before or proven)


@record
class _Verdict:
    """What is known of one blob: ``opens`` is None when it takes the registry to tell."""

    opens: bool | None
    basis: Basis = "file"
    alone: bool = True
    digest: str = ""
    evidence: tuple[Evidence, ...] = ()


_NO: Final = _Verdict(opens=False)


class _Search:
    def __init__(self, project: Project, holder: Holder, objects: Objects) -> None:
        self._project, self._holder, self._objects = project, holder, objects
        self._prefix = prefix_of(project.root)
        # "secrets" is what a registry means that does not say; one folder too many in the search does no harm.
        self._folders = {project.registry.secrets, "secrets"}
        self._verdicts: dict[tuple[str, Format], _Verdict] = {}
        self._clear = 0
        self._time_of = lru_cache(maxsize=None)(objects.commit_time)
        self._registry_of = lru_cache(maxsize=16)(self._parsed)

    def result(self) -> PastAccess:
        self._read_registries()
        held = self._versions()
        self._judge_all(held)
        found = []
        uncertain = 0
        for (path, blob), (time, commit) in held.items():
            verdict = self._verdicts.get((blob, format_of(path)), _NO)
            if verdict.opens is None:
                verdict = self._by_lock(verdict)
            if verdict.opens is None:
                verdict = self._assumed(path, verdict, commit)
            if verdict.opens is None:
                uncertain += 1
            elif verdict.opens:
                found.append((path, -time, self._version(path, blob, time, commit, verdict)))
        found.sort(key=lambda item: item[:2])
        return PastAccess(
            tuple(version for _, _, version in found),
            uncertain,
            self._clear,
            self._objects.missing,
            is_shallow(self._project.root),
        )

    def _blobs_of(self, name: str) -> list[str]:
        """Return all versions of one file."""
        found = (
            blob for touch in touches(self._project.root, [name]) for blob in (touch.after, *touch.before)
        )
        return [blob for blob in dict.fromkeys(found) if blob]

    def _read_registries(self) -> None:
        """Find the secrets folders there ever were, and the key itself if only an older registry named it."""
        keys: dict[str, PublicKey] = {}
        for _, data in self._objects.read_all(self._blobs_of(REGISTRY_NAME), MAX_REGISTRY_BYTES):
            # Not the whole is read: there may be many versions, and parsing a big registry takes its time.
            text = (data or b"").decode("utf-8", "surrogateescape")
            self._folders.update(folder.rstrip("/") for folder in _FOLDER.findall(text))
            if not self._holder.keys:
                keys.update(_keys_in(text))
        known = [keys[key] for key in self._holder.fingerprints if key in keys]
        if known:
            self._holder = holder_with(None, known)

    def _versions(self) -> dict[tuple[str, str], tuple[int, str]]:
        """Return each version of each secret with the newest commit that has it, and its time."""
        found: dict[tuple[str, str], tuple[int, str]] = {}

        def note(path: str, blob: str, time: int, commit: str) -> None:
            if blob and (time, commit) > found.get((path, blob), (-1, "")):
                found[path, blob] = (time, commit)

        for touch in touches(self._project.root, []):
            if self._is_secret(touch.path):
                note(touch.path, touch.after, touch.time, touch.commit)
                for parent, blob in zip(touch.parents, touch.before, strict=False):
                    if blob:
                        note(touch.path, blob, self._time_of(parent), parent)
        for tip in tips(self._project.root):
            time = self._time_of(tip)
            for path, blob in files_at(self._project.root, tip).items():
                if self._is_secret(path):
                    note(path, blob, time, tip)
        return found

    def _is_secret(self, path: str) -> bool:
        """Say whether a file of any time is looked at: in a secrets folder of any time, or an age file, or in the lock now."""
        if path in self._project.lock.files or path.endswith(".age"):
            return True
        inside = "." in self._folders or any(path.startswith(f"{folder}/") for folder in self._folders)
        return inside and path not in (REGISTRY_NAME, LOCK_NAME) and is_secret_name(path)

    def _judge_all(self, held: Iterable[tuple[str, str]]) -> None:
        forms: dict[str, dict[Format, str]] = {}
        for path, blob in held:
            forms.setdefault(blob, {})[format_of(path)] = path
        for blob, data in self._objects.read_all(forms, MAX_SECRET_BYTES):
            for form, path in forms[blob].items() if data else ():
                self._verdicts[blob, form] = self._judge(path, form, data or b"")

    def _judge(self, path: str, form: Format, data: bytes) -> _Verdict:
        if not looks_encrypted(form, data):
            # Of what lies beside secrets (a secrets.nix) nobody said that it is one.
            self._clear += form is Format.AGE or path in self._project.lock.files
            return _NO
        try:
            if form is Format.AGE:
                return self._judge_age(data)
            metadata = read_document(form, data).metadata
        except SecretsmithError:
            return _NO  # damaged: nobody opens it
        groups = self._holder.groups_opened(metadata)
        return _Verdict(bool(groups), "file", groups >= metadata.threshold, _digest(data))

    def _judge_age(self, data: bytes) -> _Verdict:
        end = data.find(b"\n--- ") + 1
        if end and data.startswith(_BINARY):
            # That a header is well formed takes a millisecond to find out; what tags are in it, a fiftieth of that.
            stanzas = set(_STANZA.findall(data, 0, end))
            if any(tag in self._tags for _, tag in stanzas):
                return _Verdict(opens=True, digest=_digest(data))
            if all(kind in (b"ssh-ed25519", b"ssh-rsa") for kind, _ in stanzas):
                return _NO
        found = evidence(Format.AGE, data)
        if self._holder.tagged_in(found):
            return _Verdict(opens=True, digest=_digest(data))
        if not any(item.kind in _ANONYMOUS for item in found):
            return _NO
        return _Verdict(None, digest=_digest(data), evidence=found)

    @cached_property
    def _tags(self) -> frozenset[bytes]:
        return frozenset(tag.encode("ascii") for tag in self._holder.tags)

    def _by_lock(self, verdict: _Verdict) -> _Verdict:
        readers, proven = self._locks.readers.get(verdict.digest, (frozenset[str](), False))
        if readers:
            opens = bool(readers & self._holder.fingerprints)
            return replace(verdict, opens=opens, basis="lock" if proven else "assumed")
        return verdict if self._may_hide(verdict.evidence) else _NO

    @cached_property
    def _locks(self) -> _Locks:
        """All versions of the lock; only read when there are recipients that do not say whose they are."""
        found = _Locks()
        for _, data in self._objects.read_all(self._blobs_of(LOCK_NAME), MAX_LOCK_BYTES):
            found.take(data or b"")
        return found

    def _may_hide(self, found: tuple[Evidence, ...]) -> bool:
        """Say whether one of the keys may stand behind an anonymous stanza."""
        kinds = {key.kind for key in self._holder.keys}
        if any(item.kind == "ssh-ed25519" for item in found):
            kinds.discard(KeyKind.ED25519)  # such a file names all of them natively (policy.drift)
        return bool(kinds - {KeyKind.RSA})

    def _assumed(self, path: str, verdict: _Verdict, commit: str) -> _Verdict:
        name = f"{commit}:{self._prefix}{REGISTRY_NAME}"
        registry = self._registry_of(name)
        if registry is None:
            return verdict
        try:
            wanted = wanted_readers(registry, path) or unruled_readers(registry)
        except SecretsmithError:
            return verdict
        present = present_readers(registry, verdict.evidence, wanted)
        if present.keys & self._holder.fingerprints:
            return replace(verdict, opens=True, basis="assumed")
        sure = not any(each.startswith("anonymous") for each in present.unknown)
        return _NO if sure else verdict

    def _parsed(self, name: str) -> Registry | None:
        before = self._objects.missing
        _, data = self._objects.read(name, MAX_REGISTRY_BYTES)
        self._objects.missing = before  # a commit without a registry lacks nothing
        try:
            return None if data is None else parse_registry(data.decode("utf-8", "surrogateescape"))
        except SecretsmithError:
            return None

    def _version(self, path: str, blob: str, time: int, commit: str, verdict: _Verdict) -> Version:
        try:
            current = self._project.index.digest(self._project.root, path) == verdict.digest
        except SecretsmithError:
            current = False
        return Version(path, blob, commit, day_of(time), verdict.basis, current, verdict.alone)


def _keys_in(text: str) -> Iterator[tuple[str, PublicKey]]:
    for line in dict.fromkeys(_KEY.findall(text)):
        try:
            key = parse_public_key(line)
        except RefusedInput:
            continue
        yield key.fingerprint, key


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def old_versions(past: PastAccess) -> dict[str, list[Version]]:
    """Return the versions that are not what the files are now, by path, newest first."""
    found: dict[str, list[Version]] = {}
    for version in past.versions:
        if not version.current:
            found.setdefault(version.path, []).append(version)
    return found


def owed_paths(project: Project, holder: Holder) -> frozenset[str]:
    """Return the files of which the lock says that this principal knows a value that has not changed since."""
    return frozenset(record.path for record in project.lock.debt if record.principal == holder.name)


def versions_as_json(past: PastAccess) -> Iterator[dict[str, object]]:
    """Yield the versions as docs/reference/schemas/blast-radius.schema.json describes them."""
    for version in past.versions:
        yield {
            "path": version.path,
            "blob": version.blob,
            "commit": version.commit,
            "date": version.date,
            "basis": version.basis,
            "current": version.current,
            "alone": version.alone,
        }


__all__ = [
    "PastAccess",
    "Version",
    "has_history",
    "old_versions",
    "owed_paths",
    "past_access",
    "versions_as_json",
]
