"""What is off about the secrets of one phase: changed by hand, failing, not activated yet, lying on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from secretsmith.activation.accounts import group_name, user_name
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.inspection.entries import Looked, date
from secretsmith.activation.inspection.facts import activation, finding, finding_of, listed
from secretsmith.activation.plan import Decision, State
from secretsmith.activation.report import Problem
from secretsmith.errors import Code
from secretsmith.findings import Finding, Severity
from secretsmith.manifest import Phase


def entry_findings(looked: Looked) -> Iterator[Finding]:
    """Say what is off: files that were changed by hand, secrets that fail, and what is not activated yet."""
    yield from _drift(looked)
    decisions = {decision.entry.name: decision for decision in looked.item.report.decisions}
    for problem in looked.item.report.problems:
        yield _problem(looked, problem, decisions.get(problem.name or ""))
    yield from _left_out(looked)
    yield from _pending(looked)
    yield from _on_disk(looked)


def _drift(looked: Looked) -> Iterator[Finding]:
    if looked.live.number is None or looked.live.gone:
        return
    for decision in looked.item.report.decisions:
        name, wanted = decision.entry.name, decision.file
        live, path = looked.live.of(name), f"{looked.manifest.directory}/{name}"
        command = activation(looked.source)
        if wanted is None or decision.state is State.STALE:
            # Its source cannot be opened, so that only the outside tells.
            if live.was_touched:
                text = "was changed since it was installed, and its source cannot be opened to compare it"
                yield finding(Code.CHANGED, "error", path, text, command)
        elif not decision.same and (looked.item.is_current or live.was_touched):
            text = f"was changed since it was installed: {', '.join(_differences(live.file, wanted))}"
            # What mmap(2) writes leaves no trace in a tmpfs, and then activation would believe that nothing changed.
            unseen = not live.was_touched and live.file is not None
            yield finding(
                Code.CHANGED, "error", path, text, f"touch {quote(path)}; {command}" if unseen else command
            )
    for place, why in looked.live.writable:
        text = f"others could exchange secrets in this folder ({why})"
        folder = f"{looked.manifest.generations}/{looked.live.number}{place}"
        yield finding(
            Code.CHANGED, "error", folder, text, f"chown root {quote(folder)}; chmod 751 {quote(folder)}"
        )
    for name in looked.live.foreign:
        place = f"{looked.manifest.directory}/{name}"
        text = "is in the live generation, and activation did not put it there"
        yield finding(Code.UNDECLARED, "warning", place, text, f"look at it, then: rm {quote(place)}")


def _differences(live: InstalledFile | None, wanted: InstalledFile) -> list[str]:
    if live is None:
        return ["it is missing, or no regular file"]
    found = []
    if live.content != wanted.content:
        found.append("its bytes are not those of its source")
    if live.ownership != wanted.ownership:
        mine, right = live.ownership, wanted.ownership
        found.append(
            f"it belongs to {user_name(mine.uid)}:{group_name(mine.gid)},"
            f" not {user_name(right.uid)}:{group_name(right.gid)}"
        )
    if live.mode != wanted.mode:
        found.append(f"its mode is {live.mode:04o}, not {wanted.mode:04o}")
    return found


def _problem(looked: Looked, problem: Problem, decision: Decision | None) -> Finding:
    severity: Severity = "error" if problem.required else "info"
    if problem.name is None or decision is None:
        return finding_of(problem.error, severity)
    path = f"{looked.manifest.directory}/{problem.name}"
    since = f" since {date(decision.stale_since.wall)}" if decision.stale_since is not None else ""
    state = f"{decision.state}{since}" if decision.file is None or problem.kept else "not in place"
    return finding_of(problem.error, severity, path=path, message=f"{state}: {problem.error.message}")


def _left_out(looked: Looked) -> Iterator[Finding]:
    """Secrets that the manifest itself says are not for this host: refused without an error."""
    for decision in looked.item.report.decisions:
        if decision.state is State.REFUSED and decision.failure is None:
            path = f"{looked.manifest.directory}/{decision.entry.name}"
            text = "refused: by the manifest this host is none of its readers"
            yield finding(Code.NOT_GRANTED, "error" if decision.entry.required else "info", path, text)


def _pending(looked: Looked) -> Iterator[Finding]:
    item, live = looked.item, looked.live
    source, command = looked.source or "", activation(looked.source)
    phase = "" if item.report.phase is Phase.SERVICES else f"phase {item.report.phase}: "
    names = [
        decision.entry.name
        for decision in item.report.decisions
        if decision.file is not None and not decision.same and not live.of(decision.entry.name).was_touched
    ]
    if live.number is None:
        if names:
            text = f"{phase}nothing is installed yet: {listed(names)}"
            yield finding(Code.PENDING, "error", source, text, command)
    elif live.gone:
        text = (
            "the live link points to a generation that is not there: what programs read through it is missing"
        )
        yield finding(Code.TARGET, "error", looked.manifest.directory, text, command)
    elif not item.is_current:
        removed = sorted(set(item.report.removed) - set(live.foreign))
        text = f"{phase}the manifest, a source, a key or an owner changed since the last activation"
        parts = [
            f"{word} {listed(found)}"
            for word, found in (("new or changed:", names), ("no more:", removed))
            if found
        ]
        if parts:
            yield finding(
                Code.PENDING,
                "warning",
                source,
                f"{text}, and is not activated yet; {'; '.join(parts)}",
                command,
            )
        else:
            yield finding(Code.PENDING, "info", source, f"{text}; no secret differs by it", command)
    elif not _is_complete(looked) and not item.report.problems:
        text = f"{phase}the last activation did not do all it was to do"
        yield finding(Code.PENDING, "warning", source, text, command)


def _is_complete(looked: Looked) -> bool:
    record = looked.item.standing.state.records.get(looked.live.number or 0)
    return record is not None and record.complete


def _on_disk(looked: Looked) -> Iterator[Finding]:
    for entry in looked.manifest.entries():
        path = entry.path or looked.manifest.place_of(entry)
        if entry.plaintext_on_disk and entry.path is not None:
            yield finding(Code.PLAINTEXT, "info", path, "may lie on a disk in clear, as its manifest allows")
        elif entry.phase is Phase.INITRD:
            text = "is for the initial RAM disk, whose image holds it in clear, as its manifest allows"
            yield finding(Code.PLAINTEXT, "info", path, text)


__all__ = ["entry_findings"]
