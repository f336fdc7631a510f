"""Telling units of changed secrets: one batch for a whole run. Beside it only units.sealing starts a program."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from secretsmith.activation.units.changes import UnitChanges
from secretsmith.activation.units.facts import FACTS, UnitFacts, read_facts
from secretsmith.activation.units.lists import append_lists
from secretsmith.activation.units.options import SEARCHED, Notify, UnitOptions, UnitResult, unit_options
from secretsmith.activation.units.states import (
    SHOWN,
    Plan,
    UnitState,
    first,
    impossible_names,
    make_plan,
    own_units,
    read_properties,
    read_states,
    wanting,
)
from secretsmith.errors import Code, SecretsmithError

_SEARCHED = SEARCHED
_BOOTED = "/run/systemd/system"  # sd_booted(3)
_BATCH = 1000  # names in one call: far below what a command line may hold (2 MiB)
_ASKING, _WAITING = (
    20.0,
    90.0,
)  # seconds for a call that only asks or queues, and for one that waits for units
_UP = frozenset({"running", "degraded", "maintenance"})


def notify_units(changes: UnitChanges, options: UnitOptions, *, dry_run: bool = False) -> UnitResult:
    """Restart and reload the units of ``changes``, all in one batch; a dry run only asks how they are.

    Never raises: the secrets are in place already, and what went wrong here is in the result.
    """
    if not changes or options.how is Notify.NONE:
        return UnitResult()
    own = own_units(changes.restart | changes.reload)
    notes = tuple(f"{name} is a unit of secretsmith itself, which a secret cannot restart" for name in own)
    changes = UnitChanges(changes.restart.difference(own), changes.reload.difference(own, changes.restart))
    if options.how is Notify.NIXOS:
        return _listed(changes, notes, dry_run=dry_run)
    if not systemd_runs(options):
        names = ", ".join(sorted(changes.restart | changes.reload))
        return UnitResult(
            notes=(*notes, f"systemd does not run here, so nothing was told of a change: {names}")
        )
    try:
        return _told(changes, options, notes, dry_run=dry_run)
    except SecretsmithError as error:
        return UnitResult(problems=(error,), notes=notes, untold=changes)


def systemd_runs(options: UnitOptions) -> bool:
    """Whether there is a systemd to talk to: the machine's, or with ``options.user`` the user's."""
    runtime = options.environment.get("XDG_RUNTIME_DIR", "")
    return _is_folder(_BOOTED) and (not options.user or _is_folder(f"{runtime}/systemd"))


def unit_facts(patterns: Iterable[str], options: UnitOptions) -> list[UnitFacts]:
    """Ask systemd for facts of units, by name or pattern (``*.service``: those that are loaded). Empty without systemd.

    Raises:
        SecretsmithError: UNITS, systemd does not answer.
    """
    if not systemd_runs(options):
        return []
    found = []
    for batch in _batches([name for name in patterns if not impossible_names([name])]):
        asked = _ask(options, "show", f"--property={FACTS}", "--", *batch)
        found += read_facts(asked)
    return found


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _listed(changes: UnitChanges, notes: tuple[str, ...], *, dry_run: bool) -> UnitResult:
    try:
        append_lists(changes, dry_run=dry_run)
    except SecretsmithError as error:
        return UnitResult(problems=(error,), notes=notes, untold=changes)
    said = [
        f"left to switch-to-configuration to {verb}: {', '.join(sorted(names))}"
        for verb, names in (("restart", changes.restart), ("reload", changes.reload))
        if names
    ]
    return UnitResult(notes=(*notes, *said))


def _told(changes: UnitChanges, options: UnitOptions, notes: tuple[str, ...], *, dry_run: bool) -> UnitResult:
    names = changes.restart | changes.reload
    impossible = impossible_names(names)
    system = _system_state(options)
    if system == "stopping":
        return UnitResult(notes=(*notes, "the machine is shutting down, so no unit was told of a change"))
    states = list(_states(options, sorted(names.difference(impossible))))
    plan = make_plan(changes, states, _states(options, wanting(states)))
    problems = [_problem(name, why) for name, why in sorted({**impossible, **plan.refused}.items())]
    if not dry_run:
        # While the machine starts, what we wait for may itself wait for us.
        problems += _carry_out(plan, options, block=options.block and system in _UP)
    failed = {error.path for error in problems}
    return UnitResult(
        restarted=_without(plan.restart, failed.union(plan.starting)),
        reloaded=_without(plan.reload, failed),
        started=_without(plan.starting, failed),
        idle=plan.idle,
        problems=tuple(type(error)(error.code, error.message, hints=error.hints) for error in problems),
        notes=notes,
    )


def _without(names: Iterable[str], less: Iterable[str | None]) -> tuple[str, ...]:
    left_out = set(less)
    return tuple(name for name in names if name not in left_out)


def _system_state(options: UnitOptions) -> str:
    blocks = read_properties(_ask(options, "show", "--property=SystemState"))
    return first(blocks[0], "SystemState") if blocks else ""


def _states(options: UnitOptions, names: Sequence[str]) -> Iterator[UnitState]:
    for batch in _batches(names):
        states = read_states(_ask(options, "show", f"--property={SHOWN}", "--", *batch), batch)
        if states is None:
            raise _silent("systemctl show did not answer for every unit")
        yield from states


def _carry_out(plan: Plan, options: UnitOptions, *, block: bool) -> list[SecretsmithError]:
    if plan.failed:
        # A unit that failed often for want of its value has used up its starts; this is the new value. If it does not
        # work, the restart says so.
        for batch in _batches(plan.failed):
            _run(options, _ASKING, "reset-failed", "--", *batch)
    problems = []
    for verb, names in (("restart", plan.restart), ("reload-or-restart", plan.reload)):
        for batch in _batches(names):
            problems += _call(options, verb, batch, block=block)
    return problems


def _call(options: UnitOptions, verb: str, names: Sequence[str], *, block: bool) -> list[SecretsmithError]:
    waits = () if block else ("--no-block",)
    seconds = _WAITING if block else _ASKING
    ended = _run(options, seconds, *waits, verb, "--", *names)
    if ended is None:
        text = f"systemctl {verb} did not end within {seconds:g} seconds; systemd goes on with it: {', '.join(names)}"
        return [SecretsmithError(Code.UNITS, text, hints=(_command(options, "list-jobs"),))]
    status, _, complaints = ended
    if status == 0:
        return []
    found = _described(options, names)
    # Of what it says only names are used: the rest can quote what a unit itself wrote.
    said = {text.strip("\"',:;()").rstrip(".") for text in complaints.split()}
    named = [name for name in names if said.intersection((name, found[name].id))]
    failed = named or [name for name in names if found[name].active == "failed"] or names
    done = {"restart": "restarted"}.get(verb, "reloaded")
    return [
        _problem(
            name,
            f"could not be {done}: it is {found[name].described}",
            _command(options, "status", "--no-pager", name),
        )
        for name in failed
    ]


def _described(options: UnitOptions, names: Sequence[str]) -> dict[str, UnitState]:
    try:
        return {state.name: state for state in _states(options, names)}
    except SecretsmithError:
        return {name: UnitState(name, name, "", "in a state that systemd does not tell") for name in names}


def _problem(name: str, why: str, *hints: str) -> SecretsmithError:
    return SecretsmithError(Code.UNITS, f"the unit {name} {why}", hints=hints, path=name)


def _silent(why: str) -> SecretsmithError:
    return SecretsmithError(Code.UNITS, f"{why}; units were not told of a change")


def _command(options: UnitOptions, *words: str) -> str:
    return " ".join(("systemctl", *(("--user",) if options.user else ()), *words))


def _ask(options: UnitOptions, *arguments: str) -> str:
    ended = _run(options, _ASKING, *arguments)
    if ended is None:
        raise _silent(f"systemctl {arguments[0]} did not end within {_ASKING:g} seconds")
    status, output, _ = ended
    if status != 0:
        raise _silent(f"systemctl {arguments[0]} ended with status {status}")
    return output


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[at : at + _BATCH] for at in range(0, len(names), _BATCH))


def _run(options: UnitOptions, seconds: float, *arguments: str) -> tuple[int, str, str] | None:
    """Run systemctl; return its status and what it wrote, or None if it was not done in time."""
    import subprocess  # only when there is somebody to tell

    program = next((path for path in _candidates() if os.access(path, os.X_OK)), None)
    if program is None:
        raise _silent(f"no systemctl in {':'.join(_SEARCHED)}")
    fixed = {"PATH": ":".join(_SEARCHED), "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    scope = ("--user",) if options.user else ()
    try:
        ended = subprocess.run(
            [program, *scope, "--no-ask-password", "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**fixed, **options.environment},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        raise _silent(f"{program}: {(error.strerror or 'cannot be started').lower()}") from None
    return (
        ended.returncode,
        ended.stdout.decode("utf-8", "backslashreplace"),
        ended.stderr.decode("utf-8", "backslashreplace"),
    )


def _candidates() -> Iterator[str]:
    return (f"{folder}/systemctl" for folder in _SEARCHED)


__all__ = [
    "Notify",
    "UnitChanges",
    "UnitFacts",
    "UnitOptions",
    "UnitResult",
    "notify_units",
    "systemd_runs",
    "unit_facts",
    "unit_options",
]
