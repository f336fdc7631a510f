"""Live values: fetched for one host when it is deployed, encrypted to its key in memory, and in no file of the repository.

What a host has is remembered on the host, in its tree (``live.json``): which entry it was, by the digest of the *encrypted* entry, and
for which keys it was encrypted. A host that lies about it gets nothing but its own values, another time or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.publickey import Form, PublicKey
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, live_path
from secretsmith.operations.deploy.remote.trees import LIVE_RECORD
from secretsmith.operations.linking.approval import require_approval, unapproved
from secretsmith.operations.linking.sources import Sources
from secretsmith.operations.readers import sealing_recipients
from secretsmith.policy.principals import Host
from secretsmith.project import Project
from secretsmith.record import field, record, replace
from secretsmith.store.approved import ApprovedSources

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@record
class Held:
    """A value that the host has: from which entry, for which keys. ``sha256`` is that of the encrypted file."""

    source: str
    store_digest: str | None
    sha256: str
    keys: tuple[str, ...]


@record
class LiveValue:
    """What becomes of one live value. ``names`` are the secrets that it is for.

    ``reason`` says why it is fetched, "" when it is not; ``held`` is what the host may keep, None when that is not it, or
    its keys do not open it. ``unsure``: whether it changed cannot be judged here.
    """

    path: str
    source: str
    names: tuple[str, ...]
    held: Held | None
    reason: str
    unsure: bool = False


@record
class LiveFiles:
    """What goes to a host: ``files`` with their record, and ``kept``, path → digest, of what it has already.

    ``findings`` are about values that could not be fetched, ``values`` are those that were, or would be. ``lacking`` are the
    names of secrets without a value, in a dry run alone.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    values: tuple[LiveValue, ...] = ()
    lacking: frozenset[str] = frozenset()


def gather_live(
    project: Project,
    host: Host,
    manifest: Manifest,
    there: Mapping[str, Any],
    *,
    approve: Sequence[str] = (),
    dry_run: bool = False,
) -> LiveFiles:
    """Fetch what the host of ``manifest`` lacks or has an older value of; with ``dry_run`` only say what that is.

    ``there`` is what the host says it has, ``approve`` what ``--approve`` gave.

    Raises:
        IntegrityFailure: SOURCE_APPROVAL, for this host's keys.
        SecretsmithError: what the source says of a value that the host has no earlier one of.
    """
    keys = {key.fingerprint: key for key in host.keys}
    sources = Sources(project)
    values = _planned(manifest, keys, there, sources)
    if not values:
        return LiveFiles()
    wanted = tuple(value for value in values if value.reason)
    if dry_run:
        lacking = frozenset(name for value in wanted if value.held is None for name in value.names)
        held = {value.path: value.held for value in values if value.held is not None}
        return replace(_files(held, {}), values=wanted, lacking=lacking)
    return _fetched(project, host.name, keys, values, sources, approve)


def without_lacking(manifest: Manifest, lacking: frozenset[str]) -> Manifest:
    """Return the manifest without secrets that have no value yet, and without templates that would be filled with them."""
    templates = (
        template
        for template in manifest.templates
        if lacking.isdisjoint(placeholder.secret for placeholder in template.placeholders.values())
    )
    secrets = (secret for secret in manifest.secrets if secret.name not in lacking)
    return replace(manifest, secrets=tuple(secrets), templates=tuple(templates)) if lacking else manifest


def _planned(
    manifest: Manifest, keys: Mapping[str, PublicKey], there: Mapping[str, Any], sources: Sources
) -> tuple[LiveValue, ...]:
    names: dict[str, list[str]] = {}
    for secret in manifest.secrets:
        if secret.live is not None:
            names.setdefault(secret.live, []).append(secret.name)
    found = []
    for source, of in sorted(names.items()):
        path = live_path(source)
        held, look = _held(there.get(path), source), sources.look(source)
        reason = ""
        if held is None:
            reason = "the host has none"
        elif {*held.keys} != {*keys}:
            reason = "the host has other keys now"
        elif look.digest is None:
            reason = f"cannot judge: {look.why}"
        elif look.digest != held.store_digest:
            reason = "changed at its source"
        opens = held is not None and not keys.keys().isdisjoint(held.keys)
        unsure = look.digest is None and opens
        found.append(LiveValue(path, source, tuple(of), held if opens else None, reason, unsure))
    return tuple(found)


def _held(said: object, source: str) -> Held | None:
    """Read what a host says of one value, with suspicion: it may have been anybody's before it was ours."""
    if not isinstance(said, dict) or said.get("source") != source:
        return None
    store_digest, digest, keys = said.get("store_digest"), said.get("sha256"), said.get("keys")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or not isinstance(keys, list):
        return None
    if not all(isinstance(key, str) for key in keys) or not isinstance(store_digest, str | None):
        return None
    return Held(source, store_digest, digest, tuple(keys))


def _fetched(
    project: Project,
    host: str,
    keys: Mapping[str, PublicKey],
    values: Sequence[LiveValue],
    sources: Sources,
    approve: Sequence[str],
) -> LiveFiles:
    held = {value.path: value.held for value in values if value.held is not None}
    wanted, findings = _approved(project, host, keys, values, approve)
    files: dict[str, bytes] = {}
    done = []
    for value in wanted:
        try:
            fetched = sources.fetch(value.source)
        except SecretsmithError as error:
            if error.code is Code.INTERRUPTED:
                raise
            if value.held is None:
                raise _nothing_there(value, host, error) from None
            findings.append(_stays(value, host, error.code, error.message, error.hints))
            continue
        data = encrypt_age(fetched.value, sealing_recipients(keys, Form.NATIVE), armor=False)
        files[value.path] = data
        held[value.path] = Held(value.source, fetched.digest, sha256(data).hexdigest(), tuple(sorted(keys)))
        done.append(value)
    return replace(_files(held, files), findings=tuple(findings), values=tuple(done))


def _approved(
    project: Project,
    host: str,
    keys: Mapping[str, PublicKey],
    values: Sequence[LiveValue],
    approve: Sequence[str],
) -> tuple[list[LiveValue], list[Finding]]:
    """Return what is to be fetched, all of it approved, and what is said of the rest.

    Nobody is asked about what may be just as the host has it: on a computer without that store, there is nothing to fetch.
    """
    known = ApprovedSources.load(project.environ, project.root)
    wanted, findings = [], []
    for value in values:
        asked = value.unsure and not {value.source, "all"} & {*approve}
        if asked and unapproved(known, [(value.source, keys)]):
            findings.append(_stays(value, host, Code.LINK_UNKNOWN, value.reason, ()))
        elif value.reason:
            wanted.append(value)
    pairs = [(value.source, keys) for value in wanted]
    require_approval(project, pairs, approve, look="--dry-run").save()
    return wanted, findings


def _files(held: Mapping[str, Held], files: Mapping[str, bytes]) -> LiveFiles:
    record = {
        path: {
            "source": one.source,
            "store_digest": one.store_digest,
            "sha256": one.sha256,
            "keys": [*one.keys],
        }
        for path, one in sorted(held.items())
    }
    kept = {path: one.sha256 for path, one in held.items() if path not in files}
    return LiveFiles({**files, LIVE_RECORD: json.dumps(record, indent=1).encode()}, kept)


def _stays(value: LiveValue, host: str, code: Code, why: str, hints: Sequence[str]) -> Finding:
    message = f"{', '.join(value.names)}: {value.source} was not fetched ({why}); {host} keeps the value that it has"
    return Finding(
        code, "warning", "", message, hints[0] if hints else f"secretsmith deploy {host}, where it can be"
    )


def _nothing_there(value: LiveValue, host: str, error: SecretsmithError) -> SecretsmithError:
    text = f"{', '.join(value.names)}: {error.message}; {host} has no earlier value, and nothing was sent"
    return type(error)(error.code, text, hints=error.hints)


__all__ = ["LiveFiles", "LiveValue", "gather_live", "without_lacking"]
