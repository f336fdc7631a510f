"""The units of activation itself: installed, enabled, for this very manifest, and whether they did their work."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from shlex import quote

from secretsmith.activation.doctor.facts import Fact, Said
from secretsmith.activation.inspection.facts import finding, finding_of
from secretsmith.activation.inspection.units import AskUnits, unknown_units
from secretsmith.activation.opening.sources import read_regular
from secretsmith.activation.units.credentials import CREDSTORE
from secretsmith.activation.units.facts import UnitFacts
from secretsmith.activation.units.files import ACTIVATE, IDENTITY, MOUNT, RETRY, USERS, unit_files
from secretsmith.activation.units.telling import UnitOptions, systemd_runs, unit_facts
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, Phase, Scope, is_below

_LIMIT = 1 << 20
_ENABLED = (ACTIVATE, USERS, IDENTITY)
_NOT_STARTED = ("disabled", "masked", "masked-runtime")
_WRITABLE = "ReadWritePaths="
_MADE = "# Made by secretsmith-activate --write-units"


def own_unit_facts(
    manifest: Manifest, declared: Manifest, source: str, options: UnitOptions, ask: AskUnits = unit_facts
) -> Iterator[Said]:
    """Describe the units of activation for the manifest at ``source``, and those that its secrets name.

    ``declared`` is the manifest as it is written, with $HOME and $XDG_RUNTIME_DIR in it.
    """
    if ask is unit_facts and not systemd_runs(options):
        yield Fact("units", "systemd does not run here")
        text = "systemd does not run here: nothing activates secrets at boot, and no unit hears of a change"
        yield finding(Code.UNITS, "info", "", text)
        return
    named: dict[str, list[str]] = {}
    for entry in manifest.entries():
        for name in (*entry.restart_units, *entry.reload_units):
            named.setdefault(name, []).append(entry.name)
    handed = sorted({text.rpartition(":")[0] for entry in manifest.entries() for text in entry.credentials})
    try:
        asked = [*_wanted(manifest), *sorted(named), *(name for name in handed if name not in named)]
        known = {unit.name: unit for unit in ask(asked, options)}
    except SecretsmithError as error:
        yield finding_of(error, "warning")
        return
    yield from _own(manifest, declared, source, options, known)
    yield from unknown_units(named, known.values(), user=options.user)
    # Of a user's units systemd's own paths, %t, are not worked out here.
    if manifest.scope is Scope.SYSTEM:
        yield from _credentials(manifest, known.values(), _install(manifest, source, options))


def _credentials(manifest: Manifest, known: Iterable[UnitFacts], install: str) -> Iterator[Said]:
    """Look for units that are not handed what the manifest says: their drop-ins were not written, or others undo them."""
    units = [unit for unit in known if unit.load not in ("not-found", "")]
    for view in map(manifest.for_phase, Phase):
        for entry in view.entries():
            for text in entry.credentials:
                name, _, called = text.rpartition(":")
                if "@." in name:  # a template; which instances there are is not known
                    continue
                unit = next((unit for unit in units if unit.is_called([name])), None)
                sealed = manifest.credential_key is not None
                place = f"{CREDSTORE}/{text}" if sealed else view.place_of(entry)
                if unit is None:
                    said = f"systemd does not know the unit {name}, which is to be handed {entry.name}"
                    yield finding(Code.UNITS, "warning", "", said, f"systemctl status {quote(name)}")
                elif place not in unit.credentials:
                    said = f"the unit {name} is not handed {entry.name} as its credential {called}"
                    yield finding(Code.UNITS, "warning", "", said, install)


def _wanted(manifest: Manifest) -> Sequence[str]:
    if manifest.scope is Scope.USER:
        return (ACTIVATE, IDENTITY, RETRY)
    early = (USERS,) if any(entry.phase is Phase.USERS for entry in manifest.entries()) else ()
    return (ACTIVATE, *early, MOUNT, IDENTITY, RETRY)


def _own(
    manifest: Manifest, declared: Manifest, source: str, options: UnitOptions, known: dict[str, UnitFacts]
) -> Iterator[Said]:
    install = _install(manifest, source, options)
    main = known.get(ACTIVATE)
    if main is None or main.load == "not-found":
        yield Fact("units", f"{ACTIVATE} is not installed")
        text = f"the unit {ACTIVATE} is not installed: nothing activates secrets at the next boot"
        yield finding(Code.UNITS, "warning", "", text, install)
        return
    yield from _program(main, install)
    words = _command(_text(main.fragment)) if main.fragment is not None else []
    program = words[0] if words else "/usr/bin/secretsmith-activate"
    for name in _wanted(manifest):
        unit = known.get(name)
        if unit is None or unit.load == "not-found":
            yield finding(Code.UNITS, "warning", "", f"the unit {name} is not installed", install)
            continue
        yield Fact("unit", f"{name}: {unit.active} ({unit.sub}){f', {unit.enabled}' if unit.enabled else ''}")
        yield from _state(unit, options)
        yield from _file(unit, declared, source, program, install)


def _state(unit: UnitFacts, options: UnitOptions) -> Iterator[Said]:
    control = _control(options)
    if unit.load not in ("loaded", ""):
        text = f"the unit {unit.name} cannot be used: {unit.load}"
        yield finding(Code.UNITS, "error", "", text, f"{control} status {unit.name}")
    elif unit.active == "failed":
        text = f"the unit {unit.name} failed ({unit.result})"
        journal = f"journalctl {'--user ' if options.user else ''}-b -u {unit.name}"
        yield finding(Code.UNITS, "error", "", text, journal, f"{control} restart {unit.name}")
    if unit.enabled in _NOT_STARTED and unit.name in _ENABLED:
        text = f"the unit {unit.name} is {unit.enabled}: nothing starts it at the next boot"
        yield finding(Code.UNITS, "warning", "", text, f"{control} enable --now {unit.name}")
    elif unit.active == "inactive" and unit.name in (ACTIVATE, IDENTITY):
        what = "has not run in this boot" if unit.name == ACTIVATE else "does not wait for a new key"
        text = f"the unit {unit.name} {what}"
        yield finding(Code.UNITS, "warning", "", text, f"{control} start {unit.name}")
    if unit.name == RETRY and unit.active == "active":
        text = f"{RETRY} waits: the last activation failed, and is tried again by and by"
        yield finding(Code.UNITS, "info", "", text, f"{control} list-timers {RETRY}")


def _file(unit: UnitFacts, declared: Manifest, source: str, program: str, install: str) -> Iterator[Said]:
    """Compare the unit's file with what would be written now."""
    if unit.fragment is None:
        return
    text = _text(unit.fragment)
    paths = [word for word in _command(text) if word.startswith("/")][1:]
    if paths and os.path.realpath(source) not in map(os.path.realpath, paths):
        text = f"the unit {unit.name} activates another manifest: {paths[-1]}"
        yield finding(Code.UNITS, "warning", unit.fragment, text, install)
    elif text.startswith(_MADE):
        # With the path that it has, which may be another name of the same file.
        path = paths[-1] if paths else source
        if not _covers(text, unit_files(declared, path, program).get(unit.name, "")):
            words = "is not what would be written for this manifest now: it may watch or allow other paths"
            yield finding(Code.UNITS, "warning", unit.fragment, words, install)


def _program(main: UnitFacts, install: str) -> Iterator[Said]:
    """Look for the program that the main unit starts."""
    words = _command(_text(main.fragment)) if main.fragment is not None else []
    if words and not os.access(words[0], os.X_OK):
        yield finding(
            Code.UNITS, "error", main.fragment or "", f"the program {words[0]} is not there", install
        )


def _covers(text: str, wanted: str) -> bool:
    """Whether a unit file is the one that is ``wanted``, but for more folders that it may write to (of earlier manifests)."""
    (lines, folders), (wanted_lines, wanted_folders) = _sorted_out(text), _sorted_out(wanted)
    return lines == wanted_lines and all(
        any(is_below(folder, known) for known in folders) for folder in wanted_folders
    )


def _sorted_out(text: str) -> tuple[list[str], list[str]]:
    """Return the lines of a unit without those of folders to write to, and these folders."""
    lines = text.split("\n")
    marked = [line.removeprefix(_WRITABLE) for line in lines if line.startswith(_WRITABLE)]
    folders = [line.strip('"').removeprefix("-").replace("%%", "%") for line in marked]  # one a line
    return [line for line in lines if not line.startswith(_WRITABLE)], folders


def _text(path: str) -> str:
    try:
        return read_regular(path, _LIMIT, follow=True)[0].decode("utf-8", "replace")
    except SecretsmithError:
        return ""  # systemd's own word for such a unit is told


def _command(text: str) -> list[str]:
    line = next((line for line in text.split("\n") if line.startswith("ExecStart=")), "ExecStart=")
    try:
        words = shlex.split(line.partition("=")[2])
    except ValueError:
        return []
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def _install(manifest: Manifest, source: str, options: UnitOptions) -> str:
    folder = "~/.config/systemd/user" if manifest.scope is Scope.USER else "/etc/systemd/system"
    starts = [name for name in _wanted(manifest) if name in _ENABLED]
    enable = f"{_control(options)} enable --now {' '.join(starts)}"
    write = f"secretsmith-activate --write-units {folder} {quote(source)}"
    if manifest.scope is Scope.USER:
        write = f"mkdir -p {folder} && {write}"
    return f"{write} && {_control(options)} daemon-reload && {enable}"


def _control(options: UnitOptions) -> str:
    return "systemctl --user" if options.user else "systemctl"


__all__ = ["own_unit_facts"]
