"""Custom paths: links and copies that are missing or not as they were left, and those that nobody wants any more."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from secretsmith.activation.inspection.entries import Looked, seen
from secretsmith.activation.inspection.facts import activation, finding, finding_of
from secretsmith.activation.places.copies import temporary_name
from secretsmith.activation.places.occupants import Occupant, occupied
from secretsmith.activation.places.placed import PlacedPath
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import ManifestEntry, Method
from secretsmith.record import replace


def path_findings(looked: Looked) -> Iterator[Finding]:
    """Say what is off at custom paths of the phase, those of earlier manifests included."""
    before = looked.item.standing.state.placed
    entries = {entry.path: entry for entry in looked.manifest.entries() if entry.path is not None}
    command = activation(looked.source)
    for path, verb in looked.item.places:
        if path in entries:
            if looked.live.number is None and verb in ("link", "copy"):
                continue  # nothing is installed yet, which is said once
            why = looked.item.standing.places.unsafe.get(path)
            if why is not None:
                yield _unsafe(path, entries[path], why)
                continue
            found = _wanted(path, verb, entries[path], before.get(path), command)
            # What a newer manifest wants elsewhere or otherwise is only waiting for its activation.
            late = found.code == Code.CHANGED and not looked.item.is_current
            yield replace(found, severity="warning") if late else found
    for path in sorted(before.keys() - entries.keys()):
        yield from _stray(path, before[path], command)
    for path in sorted(entries.keys() | before.keys()):
        parent, _, name = path.rpartition("/")
        half = f"{parent}/{temporary_name(name)}"
        if seen(half) is not None:
            text = "is what an interrupted activation was writing, and may hold a secret"
            yield finding(Code.STATE, "warning", half, text, command)


def _wanted(path: str, verb: str, entry: ManifestEntry, item: PlacedPath | None, command: str) -> Finding:
    found = seen(path)
    if verb == "occupied":
        return finding_of(occupied(path, found, item), "error")
    if found is None:
        what = "link" if entry.method is Method.LINK else "copy"
        return finding(Code.CHANGED, "error", path, f"the {what} of {entry.name} is missing", command)
    return finding(Code.CHANGED, "error", path, f"{_state(found, item)} {entry.name} should be here", command)


def _unsafe(path: str, entry: ManifestEntry, why: SecretsmithError) -> Finding:
    text = finding_of(why, "error", path=path).message
    return finding_of(why, "error", path=path, message=f"{entry.name} cannot be put here: {text}")


def _state(found: Occupant, item: PlacedPath | None) -> str:
    if found.text is not None:
        return "is a link to somewhere else, or of somebody else, where"
    return "is a copy of an earlier value where" if found.among(item) else "is another file where"


def _stray(path: str, item: PlacedPath, command: str) -> Iterator[Finding]:
    found = seen(path)
    if found is None:
        return
    if found.among(item) is not None:
        what = "link" if found.text is not None else "copy"
        text = f"is a {what} of a secret that the manifest no longer has here"
        yield finding(Code.UNDECLARED, "warning", path, text, command)
    elif found.was_copy(item):
        text = "was a copy of a secret that the manifest no longer has here, and was changed since: it is never removed"
        yield finding(Code.UNDECLARED, "warning", path, text, f"look at it, then: rm {quote(path)}")


__all__ = ["path_findings"]
