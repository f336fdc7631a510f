"""Decisions to files: a new generation if anything differs, then the switch, then custom links and tidying."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from secretsmith.activation.accounts import Caller
from secretsmith.activation.folders import failed
from secretsmith.activation.generations import Generations, Reader
from secretsmith.activation.links import place_link, remove_links
from secretsmith.activation.plan import Decision
from secretsmith.activation.report import Problem, Report
from secretsmith.activation.state import HostState, Installed, Moment, Record, save_state
from secretsmith.activation.status import write_status
from secretsmith.activation.target import Target
from secretsmith.errors import SecretsmithError
from secretsmith.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Work:
    """What an installation needs to know besides the decisions. ``state`` is what earlier runs recorded."""

    manifest: Manifest
    caller: Caller
    target: Target
    state: HostState
    inputs: str
    status: str | None
    now: Moment


def install(
    work: Work, decisions: Sequence[Decision], problems: Sequence[Problem], notes: tuple[str, ...]
) -> Report:
    """Write what was decided and make it live.

    Raises:
        SecretsmithError: TARGET, NO_TMPFS, NOSPC, IO …; up to the switch the old generation is live and complete.
    """
    try:
        with work.target.ready() as folder:
            return _install(work, Generations(folder), decisions, problems, notes)
    except OSError as error:
        live = work.target.live
        hint = "no generation is live yet" if live is None else f"generation {live} stays live"
        raise failed(error, work.manifest.generations).with_hints(hint) from None


def _install(
    work: Work,
    generations: Generations,
    decisions: Sequence[Decision],
    problems: Sequence[Problem],
    notes: tuple[str, ...],
) -> Report:
    live = work.target.live
    work.target.link.remove_leftover()
    generations.remove_leftovers(live)
    names = {decision.secret.name for decision in decisions if decision.file is not None}
    present = Reader(generations.fd, live).names() if live is not None else set()
    removed = tuple(sorted(present - names))
    number = live
    if (
        live is None
        or live not in generations.numbers()
        or removed
        or not all(d.same for d in decisions if d.file)
    ):
        number = generations.next_number(live)
        generations.write(number, [d.file for d in decisions if d.file])
    assert number is not None  # noqa: S101  # for the type checker: a first run always writes
    wanted = _wanted_links(work.manifest, decisions)
    # Before the switch: whatever is killed from here on, the next run knows the live values and every link we made.
    record = _record(work.inputs, decisions, generations.read(number), complete=False)
    known = HostState(
        {**work.state.records, number: record},
        {**work.state.links, **wanted},
    )
    try:
        save_state(generations.fd, known)
        if number != live:
            work.target.switch(number)
    except OSError:
        if number != live:
            with contextlib.suppress(OSError):
                generations.remove(number)
        raise
    return _finish(
        work,
        generations,
        Report(work.manifest.host, number, decisions, removed, tuple(problems), notes),
        known,
    )


def _finish(work: Work, generations: Generations, report: Report, known: HostState) -> Report:
    number = report.generation or 0
    report = _place_links(work, report)
    wanted = _wanted_links(work.manifest, report.decisions)
    stuck = remove_links(work.state.links, wanted, work.caller)
    remarks = (f"an old link stays: {error.message}" for error in stuck.values())
    report = replace(report, notes=(*report.notes, *remarks))
    stay = generations.prune(number, work.manifest.keep)
    if work.status is not None:
        try:
            write_status(work.status, work.manifest, report, work.caller, work.now)
        except SecretsmithError as error:
            report = replace(report, problems=(*report.problems, Problem(error)))
    # With a problem the record stays incomplete, so that the same input is tried again.
    complete = not report.problems and not stuck
    record = _record(work.inputs, report.decisions, generations.read(number), complete=complete)
    links = {**wanted, **{path: work.state.links[path] for path in stuck}}
    save_state(generations.fd, HostState({**known.records, number: record}, links).keeping(stay))
    return report


def _place_links(work: Work, report: Report) -> Report:
    decisions, problems = list(report.decisions), list(report.problems)
    for place, decision in enumerate(decisions):
        secret, file = decision.secret, decision.file
        if secret.path is None or file is None:
            continue
        try:
            text = work.manifest.place_of(secret)
            place_link(work.manifest, secret.path, text, file.ownership, work.caller)
        except SecretsmithError as error:
            problems.append(Problem(error, secret.name, secret.required))
            decisions[place] = replace(decision, failure=decision.failure or error)
    return replace(report, decisions=tuple(decisions), problems=tuple(problems))


def _wanted_links(manifest: Manifest, decisions: Iterable[Decision]) -> dict[str, str]:
    return {
        decision.secret.path: manifest.place_of(decision.secret)
        for decision in decisions
        if decision.secret.path is not None and decision.file is not None
    }


def _record(inputs: str, decisions: Iterable[Decision], reader: Reader, *, complete: bool) -> Record:
    files = {
        decision.secret.name: Installed(
            decision.secret.id,
            decision.secret.key,
            decision.stale_since,
            reader.stamp(decision.secret.name) or [],
        )
        for decision in decisions
        if decision.file is not None
    }
    return Record(inputs, complete, files)


__all__ = ["Work", "install"]
