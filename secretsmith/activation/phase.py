"""One phase of an activation, in this order: check all, read all, decrypt all in memory, and only then write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256

from secretsmith.activation.accounts import Accounts, Caller, Ownership
from secretsmith.activation.generations import Reader
from secretsmith.activation.opening.sources import Sources, file_stamp
from secretsmith.activation.places.placed import Placed, merged
from secretsmith.activation.places.places import Places
from secretsmith.activation.plan import Past
from secretsmith.activation.state import HostState, Moment, load_state
from secretsmith.activation.target import Target
from secretsmith.activation.values import Values
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, ManifestEntry, Phase
from secretsmith.record import record, replace

Owners = dict[str, Ownership | SecretsmithError]


@record(slots=False)
class Common:
    """What all phases of a run share. ``data`` is the manifest as bytes, ``whole`` the manifest of all phases."""

    data: bytes
    whole: Manifest
    caller: Caller
    accounts: Accounts
    sources: Sources
    values: Values
    clock: Callable[[], Moment]


@record(frozen=False, slots=False)
class Standing:
    """What is known of one phase before anything is decided. ``before`` is what earlier runs left at custom paths."""

    phase: Phase
    manifest: Manifest
    owners: Owners
    inputs: str
    state: HostState
    past: Past | None
    places: Places
    notes: tuple[str, ...]
    live: int | None
    is_installed: bool


def look(
    common: Common,
    phase: Phase,
    target: Target | None,
    folder: int | None,
    remembered: Placed,
    others: Placed,
) -> Standing:
    """Read the sources of a phase and see what is there; ``folder`` is a descriptor of its generations, if there are any.

    ``remembered`` is what the record on disk says was left at custom paths, ``others`` what was left there for other phases.
    """
    manifest = common.whole.for_phase(phase)
    owners = _owners(manifest, common.caller, common.accounts)
    sources = list(dict.fromkeys(_sources(common.whole, manifest)))
    for path in sources:
        common.sources.read(path)
    inputs = _digest_of_inputs(common, manifest, sources, owners)
    state, notes = _remembered(manifest, folder)
    # The record is older than this boot, or lags behind where it could not be written; nothing of it is taken for ours that
    # is not still as it says.
    state = replace(state, placed=merged(remembered, state.placed))
    live = target.live if target is not None else None
    past = None if folder is None or live is None else Past(Reader(folder, live), state.records.get(live))
    places = Places(manifest, common.caller, state.placed, others)
    standing = Standing(phase, manifest, owners, inputs, state, past, places, notes, live, is_installed=False)
    standing.is_installed = _is_installed(standing)
    return standing


def _sources(whole: Manifest, manifest: Manifest) -> Iterator[str]:
    named = {item.secret for template in manifest.templates for item in template.placeholders.values()}
    yield from (secret.source for secret in manifest.secrets)
    yield from (secret.source for secret in whole.secrets if secret.name in named)


def _owners(manifest: Manifest, caller: Caller, accounts: Accounts) -> Owners:
    found: Owners = {}
    for entry in manifest.entries():
        try:
            found[entry.name] = caller.resolve(entry, accounts)
        except SecretsmithError as error:
            found[entry.name] = error
    return found


def _digest_of_inputs(common: Common, manifest: Manifest, sources: list[str], owners: Owners) -> str:
    """Return a digest of everything that the result depends on; none of it is plaintext or a private key."""
    tree = {
        "manifest": sha256(common.data).hexdigest(),
        "places": [manifest.directory, manifest.generations],
        "sources": dict(common.sources.digests(sources)),
        # Of a key file only its outside: an unchanged run need not have the key in memory.
        "identities": {path: file_stamp(path) for path in manifest.identities},
        "owners": {name: [o.uid, o.gid] if isinstance(o, Ownership) else None for name, o in owners.items()},
    }
    return sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _remembered(manifest: Manifest, folder: int | None) -> tuple[HostState, tuple[str, ...]]:
    state = HostState() if folder is None else load_state(folder)
    if state is not None:
        return state, ()
    place = f"{manifest.generations}/state.json"
    return HostState(), (
        f"{Code.STATE}: {place} was damaged and is made anew; last good values are not known",
    )


def _is_installed(standing: Standing) -> bool:
    """Whether the same input was installed whole, and all of it is still there untouched."""
    past = standing.past
    if past is None or past.record is None or standing.state.pending:
        return False
    if not past.record.complete or past.record.inputs != standing.inputs:
        return False
    files = past.record.files
    if past.reader.names() != files.keys() or any(
        past.reader.stamp(name) != file.stamp for name, file in files.items()
    ):
        return False
    return standing.places.is_in_place(_placed_entries(standing))


def _placed_entries(standing: Standing) -> Iterator[tuple[ManifestEntry, Ownership]]:
    for entry in standing.manifest.entries():
        owner = standing.owners[entry.name]
        if entry.path is not None and isinstance(owner, Ownership):
            yield entry, owner


__all__ = ["Common", "Standing", "look"]
