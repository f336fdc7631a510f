"""``secretsmith init``."""

from __future__ import annotations

from secretsmith.cli.arguments.principals import InitParameters
from secretsmith.cli.keyinput import read_key_or_file
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, RefusedInput
from secretsmith.operations.initialise import DefaultKey, default_key, default_user, initialise


def run(session: Session, given: InitParameters) -> ExitCode:
    """Start a registry in the folder of ``session``; asks nothing."""
    user = given.user or default_user(session.environ)
    if user is None:
        raise RefusedInput(
            Code.USAGE,
            "no user name: $USER is not set, or cannot name a user",
            hints=("secretsmith init --user NAME",),
        )
    key = (
        default_key(session.environ)
        if given.key is None
        else DefaultKey(read_key_or_file(session, given.key), ())
    )
    done = initialise(session.cwd, user=user, lines=key.lines, secrets=given.secrets, git=given.git)
    for note in (*key.notes, *done.notes):
        session.note(note)
    for path in done.written:
        session.note(f"wrote {path}")
    for public in done.keys:
        session.note(f"{user} is admin, with the {public.kind} key {public.fingerprint}")
    session.note('next: secretsmith host add NAME --key "ssh-ed25519 …"')
    return ExitCode.OK


__all__ = ["run"]
