"""``check``: what is wrong in a repository, as far as it can be said without a key.

Each finding says what it rests on. A file whose readers are only assumed (anonymous recipients, and no lock entry that fits)
is reported as such, not passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.documents.format import Format, format_of, looks_encrypted
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.managed import managed_files, unruled_files
from secretsmith.operations.readers import names_of, quick_drift, read_sealed
from secretsmith.policy.drift import Present, compare
from secretsmith.policy.resolve import Wanted
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.store.git import ignored, in_git, tracked


def check(project: Project, paths: Sequence[str] = (), *, deep: bool = False) -> tuple[Finding, ...]:
    """Look at the secrets (or those of ``paths``) and, without ``paths``, at the registry, the lock and git.

    ``deep`` reads every file instead of trusting the stat index and the lock.
    """
    found: list[Finding] = []
    files = list(managed_files(project, paths))
    for path in files:
        found.extend(_check_file(project, path, deep=deep))
    if not paths:
        found.extend(_check_unruled(project))
        found.extend(_check_lock(project))
        found.extend(_check_registry(project))
        found.extend(_check_git(project, files))
    project.index.save()
    return tuple(found)


def _check_file(project: Project, path: str, *, deep: bool) -> Iterator[Finding]:
    try:
        if deep:
            sealed = read_sealed(project, path)
            wanted, present = sealed.wanted, sealed.present
        else:
            wanted, present = quick_drift(project, path)
    except SecretsmithError as error:
        yield _unreadable(project, path, error)
        return
    yield from _check_readers(project, path, wanted, present)
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
            f"take it out of git and its history, change the value, then: secretsmith set {path}",
        )
    return Finding(error.code, "error", path, error.message, error.hints[0] if error.hints else "")


def _check_readers(project: Project, path: str, wanted: Wanted, present: Present) -> Iterator[Finding]:
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
    drift = compare(wanted, present)
    if drift.add:
        names = ", ".join(names_of(project, drift.add))
        message = f"{names} should read it and cannot"
        yield Finding(Code.DRIFT, "error", path, message, _rekey(path))
    if drift.remove:
        names = ", ".join(_removed(project, key) for key in sorted(drift.remove))
        message = f"{names} should not read it and can"
        yield Finding(Code.DRIFT, "error", path, message, _rekey(path))
    if not drift and present.basis == "assumed":
        yield Finding(
            Code.ASSUMED,
            "info",
            path,
            "has anonymous recipients and no entry in the lock: as many as wanted, but who they are is assumed",
            "any write by secretsmith settles it",
        )


def _rekey(path: str, option: str = "") -> str:
    # Documents of sops are judged here and not yet written: sops gives them the recipients of its own .sops.yaml.
    return f"secretsmith rekey {path}{option}" if format_of(path) is Format.AGE else f"sops updatekeys {path}"


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
