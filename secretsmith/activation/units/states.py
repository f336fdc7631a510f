"""What ``systemctl show`` says of units, as data; and from it, which calls bring a change to them. Nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from secretsmith.activation.units.changes import UnitChanges
from secretsmith.record import record

# of UnitState
SHOWN = "Id,LoadState,ActiveState,Result,InactiveExitTimestampMonotonic,Job,WantedBy,RequiredBy"
# Ours: restarting activation from within would kill it, and stopping a target stops what requires it.
_OWN = re.compile(
    r"secretsmith-((activate|mount|users)\.service|retry\.timer|identity\.path|secret@.*\.target)\Z"
)
# systemctl show gives up at the first name that can be no unit's, and says nothing of those after it.
_NO_UNIT = re.compile(r"@|[^@]*@\.")
_RUNNING = frozenset({"active", "reloading", "refreshing", "activating"})
_FAILED = "failed"


@record
class UnitState:
    """One unit as systemd sees it. ``name`` is what was asked for, ``id`` the unit behind it, an alias or not.

    ``has_run``: since the machine started, if only for a moment. ``has_job``: systemd is about to do something with it.
    """

    name: str
    id: str
    load: str
    active: str
    result: str = ""
    has_run: bool = False
    has_job: bool = False
    wanted_by: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """The state in a word or two: ``failed (exit-code)``."""
        return f"{self.active} ({self.result})" if self.result not in ("", "success") else self.active


@record
class Plan:
    """What is to be done: names for one ``restart`` and one ``reload-or-restart``; those ``starting`` are among the first.

    ``refused`` says of a unit why it cannot be told.
    """

    restart: tuple[str, ...]
    reload: tuple[str, ...]
    starting: tuple[str, ...]
    failed: tuple[str, ...]
    idle: tuple[str, ...]
    refused: Mapping[str, str]


def own_units(names: Iterable[str]) -> tuple[str, ...]:
    """Return which of ``names`` are units of activation itself."""
    return tuple(sorted(name for name in names if _OWN.match(name)))


def impossible_names(names: Iterable[str]) -> dict[str, str]:
    """Return which of ``names`` no unit can have, each with the reason; a manifest's pattern lets these through."""
    why = "is a template, not a unit: name an instance of it (NAME@INSTANCE.service)"
    return {name: why for name in sorted(names) if _NO_UNIT.match(name)}


def read_properties(text: str) -> list[dict[str, list[str]]]:
    """Read the output of ``systemctl show``: one block a unit, a line ``Name=value`` a property, some of them repeated."""
    blocks: list[dict[str, list[str]]] = []
    for block in text.split("\n\n"):
        found: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, equals, value = line.partition("=")
            if equals:
                found.setdefault(name, []).append(value)
        if found:
            blocks.append(found)
    return blocks


def first(block: Mapping[str, Sequence[str]], name: str) -> str:
    """Return a property, empty if systemd left it out because it does not fit the kind of unit."""
    return block.get(name, [""])[0]


def read_states(text: str, names: Sequence[str]) -> list[UnitState] | None:
    """Read what ``systemctl show --property=SHOWN -- NAMES`` printed; None if it is not one block for each name."""
    blocks = read_properties(text)
    if len(blocks) != len(names):
        return None
    return [_state(name, block) for name, block in zip(names, blocks, strict=True)]


def _state(name: str, block: Mapping[str, Sequence[str]]) -> UnitState:
    return UnitState(
        name=name,
        id=first(block, "Id") or name,
        load=first(block, "LoadState"),
        active=first(block, "ActiveState"),
        result=first(block, "Result"),
        has_run=first(block, "InactiveExitTimestampMonotonic") not in ("", "0"),
        has_job=first(block, "Job") not in ("", "0"),
        wanted_by=(*first(block, "WantedBy").split(), *first(block, "RequiredBy").split()),
    )


def wanting(states: Iterable[UnitState]) -> tuple[str, ...]:
    """Return what wants those units that could not start so far; how it is decides whether they should run."""
    return tuple(sorted({who for state in states if _could_not_start(state) for who in state.wanted_by}))


def _could_not_start(state: UnitState) -> bool:
    # What a failed dependency kept from starting (the secret was missing) is inactive, not failed. What has a job, at boot
    # for instance, will start without us and read the new value then.
    never_ran = state.active == "inactive" and not state.has_run
    return state.load == "loaded" and never_ran and not state.has_job


def make_plan(changes: UnitChanges, states: Iterable[UnitState], wants: Iterable[UnitState]) -> Plan:
    """Decide what each unit is told. ``wants`` are the states of :func:`wanting`; aliases of one unit count once."""
    live = {state.name for state in wants if state.active == "active" or state.has_job}
    restart: dict[str, str] = {}
    reload: dict[str, str] = {}
    starting, failed, idle = [], [], []
    refused: dict[str, str] = {}
    # Those to restart first: a unit in both lists is restarted only, under whichever of its names.
    for state in sorted(states, key=lambda item: (item.name not in changes.restart, item.name)):
        if state.id in restart or state.id in reload:
            continue
        if state.load != "loaded":
            refused[state.name] = _why_not(state.load)
        elif state.active == _FAILED or state.active in _RUNNING:
            # A unit that is just starting cannot be reloaded: systemd refuses that.
            keep = state.active in ("activating", _FAILED) or state.name in changes.restart
            (restart if keep else reload)[state.id] = state.name
            failed += [state.name] if state.active == _FAILED else []
        elif _could_not_start(state) and not live.isdisjoint(state.wanted_by):
            restart[state.id] = state.name
            starting.append(state.name)
        else:
            idle.append(state.name)
    return Plan(
        tuple(restart.values()), tuple(reload.values()), tuple(starting), tuple(failed), tuple(idle), refused
    )


def _why_not(load: str) -> str:
    return {
        "not-found": "is not known to systemd",
        "masked": "is masked, so it cannot be told of its changed secret",
        "error": "could not be loaded by systemd",
        "bad-setting": "has a setting that systemd refuses",
    }.get(load, "could not be loaded by systemd")


__all__ = [
    "SHOWN",
    "Plan",
    "UnitState",
    "first",
    "impossible_names",
    "make_plan",
    "own_units",
    "read_properties",
    "read_states",
    "wanting",
]
