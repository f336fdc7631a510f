"""The secrets and templates of one phase, held against what the manifest and its sources say now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from stat import S_IMODE
from typing import Any

from secretsmith.activation.accounts import group_name, user_name
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.inspection.facts import (
    EntryFacts,
    EntryState,
)
from secretsmith.activation.inspection.live import LiveFile, LiveGeneration
from secretsmith.activation.places.occupants import Occupant, look
from secretsmith.activation.plan import Decision, State
from secretsmith.activation.preview import Preview
from secretsmith.activation.state import Moment
from secretsmith.manifest import Manifest, ManifestEntry, ManifestSecret, Method
from secretsmith.record import record

_RECORDED = (EntryState.FRESH, EntryState.UNCHANGED)


@record(slots=False)
class Looked:
    """One phase as it was looked at. ``recorded`` are the secrets of the status file; ``source`` is the manifest's path."""

    item: Preview
    live: LiveGeneration
    recorded: Mapping[str, Any]
    source: str | None
    now: Moment

    @property
    def manifest(self) -> Manifest:
        """The manifest of this phase."""
        return self.item.standing.manifest

    @cached_property
    def astray(self) -> frozenset[str]:
        """Custom paths at which an activation would do something."""
        return frozenset(path for path, _ in self.item.places)


def entry_facts(looked: Looked) -> Iterator[EntryFacts]:
    """Describe every entry of the phase."""
    for decision in looked.item.report.decisions:
        entry, live = decision.entry, looked.live.of(decision.entry.name)
        state = _state(looked, decision, live)
        written, since = live.written, decision.stale_since
        owner, group, mode = _shown(entry, live.file)
        yield EntryFacts(
            name=entry.name,
            phase=str(entry.phase),
            kind="secret" if isinstance(entry, ManifestSecret) else "template",
            state=state,
            path=entry.path or looked.manifest.place_of(entry),
            method=str(entry.method),
            owner=owner,
            group=group,
            mode=mode,
            required=entry.required,
            plaintext_on_disk=entry.plaintext_on_disk,
            age=None if written is None or live.file is None else max(0, int(looked.now.boot - written.boot)),
            since=None if since is None else date(since.wall),
            code=None if decision.failure is None else str(decision.failure.code),
            message=None if decision.failure is None else decision.failure.message,
        )


def unseen_entry(manifest: Manifest, entry: ManifestEntry) -> EntryFacts:
    """Describe an entry of a phase that could not be looked at."""
    return EntryFacts(
        name=entry.name,
        phase=str(entry.phase),
        kind="secret" if isinstance(entry, ManifestSecret) else "template",
        state=EntryState.UNKNOWN,
        path=entry.path or manifest.place_of(entry),
        method=str(entry.method),
        owner=entry.owner,
        group=entry.group,
        mode=entry.mode,
        required=entry.required,
        plaintext_on_disk=entry.plaintext_on_disk,
    )


def _state(looked: Looked, decision: Decision, live: LiveFile) -> EntryState:
    if decision.file is None or decision.state is State.STALE:
        return EntryState(decision.state)
    if looked.live.gone:
        return EntryState.MISSING
    by_hand = looked.item.is_current or live.was_touched
    if decision.same and not (looked.item.is_current and _is_astray(looked, decision.entry)):
        recorded = looked.recorded.get(decision.entry.name, {}).get("state")
        return EntryState(recorded) if recorded in _RECORDED else EntryState.UNCHANGED
    if looked.live.number is not None and (decision.same or by_hand):
        return EntryState.CHANGED
    return EntryState.PENDING


def _is_astray(looked: Looked, entry: ManifestEntry) -> bool:
    """Whether what programs read, a link or copy elsewhere, is not what activation left there."""
    return entry.path in looked.astray


def _shown(entry: ManifestEntry, file: InstalledFile | None) -> tuple[str, str, str]:
    uid, gid, mode = None, None, 0
    copy = seen(entry.path) if entry.method is Method.COPY and entry.path is not None else None
    if copy is not None and copy.text is None:
        uid, gid, mode = copy.status.st_uid, copy.status.st_gid, S_IMODE(copy.status.st_mode)
    elif file is not None:
        uid, gid, mode = file.ownership.uid, file.ownership.gid, file.mode
    if uid is None or gid is None:
        return entry.owner, entry.group, entry.mode
    return user_name(uid), group_name(gid), f"{mode:04o}"


def seen(path: str) -> Occupant | None:
    """Look at a custom path; None if nothing is there, or it cannot be looked at."""
    try:
        return look(path)
    except OSError:
        return None


def date(wall: float) -> str:
    """Return a time as status.json says it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(wall))


__all__ = [
    "Looked",
    "date",
    "entry_facts",
    "seen",
    "unseen_entry",
]
