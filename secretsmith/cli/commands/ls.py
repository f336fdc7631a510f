"""``secretsmith ls``: list secrets and who can read them; needs no key."""

from __future__ import annotations

from secretsmith.cli.arguments.values import LsParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.listing import Listed, list_secrets


def run(session: Session, given: LsParameters) -> ExitCode:
    """Print a table, or JSON in the form of docs/reference/schemas/ls.schema.json."""
    listed = list_secrets(session.project(), given.paths, cwd=session.cwd)
    if given.json:
        session.json([_as_json(item) for item in listed])
    else:
        _print_table(session, listed)
    for item in listed:
        if item.problem:
            session.note(f"note: {item.path}: {item.problem}")
    return ExitCode.OK


def _as_json(item: Listed) -> dict[str, object]:
    return {
        "path": item.path,
        "format": item.format.value,
        "readers_wanted": list(item.wanted),
        "readers_present": list(item.present),
        "drift": item.drift,
        "source": item.source,
    }


def _print_table(session: Session, listed: tuple[Listed, ...]) -> None:
    if not listed:
        session.note("no secrets yet: secretsmith set PATH")
        return
    rows = [(item.path, _state(item), ", ".join(item.present) or "-") for item in listed]
    if any(item.source for item in listed):
        linked = [(*row, item.source or "-") for row, item in zip(rows, listed, strict=True)]
        session.table(("PATH", "STATE", "READERS", "SOURCE"), linked)
    else:
        session.table(("PATH", "STATE", "READERS"), rows)
    if any(item.drift and not item.problem for item in listed):
        session.note("some files drift from the rules: secretsmith rekey --plan")


def _state(item: Listed) -> str:
    if item.problem:
        return "unreadable" if item.drift else "unsupported"
    if item.drift:
        return "drifts"
    return "ok" if item.wanted else "no rule"
