"""``secretsmith identity``: the private keys that open secrets here."""

from __future__ import annotations

from secretsmith.cli.arguments.repository import IdentityListParameters
from secretsmith.cli.session import Session
from secretsmith.errors import ExitCode
from secretsmith.identities.ring import IdentityRing


def list_identities(session: Session, given: IdentityListParameters) -> ExitCode:
    """Print every place that is looked at, in order, with what was found; unlocks nothing and shows no private half."""
    ring = IdentityRing(session.environ, session.interaction, cwd=session.cwd)
    tried = ring.survey()
    if given.json:
        names = ("source", "path", "outcome", "fingerprint", "recipient")
        session.json([{name: getattr(item, name) for name in names} for item in tried])
        return ExitCode.OK
    session.table(
        ("SOURCE", "OUTCOME", "KEY"), [(item.source, item.outcome, item.fingerprint or "-") for item in tried]
    )
    return ExitCode.OK
