"""One activation, in this order: check all, read all, decrypt all in memory, and only then write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from secretsmith.activation.accounts import Accounts, Caller, Ownership, SystemAccounts
from secretsmith.activation.folders import failed
from secretsmith.activation.generations import Reader
from secretsmith.activation.links import is_in_place
from secretsmith.activation.plan import Past
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.report import Report
from secretsmith.activation.sources import Sources, file_stamp
from secretsmith.activation.state import HostState, Moment, load_state
from secretsmith.activation.target import locked_target
from secretsmith.activation.unbuilt import refuse_unbuilt
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, parse_manifest

Owners = Mapping[str, Ownership | SecretsmithError]


@dataclass(frozen=True, slots=True)
class Options:
    """How to activate. ``status`` is the status file's path, None for no such file; ``wait`` seconds for the lock."""

    memory: Memory = Memory.MOUNT
    owner_self: bool = False
    status: str | None = None
    wait: float = 30.0


def activate(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
) -> Report:
    """Turn the manifest ``data`` into files on this host.

    ``shield`` is called before the first private key is read. What is wrong with single secrets is in the report.

    Raises:
        SecretsmithError: what stops everything: the manifest is refused, the target is not ours, the disk is full. The
            old generation is live then.
    """
    manifest = parse_manifest(data)
    refuse_unbuilt(manifest)
    try:
        return _activate(data, manifest, options, accounts or SystemAccounts(), clock, shield)
    except OSError as error:  # what nobody further down had a better word for
        raise failed(error, manifest.generations) from None


def _activate(
    data: bytes,
    manifest: Manifest,
    options: Options,
    accounts: Accounts,
    clock: Callable[[], Moment],
    shield: Callable[[], None],
) -> Report:
    caller = Caller.current(owner_self=options.owner_self)
    with (
        locked_target(manifest, options.memory, caller, options.wait) as target,
        target.existing() as before,
    ):
        owners = _owners(manifest, caller, accounts)
        sources = Sources()
        for secret in manifest.secrets:
            sources.read(secret.source)
        inputs = _digest_of_inputs(data, manifest, sources, owners)
        state, notes = _remembered(manifest, before)
        notes += _remarks(manifest, caller, in_memory=target.is_memory)
        reader = None if before is None or target.live is None else Reader(before, target.live)
        past = None if reader is None else Past(reader, state.records.get(target.live or 0))
        if (
            _is_installed(past, inputs)
            and _are_links_in_place(manifest, owners, caller)
            and (options.status is None or os.path.lexists(options.status))
        ):
            unchanged = len(manifest.secrets)
            return Report(manifest.host, target.live, nothing_done=True, unchanged=unchanged, notes=notes)
        shield()
        # Imported here: an unchanged run must not pay for cryptography, nor for what writes.
        from secretsmith.activation.decide import decide
        from secretsmith.activation.install import Work, install

        now = clock()
        decisions, problems = decide(manifest, caller, sources, owners, past, now)
        work = Work(manifest, caller, target, state, inputs, options.status, now)
        return install(work, decisions, problems, notes)


def _owners(manifest: Manifest, caller: Caller, accounts: Accounts) -> Owners:
    found: dict[str, Ownership | SecretsmithError] = {}
    for secret in manifest.secrets:
        try:
            found[secret.name] = caller.resolve(secret, accounts)
        except SecretsmithError as error:
            found[secret.name] = error
    return found


def _digest_of_inputs(data: bytes, manifest: Manifest, sources: Sources, owners: Owners) -> str:
    """Return a digest of everything that the result depends on; none of it is plaintext or a private key."""
    tree = {
        "manifest": sha256(data).hexdigest(),
        "sources": dict(sources.digests()),
        # Of a key file only its outside: an unchanged run need not have the key in memory.
        "identities": {path: file_stamp(path) for path in manifest.identities},
        "owners": {name: [o.uid, o.gid] if isinstance(o, Ownership) else None for name, o in owners.items()},
    }
    return sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _remembered(manifest: Manifest, before: int | None) -> tuple[HostState, tuple[str, ...]]:
    state = HostState() if before is None else load_state(before)
    if state is not None:
        return state, ()
    place = f"{manifest.generations}/state.json"
    return HostState(), (
        f"{Code.STATE}: {place} was damaged and is made anew; last good values are not known",
    )


def _remarks(manifest: Manifest, caller: Caller, *, in_memory: bool) -> tuple[str, ...]:
    notes = [] if in_memory else [f"{manifest.generations} is a plain folder, NOT RAM: for a demo only"]
    if caller.owner_self:
        notes.append(f"every file belongs to user {caller.uid}: owners need root")
    return tuple(notes)


def _is_installed(past: Past | None, inputs: str) -> bool:
    """Whether the same input was installed whole, and all of it is still there untouched."""
    if past is None or past.record is None or not past.record.complete or past.record.inputs != inputs:
        return False
    files = past.record.files
    return past.reader.names() == files.keys() and all(
        past.reader.stamp(name) == file.stamp for name, file in files.items()
    )


def _are_links_in_place(manifest: Manifest, owners: Owners, caller: Caller) -> bool:
    for secret in manifest.secrets:
        owner = owners[secret.name]
        if secret.path is not None and not (
            isinstance(owner, Ownership)
            and is_in_place(secret.path, manifest.place_of(secret), owner, caller)
        ):
            return False
    return True


__all__ = ["Options", "activate"]
