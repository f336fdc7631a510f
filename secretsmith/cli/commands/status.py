"""``secretsmith status``: what the secrets on this host are; exit 3 when anything is off."""

from __future__ import annotations

import os

from secretsmith.activation.engine import Options
from secretsmith.activation.inspection.facts import EntryFacts, Filesystem, HostFacts, PhaseFacts
from secretsmith.activation.inspection.inspecting import inspect_host
from secretsmith.activation.kernel import forbid_dumps, lock_memory
from secretsmith.activation.units.telling import unit_options
from secretsmith.cli.activate import read_manifest
from secretsmith.cli.arguments.host_side import StatusParameters
from secretsmith.cli.hostside import findings_as_json, manifest_path, print_findings, status_path
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, NotFound
from secretsmith.manifest import parse_manifest
from secretsmith.record import as_dict

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def run(session: Session, given: StatusParameters) -> ExitCode:
    """Print tables and findings, or JSON in the form of docs/reference/schemas/status.schema.json."""
    path = manifest_path(session, given.manifest, given.status)
    if path is None:
        raise NotFound(
            Code.NOT_FOUND,
            "no manifest was given, and no activation has left a note of one here",
            hints=("on a host: secretsmith status MANIFEST", "for a repository: secretsmith check"),
        )
    data = read_manifest(path)
    options = Options(
        owner_self=os.geteuid() != 0,
        status=status_path(session, given.status),
        paths=status_path(session, given.paths),
        usual=True,
        source=path,
        units=unit_options(session.environ, parse_manifest(data).scope, None),
        environ=session.environ,
    )
    facts = inspect_host(data, options, shield=_shield)
    if given.json:
        session.json(_as_json(facts))
    else:
        _print(session, facts)
    return ExitCode.OK if facts.is_well else ExitCode.FINDINGS


def _shield() -> None:
    forbid_dumps()
    lock_memory()


def _as_json(facts: HostFacts) -> dict[str, object]:
    return {
        "host": facts.host,
        "scope": facts.scope,
        "manifest": facts.manifest,
        "activated": facts.activated,
        "phases": [as_dict(phase) for phase in facts.phases],
        "secrets": [as_dict(entry) for entry in facts.entries],
        "findings": findings_as_json(facts.findings),
    }


def _print(session: Session, facts: HostFacts) -> None:
    session.table(("PHASE", "LIVE", "FOLDER", "ON"), [_phase(phase) for phase in facts.phases])
    _gap(session)
    rows = [_entry(entry) for entry in facts.entries]
    session.table(("NAME", "STATE", "OWNER", "MODE", "AGE", "PATH"), rows)
    if facts.findings:
        _gap(session)
        print_findings(session, facts.findings)
    when = f", last changed {facts.activated}" if facts.activated else ""
    session.note(
        f"{facts.host}: {facts.manifest}{when}: {'all is well' if facts.is_well else 'not as it should be'}"
    )


def _gap(session: Session) -> None:
    if session.stdout_is_terminal:
        session.line()


def _phase(phase: PhaseFacts) -> tuple[str, ...]:
    live = "-" if phase.generation is None else str(phase.generation)
    return (phase.phase, live, phase.generations, _filesystem(phase.filesystem))


def _filesystem(found: Filesystem | None) -> str:
    if found is None:
        return "-"
    kind = f"{found.kind} noswap" if "noswap" in found.options else found.kind
    return f"{kind}, {_size(found.used)} of {_size(found.size)}" if found.size else kind


def _size(number: int) -> str:
    for size, unit in _SIZES:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"


def _entry(entry: EntryFacts) -> tuple[str, ...]:
    owner = entry.owner if entry.owner == entry.group else f"{entry.owner}:{entry.group}"
    path = f"{entry.path} (copy)" if entry.method == "copy" else entry.path
    return (entry.name, str(entry.state), owner, entry.mode, _age(entry.age), path)


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return next((f"{seconds // size} {unit}" for size, unit in _UNITS if seconds >= size), "0 s")


__all__ = ["run"]
