"""``secretsmith doctor``: what keeps this host from its secrets; exit 3 when anything does."""

from __future__ import annotations

from secretsmith.activation.doctor.examination import examine
from secretsmith.activation.doctor.facts import Examination
from secretsmith.activation.kernel import forbid_dumps, lock_memory
from secretsmith.cli.arguments.host_side import DoctorParameters
from secretsmith.cli.hostside import findings_as_json, manifest_path, print_findings
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, NotFound, SecretsmithError


def run(session: Session, given: DoctorParameters) -> ExitCode:
    """Print what was looked at and what was found, or JSON in the form of docs/reference/schemas/doctor.schema.json."""
    path = manifest_path(session, given.manifest, given.status)
    if path is None:
        raise _nothing_to_examine(session)
    found = examine(path, session.environ, shield=_shield)
    if given.json:
        session.json(_as_json(found))
    else:
        _print(session, found)
    return ExitCode.OK if found.is_well else ExitCode.FINDINGS


def _shield() -> None:
    forbid_dumps()
    lock_memory()


def _nothing_to_examine(session: Session) -> SecretsmithError:
    # Here, not above: on a host there is no project.
    from secretsmith.project import find_root

    root = find_root(session.cwd, session.environ)
    if root is not None:
        return NotFound(
            Code.NOT_FOUND,
            f"no manifest was given, none was activated here, and for a repository ({root}) doctor is not built yet",
            hints=("for this repository: secretsmith check", "on a host: secretsmith doctor MANIFEST"),
        )
    return NotFound(
        Code.NOT_FOUND,
        "no manifest was given, and no activation has left a note of one here",
        hints=("on a host: secretsmith doctor MANIFEST", "in a repository: secretsmith check"),
    )


def _as_json(found: Examination) -> dict[str, object]:
    return {
        "manifest": found.manifest,
        "facts": [{"about": fact.about, "text": fact.text} for fact in found.facts],
        "findings": findings_as_json(found.findings),
    }


def _print(session: Session, found: Examination) -> None:
    session.table(("LOOKED AT", "FOUND"), [(fact.about, fact.text) for fact in found.facts])
    if found.findings:
        if session.stdout_is_terminal:
            session.line()
        print_findings(session, found.findings)
    session.note("all is well" if found.is_well else "not as it should be")


__all__ = ["run"]
