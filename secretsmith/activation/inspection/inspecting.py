"""The look at a host behind ``secretsmith status``: everything is opened and compared in memory, nothing is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from secretsmith.activation.accounts import Accounts
from secretsmith.activation.engine import Options, Run, phases
from secretsmith.activation.folders import failed
from secretsmith.activation.inspection.drift import entry_findings
from secretsmith.activation.inspection.entries import Looked, entry_facts, unseen_entry
from secretsmith.activation.inspection.facts import (
    EntryFacts,
    HostFacts,
    PhaseFacts,
    activation,
    finding,
    finding_of,
)
from secretsmith.activation.inspection.folders import filesystem_findings, filesystem_of, leftovers
from secretsmith.activation.inspection.live import read_live
from secretsmith.activation.inspection.paths import path_findings
from secretsmith.activation.inspection.record import read_record, record_findings
from secretsmith.activation.inspection.units import AskUnits, unit_findings
from secretsmith.activation.preview import Preview, preview
from secretsmith.activation.ramdisk import Memory
from secretsmith.activation.state import Moment
from secretsmith.activation.status import Known
from secretsmith.activation.target import viewed_target
from secretsmith.activation.units.telling import unit_facts
from secretsmith.errors import Code, Conflict, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Phase, Scope
from secretsmith.record import field, record, replace


@record(frozen=False, slots=False)
class _Look:
    """A look on its way."""

    run: Run
    known: Known | None
    now: Moment
    phases: list[PhaseFacts] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    entries: list[EntryFacts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def recorded(self) -> Mapping[str, Any]:
        """The secrets of the status file."""
        return {} if self.known is None else self.known.tree["secrets"]


def inspect_host(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
    ask_units: AskUnits = unit_facts,
) -> HostFacts:
    """Look at what the manifest ``data`` has led to on this host.

    ``options`` are those of the activation; ``shield`` is called before the first private key is read.

    Raises:
        SecretsmithError: the manifest is refused; ACCESS, only root can see what is there.
    """
    # Whatever lies there is looked at, in memory or not; where it lies is a finding of its own.
    options = replace(options, memory=Memory.PLAIN_FOLDER)
    run, previews = preview(data, options, accounts=accounts, clock=clock, shield=shield)
    _refuse_stranger(run)
    known, findings = read_record(run.options.status, run.common.caller)
    look = _Look(run, known, clock(), findings=findings)
    look.findings += (_remark(text) for text in dict.fromkeys(run.remarks))
    for item in previews:
        try:
            _look_at(look, item)
        except SecretsmithError as error:
            run.stopped.append(error)
        except OSError as error:
            run.stopped.append(failed(error, item.standing.manifest.generations))
    look.findings += (finding_of(error, "error") for error in run.stopped)
    for one in look.looked:
        look.entries += entry_facts(one)
        look.findings += [*_notes(one), *entry_findings(one), *path_findings(one)]
    _add_unseen(look)
    look.findings += record_findings(
        run.options.status, known, run.manifest, options.source, look.phases, look.now
    )
    look.findings += unit_findings(look.looked, run.options.units, ask_units)
    return HostFacts(
        host=run.manifest.host,
        scope=str(run.manifest.scope),
        manifest=options.source,
        activated=None if known is None else str(known.tree.get("time")),
        phases=tuple(look.phases),
        entries=tuple(look.entries),
        findings=tuple(look.findings),
    )


def _refuse_stranger(run: Run) -> None:
    strange = run.manifest.scope is Scope.SYSTEM and run.common.caller.uid != 0
    if strange and any(error.code in (Code.ACCESS, Code.TARGET) for error in run.stopped):
        text = f"what root installed in {run.manifest.generations} can only be looked at by root"
        raise SecretsmithError(Code.ACCESS, text, hints=("sudo secretsmith status",))


def _look_at(look: _Look, item: Preview) -> None:
    common, view = look.run.common, item.standing.manifest
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(
            viewed_target(view, Memory.PLAIN_FOLDER, common.caller, look.run.options.wait)
        )
        folder = None if target is None else stack.enter_context(target.existing())
        number = None if target is None else target.live
        if number != item.standing.live:
            raise Conflict(
                Code.CHANGED, "an activation ran at the same time", hints=("secretsmith status, once more",)
            )
        filesystem = None
        if folder is not None:
            filesystem = filesystem_of(folder, view.generations)
            look.findings += filesystem_findings(folder, filesystem, view)
            look.findings += leftovers(folder, number, view, item.standing.state, look.run.options.source)
        live = read_live(item.standing, folder, number, common.caller.uid)
    phase = item.report.phase
    current = item.is_current and not live.gone
    look.phases.append(PhaseFacts(str(phase), view.directory, view.generations, number, current, filesystem))
    look.looked.append(Looked(item, live, look.recorded, look.run.options.source, look.now))


def _add_unseen(look: _Look) -> None:
    """Describe the phases that could not be looked at, as far as that goes from outside."""
    seen = {phase.phase for phase in look.phases}
    for phase in phases(look.run):
        if phase in seen:
            continue
        view = look.run.manifest.for_phase(phase)
        filesystem = None
        with contextlib.suppress(OSError):
            folder = os.open(view.generations, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                filesystem = filesystem_of(folder, view.generations)
            finally:
                os.close(folder)
        look.phases.append(PhaseFacts(str(phase), view.directory, view.generations, None, False, filesystem))
        look.entries += (unseen_entry(view, entry) for entry in view.entries())
    order = [str(phase) for phase in Phase]
    look.phases.sort(key=lambda item: order.index(item.phase))
    look.entries.sort(key=lambda item: order.index(item.phase))


def _notes(looked: Looked) -> Iterator[Finding]:
    yield from (_remark(note, activation(looked.source)) for note in looked.item.standing.notes)


def _remark(text: str, *hints: str) -> Finding:
    """Turn a remark of the engine, ``CODE: text``, into a finding."""
    code, colon, rest = text.partition(": ")
    known = colon and code in set(Code)
    return finding(Code(code) if known else Code.STATE, "warning", "", rest if known else text, *hints)


__all__ = ["inspect_host"]
