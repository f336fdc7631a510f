"""``check``: what is wrong in a repository, as far as it can be said without a key.

Each finding says what it rests on. A file whose readers are only assumed (anonymous recipients, and no lock entry that fits)
is reported as such, not passed over.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from secretsmith.documents.format import format_of, looks_encrypted
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.exportsops import stale_config
from secretsmith.operations.keygroups import DocumentReaders, service_names
from secretsmith.operations.managed import kept_texts, managed_files, unruled_files
from secretsmith.operations.readers import (
    Judged,
    judge_sealed,
    names_of,
    quick_drift,
    read_sealed,
    refuse_grouped_age,
)
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.store.git import ignored, in_git, tracked


def check(project: Project, paths: Sequence[str] = (), *, deep: bool = False) -> tuple[Finding, ...]:
    """Look at the secrets (or those of ``paths``) and, without ``paths``, at the registry, the lock and git.

    ``deep`` reads every file instead of trusting the stat index and the lock, and opens those that the identities here
    open, to check them as a whole.
    """
    found: list[Finding] = []
    files = list(managed_files(project, paths))
    for path in files:
        found.extend(_check_file(project, path, deep=deep))
    if deep:
        # Here, not above: a check without keys must not pay for what opens files.
        from secretsmith.operations.deepcheck import deep_findings

        found.extend(deep_findings(project, files))
    if not paths:
        found.extend(_check_unruled(project))
        found.extend(_check_kept_texts(project))
        found.extend(_check_lock(project))
        found.extend(_check_registry(project))
        if (stale := stale_config(project)) is not None:
            found.append(stale)
        found.extend(_check_git(project, files))
    project.index.save()
    return tuple(found)


def _check_file(project: Project, path: str, *, deep: bool) -> Iterator[Finding]:
    try:
        judged = judge_sealed(project, read_sealed(project, path)) if deep else quick_drift(project, path)
        refuse_grouped_age(path, judged.wanted)
    except SecretsmithError as error:
        yield _unreadable(project, path, error)
        return
    yield from _check_readers(project, path, judged)
    if judged.readers is not None:
        yield from _check_document(project, path, judged.readers)
    entry = project.lock.files.get(path)
    if entry is not None and entry.key_exposed:
        yield Finding(
            Code.KEY_EXPOSED,
            "warning",
            path,
            "somebody who lost access knows its data key",
            f"secretsmith rotate {path}",
        )


def _unreadable(project: Project, path: str, error: SecretsmithError) -> Finding:
    try:
        plain = not looks_encrypted(format_of(path), project.read(path)[:4096])
    except SecretsmithError:
        plain = False
    if plain and error.code not in (Code.EMPTY, Code.UNSUPPORTED):
        return Finding(
            Code.PLAINTEXT,
            "error",
            path,
            "is not encrypted",
            f"{_encrypt(path)}; if it was ever committed or pushed, change the values, too",
        )
    return Finding(error.code, "error", path, error.message, error.hints[0] if error.hints else "")


def _encrypt(path: str) -> str:
    return f"secretsmith encrypt --in-place {shlex.quote(path)}"


def _check_readers(project: Project, path: str, judged: Judged) -> Iterator[Finding]:
    wanted, present, drift = judged.wanted, judged.present, judged.drift
    if present.unknown:
        yield Finding(
            Code.RECIPIENT_EXTRA,
            "error",
            path,
            f"encrypted to a recipient that the registry never named: {', '.join(present.unknown)}",
            f"register its owner, or: {_rekey(path, ' --drop-unknown')}",
        )
    if not wanted.rules:
        yield Finding(
            Code.NO_RULE,
            "warning",
            path,
            "no rule says who reads it, so it is for admins only",
            f"secretsmith grant '{path}' --to WHO",
        )
    if drift.add:
        names = ", ".join(names_of(project, drift.add))
        message = f"{names} should read it and cannot"
        yield Finding(Code.DRIFT, "error", path, message, _rekey(path))
    if drift.remove:
        names = ", ".join(_removed(project, key) for key in sorted(drift.remove))
        message = f"{names} should not read it and can"
        yield Finding(Code.DRIFT, "error", path, message, _rekey(path))
    if judged.regrouped:
        yield Finding(Code.DRIFT, "error", path, "its key groups are not those of its rule", _rekey(path))
    if not drift and present.basis == "assumed":
        yield Finding(
            Code.ASSUMED,
            "info",
            path,
            "has anonymous recipients and no entry in the lock: as many as wanted, but who they are is assumed",
            "any write by secretsmith settles it",
        )


def _check_document(project: Project, path: str, readers: DocumentReaders) -> Iterator[Finding]:
    if readers.kept:
        said = [f"has {len(readers.groups)} key groups, {readers.threshold} needed, that no rule describes"]
        if readers.missing:
            names = ", ".join(names_of(project, readers.missing))
            said.append(f"{names} should read it and cannot")
        if readers.stuck:
            names = ", ".join(_removed(project, key) for key in readers.stuck)
            said.append(f"{names} should not read it, and is all that one of its groups has")
        yield Finding(
            Code.KEY_GROUPS,
            "warning",
            path,
            "; ".join(said),
            f"in its rule in {REGISTRY_NAME}: key_groups = [[…], […]], shamir_threshold = {readers.threshold}",
        )
    if readers.left:
        yield Finding(
            Code.KEY_SERVICE,
            "info",
            path,
            f"is also encrypted under {service_names(readers.left)}, which the registry knows nothing of",
            f"to age keys alone: {_rekey(path, ' --drop-unknown')}",
        )


def _rekey(path: str, option: str = "") -> str:
    return f"secretsmith rekey {path}{option}"


def _removed(project: Project, key: str) -> str:
    uses = project.registry.key_owner(key)
    if not uses:
        return key
    state = uses[0].state
    return uses[0].principal if state == "active" else f"{uses[0].principal} ({state} key {key})"


def _check_unruled(project: Project) -> Iterator[Finding]:
    for path in unruled_files(project):
        yield Finding(
            Code.NO_RULE, "warning", path, "no rule says who reads it", f"secretsmith grant '{path}' --to WHO"
        )


def _check_kept_texts(project: Project) -> Iterator[Finding]:
    for path in kept_texts(project):
        yield Finding(
            Code.KEPT_TEXT,
            "info",
            path,
            "is your text from an edit that could not be stored; no rule is applied to it",
            f"secretsmith show {path}, then: secretsmith rm {path}",
        )


def _check_lock(project: Project) -> Iterator[Finding]:
    for path in sorted(project.lock.files):
        if not (project.root / path).is_file():
            yield Finding(
                Code.LOCK_STALE,
                "warning",
                path,
                "is in the lock, and there is no such file",
                f"secretsmith rm --force {path}, or take it back from git",
            )


def _check_registry(project: Project) -> Iterator[Finding]:
    for warning in project.registry.warnings:
        yield Finding(warning.code, "warning", REGISTRY_NAME, warning.message, warning.hint)
    admins = [
        key for user in project.registry.users.values() if user.admin and user.reads for key in user.keys
    ]
    if len(admins) == 1:
        yield Finding(
            Code.SINGLE_ADMIN,
            "warning",
            REGISTRY_NAME,
            "there is one admin key: when it is lost, so is every value",
            "secretsmith user add recovery --admin --key age1…",
        )
    for name, host in sorted(project.registry.hosts.items()):
        if host.reads and not host.keys:
            yield Finding(
                Code.PENDING,
                "info",
                REGISTRY_NAME,
                f"host {name} has no key yet",
                f'secretsmith host reprovision {name} --key "ssh-ed25519 …"',
            )


def _check_git(project: Project, files: Sequence[str]) -> Iterator[Finding]:
    if project.registry.git == "off" or not in_git(project.root):
        return
    known = tracked(project.root)
    missing = [path for path in files if path not in known]
    hidden = ignored(project.root, missing) if missing else frozenset()
    for path in missing:
        if path in hidden:
            yield Finding(
                Code.IGNORED,
                "warning",
                path,
                "git ignores it, so no other clone has it",
                "mend .gitignore, then git add",
            )
        else:
            yield Finding(
                Code.UNTRACKED,
                "warning",
                path,
                "git does not track it: flakes do not see it",
                f"git add {path}",
            )


__all__ = ["check"]
