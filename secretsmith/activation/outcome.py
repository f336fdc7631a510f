"""What a whole run did: all its phases, the units that were told, and what stopped a phase; printing is the door's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from secretsmith.activation.accounts import group_name, user_name
from secretsmith.activation.generations import InstalledFile
from secretsmith.activation.report import Report
from secretsmith.activation.units.options import UnitResult
from secretsmith.errors import ExitCode, SecretsmithError
from secretsmith.manifest import ManifestEntry, Scope
from secretsmith.record import field, record

_ORDER = (ExitCode.CANNOT_DECRYPT, ExitCode.INTEGRITY, ExitCode.NOT_FOUND, ExitCode.ERROR)

_REFUSED = ("occupied", "unsafe")  # what activation will not do at a custom path


@record
class Outcome:
    """The reports of the phases that came to an end, and the errors of those that did not.

    ``remarks`` are about the run as a whole; ``places`` what a dry run would do at custom paths.
    """

    reports: Sequence[Report]
    units: UnitResult = field(default_factory=UnitResult)
    stopped: Sequence[SecretsmithError] = ()
    failures: Sequence[SecretsmithError] = ()
    remarks: Sequence[str] = ()
    places: Sequence[tuple[str, str]] = ()
    preview: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The code of what stopped a phase; else 5 before 6 before 4 before 1; 0 if all went well."""
        if self.stopped:
            return self.stopped[0].exit_code
        codes = {report.exit_code for report in self.reports}
        refused = any(what.startswith(_REFUSED) for _, what in self.places)
        if self.units.problems or self.failures or refused:
            codes.add(ExitCode.ERROR)
        return next((code for code in _ORDER if code in codes), ExitCode.OK)

    def lines(self) -> Iterator[str]:
        """Say what was done: one line a phase, then what a dry run would do, then the units."""
        for report in self.reports:
            yield report.summary()
            if self.preview:
                yield from _preview(report)
            if report.sealed:
                encrypt = "would encrypt" if self.preview else "encrypted"
                yield f"{encrypt} for the disk: {', '.join(report.sealed)}"
            if report.unsealed:
                yield f"removed from the disk: {', '.join(report.unsealed)}"
        yield from (f"  {what} {path}" for path, what in self.places)
        would = "would " if self.preview else ""
        for verb, past, units in (
            ("restart", "restarted", self.units.restarted),
            ("start", "started", self.units.started),
            ("reload", "reloaded", self.units.reloaded),
        ):
            if units:
                yield f"{would}{verb if self.preview else past} {', '.join(units)}"

    def notes(self) -> Iterator[str]:
        """Say what is worth a line but no failure."""
        yield from self.remarks
        for report in self.reports:
            yield from report.remarks()
        yield from self.units.notes

    def errors(self) -> Iterator[SecretsmithError]:
        """Give what went wrong."""
        yield from self.stopped
        for report in self.reports:
            yield from report.errors()
        yield from self.units.problems
        yield from self.failures


def _preview(report: Report) -> Iterator[str]:
    for decision in report.decisions:
        if decision.file is None:
            yield f"  {decision.state} {decision.entry.name}"
        elif not decision.same:
            word = "changed" if decision.known else "new"
            yield f"  {word} {decision.entry.name} {_owner(report, decision.entry, decision.file)}"
    for name in report.removed:
        yield f"  removed {name}"


def _owner(report: Report, entry: ManifestEntry, file: InstalledFile) -> str:
    owner, group = entry.owner, entry.group
    if report.manifest.scope is Scope.USER:  # whatever the entry says, all files are the user's
        owner, group = user_name(file.ownership.uid), group_name(file.ownership.gid)
    return f"{owner}:{group} {file.mode:04o}"


__all__ = ["Outcome"]
