"""``secretsmith blast-radius``: what the keys of one principal open, now and in git history; needs no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secretsmith.cli.accesstext import write_table
from secretsmith.cli.arguments.access import BlastRadiusParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.blastradius import BlastRadius, Holder, Opened, blast_radius, holder_of

if TYPE_CHECKING:
    from secretsmith.operations.blasthistory import PastAccess
    from secretsmith.operations.leastprivilege import Overread
    from secretsmith.project import Project


def run(session: Session, given: BlastRadiusParameters) -> ExitCode:
    """Print what opens, as text or JSON; exit 0."""
    from secretsmith.operations.blasthistory import has_history, past_access
    from secretsmith.operations.leastprivilege import overread

    project = session.project()
    holder = holder_of(project, given.principal)
    found = blast_radius(project, holder)
    wanted = has_history(project) if given.history is None else given.history
    past = past_access(project, holder) if wanted else None
    lint = overread(project, found.now)
    if given.json:
        session.json(_as_json(project, found, past, lint))
    else:
        _show_now(session, found)
        if past is not None:
            _show_past(session, project, holder, past)
        _show_lint(session, holder, lint)
    for path, reason in found.problems:
        session.note(f"note: {path}: {reason}")
    _notes(session, holder, past, asked=given.history)
    return ExitCode.OK


def _show_now(session: Session, found: BlastRadius) -> None:
    who = _who(found.holder)
    if not found.now:
        session.line(f"{who}: opens nothing now")
        return
    session.line(f"{who}: opens {_count(len(found.now), 'secret')} now")
    rows = [(one.path, one.basis, _about(one)) for one in found.now]
    write_table(session, ("SECRET", "BASIS", "WHAT"), rows)


def _about(one: Opened) -> str:
    said = [_count(1 if one.keys is None else len(one.keys), "value")]
    if not one.alone:
        said.append("only together with other key groups")
    if one.retired:
        said.append("by an old key that is still in it")
    return "; ".join(said)


def _show_past(session: Session, project: Project, holder: Holder, past: PastAccess) -> None:
    from secretsmith.operations.blasthistory import old_versions, owed_paths

    old = old_versions(past)
    owed = owed_paths(project, holder)
    session.line()
    if not old:
        session.line(f"{_who(holder)}: opens no old versions in git history")
        return
    count = sum(len(versions) for versions in old.values())
    session.line(f"{_who(holder)}: opens {_count(count, 'old version')} in git history")
    rows = []
    for path, versions in old.items():
        last = versions[0]
        gone = "" if (project.root / path).is_file() else "; the file is gone"
        debt = "; the value is still owed" if path in owed else ""
        rows.append((path, str(len(versions)), f"{last.date} {last.commit[:10]}{gone}{debt}"))
    write_table(session, ("SECRET", "OLD", "LAST READABLE"), rows)


def _show_lint(session: Session, holder: Holder, lint: tuple[Overread, ...] | None) -> None:
    if not lint:
        return
    session.line()
    session.line("readable by more hosts than declare it")
    rows = []
    for one in lint:
        said = f"read by {_count(len(one.readers), 'host')}, declared by {len(one.declared)}"
        if one.unused:
            said += f"; {one.unused} of {one.keys} values used by none"
        if holder.name in one.readers and holder.name not in one.declared:
            said += f"; not by {holder.name}"
        rows.append((one.path, said))
    write_table(session, ("SECRET", "HOSTS"), rows)


def _notes(session: Session, holder: Holder, past: PastAccess | None, *, asked: bool | None) -> None:
    if holder.name is None:
        session.note(
            "note: the registry does not name this key, so documents that name it in another form are not found"
        )
    if past is None:
        if asked is None:
            session.note("note: no git repository, so nothing is known of the past")
        return
    if past.uncertain:
        session.note(
            f"note: {_count(past.uncertain, 'more version')} with anonymous recipients: whose is not known"
        )
    if past.clear:
        session.note(
            f"note: {_count(past.clear, 'version')} not encrypted at all: whoever has the repository reads them"
        )
    if past.missing:
        session.note(f"note: {_count(past.missing, 'version')} not in this clone: git fetch --refetch")
    if past.shallow:
        session.note("note: a shallow clone lacks the older history: git fetch --unshallow")


def _as_json(
    project: Project,
    found: BlastRadius,
    past: PastAccess | None,
    lint: tuple[Overread, ...] | None,
) -> dict[str, object]:
    return {
        "principal": found.holder.name,
        "fingerprints": sorted(found.holder.fingerprints),
        "secrets": [
            {
                "path": one.path,
                "keys": None if one.keys is None else list(one.keys),
                "through": list(one.through),
                "basis": one.basis,
                "alone": one.alone,
            }
            for one in found.now
        ],
        "unreadable": [{"path": path, "why": reason} for path, reason in found.problems],
        "history": None if past is None else _past_as_json(project, found.holder, past),
        "overread": None if lint is None else [_overread_as_json(one) for one in lint],
    }


def _past_as_json(project: Project, holder: Holder, past: PastAccess) -> dict[str, object]:
    from secretsmith.operations.blasthistory import owed_paths, versions_as_json

    owed = owed_paths(project, holder)
    return {
        "versions": [{**version, "owed": version["path"] in owed} for version in versions_as_json(past)],
        "uncertain": past.uncertain,
        "clear": past.clear,
        "missing": past.missing,
        "shallow": past.shallow,
    }


def _overread_as_json(one: Overread) -> dict[str, object]:
    return {
        "path": one.path,
        "readers": list(one.readers),
        "declared": list(one.declared),
        "keys": one.keys,
        "unused": one.unused,
    }


def _who(holder: Holder) -> str:
    keys = len(holder.fingerprints)
    name = holder.name or next(iter(holder.fingerprints))
    return name if keys == 1 else f"{name} with {keys} keys"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


__all__ = ["run"]
