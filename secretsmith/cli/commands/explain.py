"""``secretsmith explain``: why somebody can read a secret, or the first thing that is in the way."""

from __future__ import annotations

from secretsmith.cli.arguments.debt import ExplainParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.operations.explain import Explanation, explain, locate_explained

_MARKS = {True: "ok", False: "BROKEN", None: "?"}


def run(session: Session, given: ExplainParameters) -> ExitCode:
    """Print the chain, or JSON in the form of docs/reference/schemas/explain.schema.json; exit 3 when a link is broken."""
    project = session.project()
    path = locate_explained(project, given.secret, given.host, cwd=session.cwd)
    found = explain(project, path, given.host)
    if given.json:
        session.json(_as_json(found))
    else:
        session.table(
            ("LINK", "", "WHAT"), [(link.step, _MARKS[link.ok], link.detail) for link in found.chain]
        )
        if found.broken is None:
            session.note(f"{given.host} can read {path}" + _limit(found))
        elif found.broken.fix:
            session.line(f"to mend it: {found.broken.fix}")
    return ExitCode.OK if found.broken is None else ExitCode.FINDINGS


def _as_json(found: Explanation) -> dict[str, object]:
    # A link that could not be looked at is neither true nor false, and is left out.
    links = [link for link in found.chain if link.ok is not None]
    return {
        "chain": [{"step": link.step, "ok": link.ok, "detail": link.detail} for link in links],
        "fix": found.broken.fix if found.broken is not None else None,
    }


def _limit(found: Explanation) -> str:
    return ", as far as it can be seen from here" if any(link.ok is None for link in found.chain) else ""


__all__ = ["run"]
