"""``build check``: would this host open what its build hands to it? From manifest, registry and lock; no key, no repository.

Made to run inside of a build: everything that it imports comes with Python (a test runs it so).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestTemplate, Scope, parse_manifest
from secretsmith.operations.buildopening import Proof, judge_opening
from secretsmith.operations.buildsources import Source, named_paths, read_sources
from secretsmith.operations.buildsubject import Subject, find_subject
from secretsmith.operations.narrowing import granting, narrowing
from secretsmith.policy.lock import LOCK_NAME, Lock, LockEntry, parse_lock
from secretsmith.policy.registry import REGISTRY_NAME, Registry, parse_registry
from secretsmith.policy.resolve import Wanted, unruled_readers, wanted_readers
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file
from secretsmith.store.limits import MAX_LOCK_BYTES, MAX_REGISTRY_BYTES

TryTemplate = Callable[[ManifestTemplate, Mapping[str, Sensitive]], object]
"""Puts values into a template, as the host will; raises what the host would raise."""

_TRUST = ("wrote", "opened", "assumed")


@record
class BuildInputs:
    """What a build hands to the check."""

    manifest: Manifest
    registry: Registry
    lock: Lock


@record
class BuildReport:
    """What was found. ``proofs`` counts the files by what shows that they open, those that could be read and judged."""

    host: str
    sources: int
    proofs: Mapping[Proof, int]
    findings: tuple[Finding, ...]


def read_inputs(manifest: Path, registry: Path, lock: Path | None) -> BuildInputs:
    """Read the three files, which may be links into a store; without ``lock`` nothing is known of anonymous recipients.

    Raises:
        NotFound, RefusedInput: one of them cannot be read, or is not valid; Conflict: the lock has conflict markers.
    """
    made = parse_manifest(read_file(manifest, MAX_MANIFEST_BYTES, follow=True))
    rules = parse_registry(_text(registry, MAX_REGISTRY_BYTES), REGISTRY_NAME)
    known = Lock() if lock is None else parse_lock(_text(lock, MAX_LOCK_BYTES), LOCK_NAME)
    return BuildInputs(made, rules, known)


def _text(path: Path, limit: int) -> str:
    return read_file(path, limit, follow=True).decode("utf-8", errors="surrogateescape")


def check_build(given: BuildInputs, try_template: TryTemplate | None = None) -> BuildReport:
    """Look for what would keep the host of a manifest from its secrets.

    ``try_template`` is tried with numbers for values, which a template that is right can always hold.
    """
    return _Check(given, try_template).report()


class _Check:
    def __init__(self, given: BuildInputs, try_template: TryTemplate | None) -> None:
        self._manifest, self._registry, self._lock = given.manifest, given.registry, given.lock
        self._try_template = try_template
        self._subject, self._found = find_subject(given.manifest, given.registry)
        self._proofs: Counter[Proof] = Counter()
        self._entries = _by_digest(given.lock)

    def report(self) -> BuildReport:
        paths = {digest: path for digest, (path, _) in self._entries.items()}
        declared: set[str] = set()
        count = 0
        stored = [secret for secret in self._manifest.secrets if secret.live is None]
        for source, secrets in read_sources(self._manifest.host, stored, paths):
            count += 1
            self._found += source.findings
            places = named_paths(secrets)
            declared.update(places or (source.path,))
            if self._subject is not None:
                self._found += self._of_source(self._subject, source, places)
        if self._subject is not None and self._subject.is_host and self._manifest.scope is Scope.SYSTEM:
            self._found += self._undeclared(self._subject, declared)
        self._found += [*self._of_live(), *self._of_templates()]
        return BuildReport(self._manifest.host, count, dict(self._proofs), tuple(self._found))

    def _of_source(self, subject: Subject, source: Source, places: tuple[str, ...]) -> Iterator[Finding]:
        granted = True
        for path in places or (source.path,):
            refusal = self._not_granted(subject, path, known=source.known)
            if refusal is not None:
                granted = granted and refusal.severity != "error"
                yield refusal
        # Who may not read it needs no rekey to be told of: that is what the grant ends with. Where rules say nothing, the file does.
        if source.evidence is None or not granted:
            return
        entry = self._entry(source)
        opening = judge_opening(self._registry, subject, source, self._wanted(source.path), entry)
        self._proofs[opening.proof] += 1
        yield from opening.findings

    def _entry(self, source: Source) -> LockEntry | None:
        """Return what the lock records of this content, by the path's own entry if it fits: sources lie in a store."""
        own = self._lock.entry_for(source.path, source.digest)
        other = self._entries.get(source.digest, ("", None))[1]
        return own or (other if other is not None and other.recipients else None)

    def _wanted(self, path: str) -> Wanted | None:
        try:
            return wanted_readers(self._registry, path)
        except SecretsmithError:
            return None  # rules that contradict each other: said where the file is looked at

    def _not_granted(self, subject: Subject, path: str, *, known: bool) -> Finding | None:
        try:
            wanted = wanted_readers(self._registry, path) or unruled_readers(self._registry)
        except SecretsmithError as error:
            return Finding(error.code, "error", path, error.message, error.hints[0] if error.hints else "")
        if subject.name in wanted.names:
            return None
        if not known:
            return Finding(
                Code.ASSUMED,
                "info",
                path,
                f"the manifest names no file of the repository here, so whether a rule lets {subject.name} read it cannot be told",
                'if it is one, say so in the manifest: "id": "secrets/…"',
            )
        message = f"{subject.name} declares {path}, which no rule lets it read"
        hint = granting(self._registry, path, subject.name)
        return Finding(Code.NOT_GRANTED, "error", path, message, hint)

    def _undeclared(self, subject: Subject, declared: set[str]) -> Iterator[Finding]:
        """Find what the host may read and does not declare, among the files that the lock knows."""
        idle, hints = (subject.name,), dict[tuple[int, ...], str]()
        for path in sorted(self._lock.files.keys() - declared):
            wanted = self._wanted(path)
            if wanted is None or subject.name not in wanted.names:
                continue
            lines = tuple(rule.line for rule in wanted.rules)
            if lines not in hints:
                hints[lines] = narrowing(wanted, idle, {subject.name: declared})
            message = f"{subject.name} may read it and does not declare it"
            yield Finding(Code.UNDECLARED, "info", path, message, hints[lines])

    def _of_live(self) -> Iterator[Finding]:
        """Say what no build brings: whoever builds and never deploys has a host without these values."""
        names = [secret.name for secret in self._manifest.secrets if secret.live is not None]
        if names:
            values = "is a live value" if len(names) == 1 else "are live values"
            message = (
                f"{', '.join(names)} {values}, which a deploy brings to {self._manifest.host}, and no build"
            )
            yield Finding(Code.LIVE, "info", "", message, f"secretsmith deploy {self._manifest.host}")

    def _of_templates(self) -> Iterator[Finding]:
        if self._try_template is None:
            return
        values = {
            secret.name: Sensitive(str(number).encode())
            for number, secret in enumerate(self._manifest.secrets, 1)
        }
        for template in self._manifest.templates:
            try:
                self._try_template(template, values)
            except SecretsmithError as error:
                hint = error.hints[0] if error.hints else "every placeholder has to occur in the content"
                yield Finding(error.code, "error", "", error.message, hint)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] != "ruamel":
                    raise
                yield Finding(
                    Code.UNSUPPORTED,
                    "info",
                    "",
                    f"template {template.name} is YAML that takes ruamel.yaml to read, which is not here, so it was not tried",
                    "the host tries it: secretsmith-activate --dry-run MANIFEST",
                )


def _by_digest(lock: Lock) -> dict[str, tuple[str, LockEntry]]:
    """Give path and entry for each content that the lock knows; of equal ones that which says most of its readers."""
    found: dict[str, tuple[str, LockEntry]] = {}
    for path, entry in sorted(lock.files.items(), key=_less_sure):
        found.setdefault(entry.sha256, (path, entry))
    return found


def _less_sure(known: tuple[str, LockEntry]) -> tuple[bool, int, str]:
    path, entry = known
    return not entry.recipients, _TRUST.index(entry.basis), path


__all__ = ["BuildInputs", "BuildReport", "check_build", "read_inputs"]
