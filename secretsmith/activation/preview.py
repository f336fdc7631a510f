"""What an activation would do: everything is read and decrypted in memory, nothing is written or mounted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from secretsmith.activation.accounts import Accounts
from secretsmith.activation.decide import decide
from secretsmith.activation.engine import Options, Run, begin, credstore, judge, phases, remarks, remembered
from secretsmith.activation.folders import failed
from secretsmith.activation.outcome import Outcome
from secretsmith.activation.phase import Standing, look
from secretsmith.activation.report import Report
from secretsmith.activation.state import Moment
from secretsmith.activation.target import viewed_target
from secretsmith.activation.units.changes import NO_CHANGES, UnitChanges
from secretsmith.activation.units.telling import notify_units
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Phase
from secretsmith.record import record, replace


@record(slots=False)
class Preview:
    """One phase as it is and as it would be. ``places``: what would be done at custom paths, (path, what)."""

    standing: Standing
    report: Report
    places: tuple[tuple[str, str], ...]

    @property
    def is_current(self) -> bool:
        """Whether the live generation was made from this very manifest, these sources, keys and owners."""
        past = self.standing.past
        return past is not None and past.record is not None and past.record.inputs == self.standing.inputs


def preview(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
) -> tuple[Run, list[Preview]]:
    """Look at every phase of the manifest ``data``; a phase that cannot be done is in the run's ``stopped``.

    Raises:
        SecretsmithError: the manifest is refused.
    """
    run = begin(data, options, accounts=accounts, clock=clock, shield=shield)
    found = []
    for phase in phases(run):
        try:
            found.append(_preview(run, phase))
        except SecretsmithError as error:
            run.stopped.append(error)
        except OSError as error:
            run.stopped.append(failed(error, run.manifest.for_phase(phase).generations))
    return run, found


def dry_run(
    data: bytes,
    options: Options,
    *,
    accounts: Accounts | None = None,
    clock: Callable[[], Moment] = Moment.now,
    shield: Callable[[], None] = lambda: None,
) -> Outcome:
    """Say what :func:`activate` would do with the same arguments. Raises as it does."""
    run, found = preview(data, options, accounts=accounts, clock=clock, shield=shield)
    if not found and len(run.stopped) == 1:
        raise run.stopped[0]
    changes = NO_CHANGES
    for item in found:
        changes |= item.report.units
    return Outcome(
        [item.report for item in found],
        units=notify_units(changes, run.options.units, dry_run=True),
        stopped=run.stopped,
        remarks=tuple(remarks(run)),
        places=[(_explained(item, path), what) for item in found for path, what in item.places],
        preview=True,
    )


def _explained(item: Preview, path: str) -> str:
    why = item.standing.places.unsafe.get(path)
    return path if why is None else f"{path}: {why.message.removeprefix(f'{path} ')}"


def _preview(run: Run, phase: Phase) -> Preview:
    options, common = run.options, run.common
    view = run.manifest.for_phase(phase)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(viewed_target(view, options.memory, common.caller, options.wait))
        folder = None if target is None else stack.enter_context(target.existing())
        run.on_disk |= target is not None and not target.is_memory
        standing = look(common, phase, target, folder, *remembered(run, phase))
        now = common.clock()
        decisions, problems = decide(view, common.values, standing.owners, judge(common, standing, now))
        names = {decision.file.name for decision in decisions if decision.file is not None}
        present = standing.past.reader.names() if standing.past is not None else set()
        changed = [item.entry for item in decisions if item.file is not None and not item.same]
        files = [
            (item.entry, item.file)
            for item in decisions
            if item.entry.path is not None and item.file is not None
        ]
        store = credstore(run)
        due = () if store is None else store.due(decisions, common.sources.digests())
        report = Report(
            view,
            phase,
            standing.live,
            decisions,
            tuple(sorted(present - names)),
            tuple(problems),
            standing.notes,
            units=standing.state.pending | UnitChanges.of(changed),
            sealed=due,
            preview=True,
        )
        if not report.removed and not changed and not due and standing.live is not None and not problems:
            report = replace(report, nothing_done=standing.is_installed, unchanged=len(decisions))
        return Preview(standing, report, tuple(standing.places.forecast(files)))


__all__ = ["Preview", "dry_run", "preview"]
