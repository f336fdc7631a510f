"""The manifest and the encrypted files that it names: whether they can be read, and whether others can exchange them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from shlex import quote

from secretsmith.activation.accounts import Accounts, Caller
from secretsmith.activation.doctor.facts import Fact, Said
from secretsmith.activation.folders import safe_folder
from secretsmith.activation.inspection.facts import finding, finding_of, listed
from secretsmith.activation.opening.sources import MAX_SOURCE_BYTES, read_regular
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding, Severity
from secretsmith.hostkeytext import on_workstation
from secretsmith.manifest import MAX_MANIFEST_BYTES, Manifest, Phase, parse_manifest

_OTHERS_WRITE = 0o022


def read_declared(path: str, caller: Caller) -> tuple[Manifest | None, list[Finding]]:
    """Read and check the manifest at ``path``; None, with findings that say why, if it cannot be used."""
    try:
        data, found = read_regular(path, MAX_MANIFEST_BYTES, follow=True)
        findings = [*_exposed(path, found, caller), *_above(path, caller)]
        return parse_manifest(data), findings
    except SecretsmithError as error:
        return None, [finding_of(error, "error", path=path)]


def manifest_facts(path: str, manifest: Manifest) -> Iterator[Said]:
    """Say what the manifest is about, and which of its entries may lie on a disk."""
    counts = {phase: sum(1 for _ in manifest.for_phase(phase).entries()) for phase in Phase}
    parts = [f"{count} for {phase}" for phase, count in counts.items() if count]
    secrets, templates = len(manifest.secrets), len(manifest.templates)
    yield Fact(
        "manifest",
        f"{path}: host {manifest.host}, {_count(secrets, 'secret')}, {_count(templates, 'template')}"
        f" ({', '.join(parts) or 'nothing'})",
    )
    disk = [entry.name for entry in manifest.entries() if entry.plaintext_on_disk]
    if disk:
        text = f"{_count(len(disk), 'entry', 'entries')} may lie on a disk in clear: {listed(disk)}"
        yield finding(Code.PLAINTEXT, "info", path, text)


def source_facts(manifest: Manifest, caller: Caller) -> Iterator[Said]:
    """Look at every encrypted file: whoever can exchange one decides what a service gets."""
    paths = list(dict.fromkeys(secret.source for secret in manifest.secrets))
    required = {secret.source for secret in manifest.secrets if secret.required}
    live = {secret.source for secret in manifest.secrets if secret.live is not None}
    good = 0
    for path in paths:
        severity: Severity = "error" if path in required else "info"
        try:
            found = os.stat(path, follow_symlinks=False)
            problems = list(_exposed(path, found, caller)) if stat.S_ISREG(found.st_mode) else []
            read_regular(path, MAX_SOURCE_BYTES)
        except SecretsmithError as error:
            problems = [finding_of(error, severity, path=path)]
        except OSError as error:
            text = (error.strerror or "cannot be read").lower()
            hint = "bring the files of this host's build again"
            if path in live:
                hint = on_workstation(f"secretsmith deploy {manifest.host}")
            problems = [finding(Code.NOT_FOUND, severity, path, text, hint)]
        good += not problems
        yield from problems
    folders = dict.fromkeys(os.path.dirname(path) for path in paths)
    for folder in folders:
        yield from _above(f"{folder}/.", caller)
    yield Fact("sources", f"{_count(len(paths), 'file')}, {good} as they should be")


def owner_facts(manifest: Manifest, caller: Caller, accounts: Accounts) -> Iterator[Said]:
    """Look for the accounts that files are to belong to."""
    missing: dict[str, list[str]] = {}
    known: dict[str, SecretsmithError] = {}
    for entry in manifest.entries():
        try:
            caller.resolve(entry, accounts)
        except SecretsmithError as error:
            missing.setdefault(error.message, []).append(entry.name)
            known[error.message] = error
    owners = dict.fromkeys(f"{entry.owner}:{entry.group}" for entry in manifest.entries())
    yield Fact("owners", listed(owners) or "none")
    required = {entry.name for entry in manifest.entries() if entry.required}
    for message, names in missing.items():
        severity: Severity = "info" if required.isdisjoint(names) else "error"
        yield finding_of(known[message], severity, message=f"{message}; needed by {listed(names)}")


def _exposed(path: str, found: os.stat_result, caller: Caller) -> Iterator[Finding]:
    if found.st_uid in caller.trusted and not found.st_mode & _OTHERS_WRITE:
        return
    mode = stat.S_IMODE(found.st_mode)
    text = f"can be changed by others (user {found.st_uid}, mode {mode:04o})"
    owner = "root" if caller.uid == 0 else str(caller.uid)
    hint = f"chown {owner} {quote(path)}; chmod {mode & ~_OTHERS_WRITE:o} {quote(path)}"
    yield finding(Code.ACCESS, "error", path, text, hint)


def _above(path: str, caller: Caller) -> Iterator[Finding]:
    """Look at the folders that really lead to ``path``; a name on the way may be a link, as all of /etc is on NixOS."""
    try:
        with safe_folder(os.path.dirname(os.path.realpath(path)) or "/", caller.trusted):
            pass
    except SecretsmithError as error:
        if error.code is not Code.NOT_FOUND:  # the file itself says so
            yield finding_of(error, "error")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


__all__ = ["manifest_facts", "owner_facts", "read_declared", "source_facts"]
