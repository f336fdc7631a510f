"""The status file, held against what is live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.activation.accounts import Caller
from secretsmith.activation.inspection.facts import PhaseFacts, activation, finding, finding_of
from secretsmith.activation.state import Moment
from secretsmith.activation.status import Known, load_status
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest


def read_record(path: str | None, caller: Caller) -> tuple[Known | None, list[Finding]]:
    """Return the status file, None if there is none to be believed, and what is off about it."""
    if path is None:
        return None, []
    try:
        return load_status(path, caller), []
    except SecretsmithError as error:
        return None, [finding_of(error, "warning")]
    except OSError as error:
        text = f"cannot be read: {(error.strerror or 'failed').lower()}"
        return None, [finding(Code.STATE, "warning", path, text)]


def record_findings(
    path: str | None,
    known: Known | None,
    manifest: Manifest,
    source: str | None,
    phases: Sequence[PhaseFacts],
    now: Moment,
) -> Iterator[Finding]:
    """Say where the status file at ``path`` is not about what is live now: monitoring that reads it is misled."""
    if path is None:
        return
    command = activation(source)
    live = {phase.phase: phase.generation for phase in phases if phase.generation is not None}
    if known is None:
        if live:
            text = "there is no status file that can be read, though secrets are installed"
            yield finding(Code.STATE, "warning", path, text, f"rm -f {path}; {command}")
        return
    boot = known.tree.get("boot")
    if isinstance(boot, int | float) and boot > now.boot:
        yield finding(Code.STATE, "warning", path, "is older than this boot", command)
    elif known.tree.get("host") != manifest.host:
        text = f"is about another host than {manifest.host}, whose manifest this is"
        yield finding(Code.STATE, "warning", path, text, command)
    else:
        for phase, number in live.items():
            said = known.generations.get(phase)
            if said != number:
                text = f"says that generation {said} of {phase} is live, and it is {number}"
                yield finding(Code.STATE, "warning", path, text, command)
    recorded = known.tree.get("manifest")
    if isinstance(recorded, str) and source is not None and recorded != source:
        yield finding(Code.STATE, "info", path, f"the last activation was of another manifest: {recorded}")


__all__ = ["read_record", "record_findings"]
