"""What ``check`` says of each file: who reads it, and how that is known; what the lock says of it; whether it is one at all."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from secretsmith.documents.format import Format, format_of, looks_encrypted
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.keygroups import DocumentReaders, service_names
from secretsmith.operations.managed import is_kept_text, is_managed
from secretsmith.operations.readers import (
    Judged,
    judge_sealed,
    names_of,
    quick_drift,
    read_sealed,
    refuse_grouped_age,
)
from secretsmith.policy.lock import NO_DIGEST
from secretsmith.policy.principals import KeyState, KeyUse
from secretsmith.project import REGISTRY_NAME, Project
from secretsmith.store.walk import list_secret_files


def file_findings(project: Project, files: Iterable[str], *, deep: bool) -> Iterator[Finding]:
    """Yield what is wrong with ``files`` (secrets, relative to the root).

    A file that the lock speaks for costs a stat; ``deep`` reads every one.
    """
    for path in files:
        yield from _of_file(project, path, deep=deep)


def loose_findings(project: Project) -> Iterator[Finding]:
    """Yield what lies below the secrets folder and is no secret of the repository: nothing names it, and we did not write it."""
    for path in list_secret_files(project.root, project.registry.secrets):
        if path in project.lock.files:
            continue
        if is_kept_text(path):
            yield Finding(
                Code.KEPT_TEXT,
                "info",
                path,
                "is your text from an edit that could not be stored; no rule is applied to it",
                f"secretsmith show {shlex.quote(path)}, then: secretsmith rm {shlex.quote(path)}",
            )
        elif not is_managed(project, path):
            yield from _of_loose(project, path)


def _of_file(project: Project, path: str, *, deep: bool) -> Iterator[Finding]:
    try:
        judged = _judged(project, path, deep=deep)
        refuse_grouped_age(path, judged.wanted)
        digest = judged.sealed.digest if judged.sealed else project.index.digest(project.root, path)
    except SecretsmithError as error:
        yield _unreadable(project, path, error)
        return
    yield from _of_readers(project, path, judged)
    if judged.readers is not None:
        yield from _of_document(project, path, judged, judged.readers)
    yield from _of_entry(project, path, judged, digest)


def _judged(project: Project, path: str, *, deep: bool) -> Judged:
    entry = project.lock.files.get(path)
    # What somebody once assumed is no more than the file itself says, and perhaps less.
    if deep or (entry is not None and entry.basis == "assumed"):
        return judge_sealed(project, read_sealed(project, path))
    return quick_drift(project, path)


def _unreadable(project: Project, path: str, error: SecretsmithError) -> Finding:
    try:
        plain = not looks_encrypted(format_of(path), project.read(path))
    except SecretsmithError:
        plain = False
    if plain and error.code not in (Code.EMPTY, Code.UNSUPPORTED):
        return _plaintext(path)
    history = f"take it back from git: git log -p -- {shlex.quote(path)}"
    return Finding(error.code, "error", path, error.message, error.hints[0] if error.hints else history)


def _plaintext(path: str) -> Finding:
    return Finding(
        Code.PLAINTEXT,
        "error",
        path,
        "is not encrypted",
        f"secretsmith encrypt --in-place {shlex.quote(path)}; if it was ever committed or pushed, change the values, too",
    )


def _of_readers(project: Project, path: str, judged: Judged) -> Iterator[Finding]:
    drift, present, basis = judged.drift, judged.present, judged.present.basis
    if present.unknown:
        yield Finding(
            Code.RECIPIENT_EXTRA,
            "error",
            path,
            f"encrypted to a recipient that the registry never named: {', '.join(present.unknown)}",
            f"register its owner, or: {_rekey(path, ' --drop-unknown')}",
            basis,
        )
    if not judged.wanted.rules:
        yield _no_rule(path, "no rule says who reads it, so it is for admins only")
    former = [key for key in drift.remove if _former(project, key)]
    odd = [key for key in drift.remove if key not in former]
    said = []
    if drift.add:
        said.append(f"{', '.join(names_of(project, drift.add))} should read it and cannot")
    if odd:
        said.append(f"{', '.join(names_of(project, odd))} should not read it and can")
    if judged.regrouped:
        said.append("its key groups are not those of its rule")
    for message in said:
        yield Finding(Code.DRIFT, "error", path, message, _rekey(path), basis)
    if former:
        names = "; ".join(_described(project, path, key) for key in former)
        yield Finding(Code.FORMER_KEY, "error", path, f"is still opened by {names}", _rekey(path), basis)
    if not drift and basis == "assumed":
        yield Finding(
            Code.ASSUMED,
            "info",
            path,
            "has anonymous recipients, as many as wanted, and the lock does not know whose: who reads it is assumed",
            _settle(path),
            basis,
        )


def _former(project: Project, key: str) -> KeyUse | None:
    """Return the use of a key that nobody reads with any more, None for one that is in use."""
    uses = project.registry.key_owner(key)
    return uses[0] if uses and uses[0].state is not KeyState.ACTIVE else None


def _described(project: Project, path: str, key: str) -> str:
    use = _former(project, key)
    if use is None:
        return project.name_of(key)
    principal = project.registry.principal(use.principal)
    dates = [old.until for old in principal.retired if old.key.fingerprint == key and old.until]
    reasons = [str(old.reason) for old in principal.retired if old.key.fingerprint == key]
    # A removed user's keys carry no date; what was lost with them does.
    owed = [debt for debt in project.lock.debt if debt.principal == use.principal]
    dates += [debt.since for debt in owed if debt.path == path] or [debt.since for debt in owed]
    since = f" since {dates[0]}" if dates else ""
    why = f", {reasons[0]}" if reasons and reasons[0] != use.state else ""
    return f"{use.principal}'s key {key} ({use.state}{since}{why})"


def _of_document(project: Project, path: str, judged: Judged, readers: DocumentReaders) -> Iterator[Finding]:
    if readers.kept:
        said = [f"has {len(readers.groups)} key groups, {readers.threshold} needed, that no rule describes"]
        if readers.missing:
            names = ", ".join(names_of(project, readers.missing))
            said.append(f"{names} should read it and cannot")
        if readers.stuck:
            names = ", ".join(_described(project, path, key) for key in readers.stuck)
            said.append(f"{names} should not read it, and is all that one of its groups has")
        yield Finding(
            Code.KEY_GROUPS,
            "warning",
            path,
            "; ".join(said),
            f"in its rule in {REGISTRY_NAME}: key_groups = [[…], […]], shamir_threshold = {readers.threshold}",
            judged.present.basis,
        )
    if readers.left:
        yield Finding(
            Code.KEY_SERVICE,
            "info",
            path,
            f"is also encrypted under {service_names(readers.left)}, which the registry knows nothing of",
            f"to age keys alone: {_rekey(path, ' --drop-unknown')}",
        )


def _of_entry(project: Project, path: str, judged: Judged, digest: str) -> Iterator[Finding]:
    entry = project.lock.files.get(path)
    if entry is None:
        if judged.present.basis != "assumed":  # else that is said already
            yield Finding(Code.LOCK_MISSING, "info", path, "has no entry in the lock", _settle(path))
        return
    if entry.sha256 not in (digest, NO_DIGEST):
        # Whoever edits with sops or age does that, and nothing is wrong with it while the file says whose it is. Else what the
        # lock knew is lost.
        yield Finding(
            Code.LOCK_DIGEST,
            "info" if judged.present.basis == "file" else "warning",
            path,
            "was changed outside of secretsmith: the lock knows another content",
            f"see by whom: git log -p -- {shlex.quote(path)}; then: {_settle(path)}",
        )
    elif entry.sha256 == NO_DIGEST or entry.basis == "assumed":
        yield Finding(
            Code.UNSETTLED,
            "info",
            path,
            "what the lock says of its readers is only assumed: nobody wrote or opened it since",
            _settle(path),
        )
    if entry.key_exposed:
        yield Finding(
            Code.KEY_EXPOSED,
            "warning",
            path,
            "somebody who lost access knows its data key",
            f"secretsmith rotate {shlex.quote(path)}",
        )


def _of_loose(project: Project, path: str) -> Iterator[Finding]:
    form = format_of(path)
    try:
        data = project.read(path)
    except SecretsmithError as error:
        yield Finding(error.code, "warning", path, error.message, error.hints[0] if error.hints else "")
        return
    if looks_encrypted(form, data) or looks_encrypted(Format.AGE, data):
        yield _no_rule(path, "no rule says who reads it")
    elif form is Format.AGE:
        yield _plaintext(path)
    elif form is not Format.BINARY and not path.rpartition("/")[2].startswith("."):
        yield Finding(
            Code.PLAINTEXT,
            "info",
            path,
            "is not encrypted and no rule names it, so it counts as no secret",
            f"if it is one: {_grant(path)}, then: secretsmith encrypt --in-place {shlex.quote(path)}",
        )


def _no_rule(path: str, message: str) -> Finding:
    return Finding(Code.NO_RULE, "warning", path, message, _grant(path))


def _grant(path: str) -> str:
    # Always in quotes, as patterns are wherever they are shown.
    quoted = shlex.quote(path)
    return f"secretsmith grant {quoted if quoted != path else repr(path)} --to WHO"


def _rekey(path: str, option: str = "") -> str:
    return f"secretsmith rekey {shlex.quote(path)}{option}"


def _settle(path: str) -> str:
    return f"any write settles it, for instance: secretsmith rotate {shlex.quote(path)}"


__all__ = ["file_findings", "loose_findings"]
