"""Decisions to files: a new generation if anything differs, then the switch, then custom paths and tidying."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from secretsmith.activation.folders import failed
from secretsmith.activation.generations import Generations, Reader
from secretsmith.activation.phase import Standing
from secretsmith.activation.places.placed import Placed
from secretsmith.activation.plan import Decision
from secretsmith.activation.report import Problem, Report
from secretsmith.activation.state import HostState, Installed, Moment, Record, save_state
from secretsmith.activation.target import Target
from secretsmith.activation.units.changes import UnitChanges
from secretsmith.errors import SecretsmithError
from secretsmith.record import record, replace

Save = Callable[[Placed], SecretsmithError | None]
"""Writes the record of custom paths that outlives a reboot; returns what went wrong."""


@record
class Work:
    """What an installation needs to know besides the decisions."""

    standing: Standing
    target: Target
    now: Moment
    remember: Save


def install(work: Work, decisions: Sequence[Decision], problems: Sequence[Problem]) -> Report:
    """Write what was decided and make it live.

    Raises:
        SecretsmithError: TARGET, NO_TMPFS, NOSPC, IO …; up to the switch the old generation is live and complete.
    """
    try:
        with work.target.ready() as folder:
            return _install(work, Generations(folder), decisions, problems)
    except OSError as error:
        live = work.target.live
        hint = "no generation is live yet" if live is None else f"generation {live} stays live"
        raise failed(error, work.standing.manifest.generations).with_hints(hint) from None


def _install(
    work: Work, generations: Generations, decisions: Sequence[Decision], problems: Sequence[Problem]
) -> Report:
    standing, live = work.standing, work.target.live
    work.target.link.remove_leftover()
    generations.remove_leftovers(live)
    files = [decision.file for decision in decisions if decision.file is not None]
    present = Reader(generations.fd, live).names() if live is not None else set()
    removed = tuple(sorted(present - {file.name for file in files}))
    number = live
    try:
        _announce(work, generations)
        refused = standing.places.prepare(
            (item.entry, item.file)
            for item in decisions
            if item.entry.path is not None and item.file is not None
        )
        changed = [item for item in decisions if item.file is not None and not item.same]
        stamps = _kept(work, decisions)
        if live is None or stamps is None or live not in generations.numbers() or removed or changed:
            number = generations.next_number(live)
            stamps = generations.write(number, files)
        assert number is not None  # noqa: S101  # for the type checker: a first run always writes
        units = standing.state.pending | UnitChanges.of(item.entry for item in changed)
        # Before the switch: whatever is killed from here on, the next run knows the live values, every path that we
        # made, and the units that have not heard of it yet.
        record = _record(work, decisions, stamps)
        unsaved = work.remember(standing.places.intended())
        known = HostState({**standing.state.records, number: record}, standing.places.intended(), units)
        save_state(generations.fd, known)
        if number != live:
            work.target.switch(number)
    except BaseException:
        standing.places.discard()
        if number is not None and number != live and work.target.live == live:
            with contextlib.suppress(OSError):
                generations.remove(number)
        raise
    found = [*problems, *([Problem(unsaved)] if unsaved else [])]
    report = Report(
        standing.manifest,
        standing.phase,
        number,
        decisions,
        removed,
        tuple(found),
        standing.notes,
        units=units,
    )
    return _finish(work, generations, report, known, refused)


def _announce(work: Work, generations: Generations) -> None:
    """Record where copies will be written, before they are: half a copy must not outlive a kill unknown."""
    standing = work.standing
    announced = standing.places.announced()
    work.remember(announced)  # also what only state.json knew: that is gone at the next boot
    if announced != standing.state.placed:
        save_state(generations.fd, replace(standing.state, placed=announced))


def _finish(
    work: Work,
    generations: Generations,
    report: Report,
    known: HostState,
    refused: Mapping[str, SecretsmithError],
) -> Report:
    number, places = report.generation or 0, work.standing.places
    report = with_failures(report, {**refused, **places.commit()})
    remarks = (f"an old path stays: {error.message}" for error in places.stuck.values())
    report = replace(report, notes=(*report.notes, *remarks))
    stay = _pruned(work, generations, number, known)
    folder = work.standing.manifest.generations
    busy = (
        f"an old generation stays: something is mounted below {folder}/{old}"
        for old in sorted(generations.busy)
    )
    report = replace(report, notes=(*report.notes, *busy))
    left = places.left()
    unsaved = work.remember(left)
    if unsaved is not None and unsaved.message not in {each.error.message for each in report.problems}:
        report = replace(report, problems=(*report.problems, Problem(unsaved)))
    # With a problem the record stays incomplete, so that the same input is tried again.
    complete = not report.problems and not places.stuck and not generations.busy
    # Not looked at again: since the switch, who owns a file can have changed it.
    record = replace(known.records[number], complete=complete)
    save_state(
        generations.fd,
        HostState({**known.records, number: record}, left, known.pending).keeping(stay),
    )
    return report


def _pruned(work: Work, generations: Generations, live: int, known: HostState) -> list[int]:
    """Remove generations beyond those to keep, and any whose files somebody opened up or gave away; return what stays.

    Out of those that stay go the secrets that are no more.
    """
    stay = generations.prune(live, work.standing.manifest.keep)
    names = generations.read(live).names()
    for number in [number for number in stay if number != live]:
        reader, record = generations.read(number), known.records.get(number)
        stamps = {name: reader.stamp(name) for name in reader.names()}
        recorded = {name: file.stamp for name, file in record.files.items()} if record is not None else {}
        # The last numbers of a stamp: owner, group and mode. Old bytes must not stay readable under an old name.
        given = any(
            stamp is None or stamp[-3:] != recorded.get(name, [])[-3:] for name, stamp in stamps.items()
        )
        if given and number not in generations.busy and generations.remove(number):
            stay.remove(number)
        else:
            # A secret that was taken away is gone now, not one generation later.
            for name in stamps.keys() - names:
                generations.remove_file(number, name)
    return stay


def _kept(work: Work, decisions: Iterable[Decision]) -> dict[str, list[int]] | None:
    """Return the recorded stamps of the live files, None if one is not as it was written and has to be written anew.

    Who touched it may still have it mapped, and change it later without a trace.
    """
    past, stamps = work.standing.past, {}
    for item in decisions:
        name = item.entry.name
        found = past.installed(name) if past is not None else None
        if item.file is not None and item.same:
            if past is None or found is None or (item.ours and not past.is_untouched(name)):
                return None
            stamps[name] = found.stamp
    return stamps


def with_failures(report: Report, failures: Mapping[str, SecretsmithError]) -> Report:
    """Return the report with what went wrong, by entry, after its values were in place."""
    decisions, problems = list(report.decisions), list(report.problems)
    for place, decision in enumerate(decisions):
        error = failures.get(decision.entry.name)
        if error is not None:
            problems.append(Problem(error, decision.entry.name, decision.entry.required))
            decisions[place] = replace(decision, failure=decision.failure or error)
    return replace(report, decisions=tuple(decisions), problems=tuple(problems))


def _record(work: Work, decisions: Iterable[Decision], stamps: Mapping[str, list[int]]) -> Record:
    past = work.standing.past
    files = {}
    for decision in decisions:
        if decision.file is None:
            continue
        name = decision.entry.name
        before = past.installed(name) if past is not None and decision.same else None
        files[name] = Installed(
            decision.subject.id,
            decision.subject.key,
            decision.stale_since,
            before.written if before is not None else work.now,
            stamps[name],
            decision.ours,
        )
    return Record(work.standing.inputs, complete=False, files=files)


__all__ = ["Save", "Work", "install", "with_failures"]
