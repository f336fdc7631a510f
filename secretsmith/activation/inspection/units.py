"""Units that run with a value that is no longer the one on the host, or have not been told yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shlex import quote

from secretsmith.activation.inspection.entries import Looked
from secretsmith.activation.inspection.facts import activation, finding, finding_of, listed
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.activation.units.telling import UnitOptions
from secretsmith.errors import Code, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import is_below

AskUnits = Callable[[Iterable[str], UnitOptions], list[UnitFacts]]


def unit_findings(phases: Sequence[Looked], options: UnitOptions, ask: AskUnits) -> Iterator[Finding]:
    """Compare when units started with when the files that they read were written.

    Those of a secret's ``restart_units``, and services that name one of our files in LoadCredential= or EnvironmentFile=.
    A reload leaves no trace of its own, so ``reload_units`` cannot be told.
    """
    for one in phases:
        pending = one.item.standing.state.pending
        if pending:
            names = listed(sorted(pending.restart | pending.reload))
            text = f"secrets changed, and these units were not told of it yet: {names}"
            yield finding(Code.UNITS, "warning", "", text, activation(one.source))
    declared = {unit for one in phases for entry in one.manifest.entries() for unit in entry.restart_units}
    try:
        units = ask([*sorted(declared), "*.service"], options)
    except SecretsmithError as error:
        yield finding_of(error, "warning")
        return
    for unit in {unit.name: unit for unit in units}.values():
        concerned = unit.is_called(declared) or unit.credentials or unit.environment_files
        if concerned and unit.is_running and (late := sorted(_late(phases, unit))):
            text = f"the unit {unit.name} started before this was written, and still has what was there before: {listed(late)}"
            command = f"systemctl {'--user ' if options.user else ''}restart {quote(unit.name)}"
            yield finding(Code.UNITS, "warning", "", text, command)


def _late(phases: Sequence[Looked], unit: UnitFacts) -> Iterator[str]:
    read = (*unit.credentials, *unit.environment_files)
    for one in phases:
        for entry in one.manifest.entries():
            written = one.live.of(entry.name).written
            if written is None or unit.started is None or unit.started >= written.up:
                continue
            places = [place for place in (entry.path, one.manifest.place_of(entry)) if place is not None]
            # LoadCredential= also takes a folder with all that is in it.
            uses = any(is_below(place, path) for place in places for path in read)
            if unit.is_called(entry.restart_units) or uses:
                yield entry.name


def unknown_units(
    declared: Mapping[str, Sequence[str]], units: Iterable[UnitFacts], *, user: bool
) -> Iterator[Finding]:
    """Say which of the units that secrets name (unit → secrets) systemd does not know."""
    known = [unit for unit in units if unit.load not in ("not-found", "")]
    names = {name for unit in known for name in (unit.name, *unit.aliases)}
    for name in sorted(declared.keys() - names):
        text = (
            f"systemd does not know the unit {name}, which is to hear of changes of {listed(declared[name])}"
        )
        command = f"systemctl {'--user ' if user else ''}status {quote(name)}"
        yield finding(Code.UNITS, "warning", "", text, command)


__all__ = ["AskUnits", "unit_findings", "unknown_units"]
